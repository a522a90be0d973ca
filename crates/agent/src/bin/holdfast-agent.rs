//! The agent alone: the hidden subcommands of `holdfast`, a blank root prepared, a command in a
//! node, and a stand-in for the server that starts a node and can be killed. The crate's own tests
//! start their nodes with it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use holdfast_agent::{NodeConfig, Wanted};

fn main() -> ExitCode {
    if let Some(code) = holdfast_agent::dispatch() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (wanted, dir, argv) = match words.as_slice() {
        ["populate", mountpoint] => return populate(Path::new(mountpoint)),
        ["spawn", config] => return spawn_and_stay(Path::new(config)),
        ["exec", "--tty", dir, "--", argv @ ..] => {
            (Wanted { tty: true, ..Wanted::default() }, dir, argv)
        }
        ["exec", "--gate", ms, dir, "--", argv @ ..] => {
            let gate = ms.parse().ok().map(Duration::from_millis);
            (Wanted { gate, ..Wanted::default() }, dir, argv)
        }
        ["exec", dir, "--", argv @ ..] => (Wanted::default(), dir, argv),
        _ => {
            eprintln!(
                "usage: holdfast-agent exec [--tty | --gate MS] INSTANCE_DIR -- COMMAND [ARGUMENT]...\n       \
                 holdfast-agent populate MOUNTPOINT\n       \
                 holdfast-agent spawn CONFIG_FILE"
            );
            return ExitCode::from(2);
        }
    };
    let argv: Vec<String> = argv.iter().map(|s| (*s).to_owned()).collect();
    match holdfast_agent::exec_in(Path::new(dir), &argv, &wanted) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(e) => {
            eprintln!("holdfast-agent: {e}");
            ExitCode::from(125)
        }
    }
}

fn populate(mountpoint: &Path) -> ExitCode {
    match holdfast_agent::populate_root(mountpoint) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("holdfast-agent: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Starts a node, says so, and waits to be killed, as a server may be.
fn spawn_and_stay(config: &Path) -> ExitCode {
    let started = NodeConfig::read(config)
        .and_then(|config| holdfast_agent::spawn(Path::new("/proc/self/exe"), &config));
    match started {
        Ok(_handle) => {
            println!("started");
            loop {
                std::thread::park();
            }
        }
        Err(e) => {
            eprintln!("holdfast-agent: {e}");
            ExitCode::FAILURE
        }
    }
}
