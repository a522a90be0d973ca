//! A command in a node of this host. The server says where the node is; a process of this program
//! enters it, and this one carries what is typed and shown. Nothing of the caller's goes in.

use super::client::{Client, printable};
use holdfast_agent::{AgentError, Wanted};
use holdfast_terminal::{Code, Failure, complain};
use holdfast_wire::local::Place;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The exit code where the node could not be entered, as other programs of this kind have it.
const NOT_ENTERED: u8 = 125;
/// How often is looked whether the last other thread (of a name look-up) has ended.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);
/// How long a node's volumes are waited for: a replacement takes seconds.
const GATE_MAX: Duration = Duration::from_secs(30);

/// Runs a command in a node and ends as it ends. It has a terminal of the node's if it is asked
/// for, or if both standard input and output are terminals. It waits until the node's volumes are
/// mounted, unless it is to enter before.
pub fn run(
    client: &Client,
    name: &str,
    tty: bool,
    before_gate: bool,
    command: &[String],
) -> Result<ExitCode, Failure> {
    let node = client.find(name)?;
    let path = format!("{}/nodes/{}/exec", holdfast_api::LOCAL, node.id);
    let not_entered = |why: &str| {
        complain(&format!("holdfast: {name} cannot be entered: {why}"));
        Ok(ExitCode::from(NOT_ENTERED))
    };
    let place: Place = match client.item(&path) {
        // It has no instance, say. That there is no such node, or no server, has its own code.
        Err(failure) if failure.code == Code::Failed => return not_entered(&failure.message),
        answered => answered?,
    };
    let dir = place.instance_dir.as_str();
    if !rustix::process::geteuid().is_root() {
        return not_entered("this needs root, on the server's host");
    }
    if !Path::new(dir).is_dir() {
        let why = format!("{} is not on this host; run it on the server's host", printable(dir));
        return not_entered(&why);
    }
    wait_until_alone();
    let tty = tty || std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let environment: Vec<(String, String)> = if tty {
        std::env::var("TERM").into_iter().map(|term| ("TERM".to_owned(), term)).collect()
    } else {
        Vec::new()
    };
    let gate = (!before_gate).then_some(GATE_MAX);
    let wanted = Wanted { tty, env: &environment, gate };
    match holdfast_agent::exec_in(Path::new(dir), command, &wanted) {
        Ok(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))),
        Err(AgentError::TimedOut { .. }) if gate.is_some() => not_entered(&format!(
            "its volumes are still not mounted after {} s; `holdfast node show {name}` says why. \
             --before-gate enters all the same: nothing can be written to their places then",
            GATE_MAX.as_secs()
        )),
        Err(error) => not_entered(&error.to_string()),
    }
}

/// Waits until this process has one thread; entering a node checks it again.
fn wait_until_alone() {
    for _ in 0..TRIES {
        let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        if threads <= 1 {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}
