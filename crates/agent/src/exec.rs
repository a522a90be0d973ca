//! A command in a running node, for a person at a terminal.
//!
//! ```text
//! the caller's process: its streams, its terminal     the node
//!    │  ◄── pipes, or the far end of a terminal ──►   the command (a session of its own)
//!    └─ fork, exec ─► enter: nothing of the caller's ── fork, exec ──┘
//! ```
//!
//! Nothing of the caller's goes into the node, neither its terminal nor its files: root in a node
//! types on a terminal that it holds, and opens a file that it holds once more, for writing. What
//! the command gets are pipes or a terminal of the node's; this process moves the bytes.

use std::ffi::CString;
use std::fs;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;

use crate::config::{NodeConfig, config_path};
use crate::enter::{self, Entry};
use crate::error::{AgentError, Doing, Result};
use crate::handle::ShimHandle;
use crate::init::environment;
use crate::program;
use crate::relay::{Relay, Signals};
use crate::sys;

/// A command has at most so many words and variables.
const WORDS_MAX: usize = 4096;
/// How often a closed gate is looked at.
const GATE_LOOK: Duration = Duration::from_millis(50);
/// As a shell: the command was found but cannot run.
const CANNOT_RUN: i32 = 126;

/// How a command is to be run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// With a terminal of the node's own.
    pub tty: bool,
    /// Variables beside those that every process finds that Holdfast starts in a node.
    pub env: &'a [(String, String)],
    /// How long to wait for the node's gate: before it is open, the node's volumes are not mounted,
    /// and what is written to their places is not on them. `None`: not at all.
    pub gate: Option<Duration>,
}

/// Runs `argv` as root in the node of the instance in `dir`, in its namespaces, its control group
/// and with its capabilities, from `/root`, in a session of its own. Its standard input, output
/// and error are pipes, or with a `tty` a terminal of the node's, from and to which this process
/// copies its own; signals that ask this process to end are sent on to the command. Returns the
/// command's exit code, 128 plus the signal if one ended it, 126 or 127 if it could not be started.
/// What the command's children print after its end is not waited for.
///
/// To be called only by a process with one thread (a command line's main function), whose program
/// calls [`crate::dispatch`] first: it forks, and runs its own program again. Standard input and
/// output are closed when the command has closed its own.
///
/// # Errors
/// `NotRunning`, `Invalid` for an empty command or when the process has threads, `TimedOut` when
/// the gate is still closed, `Io`.
pub fn exec_in(dir: &Path, argv: &[String], wanted: &Wanted<'_>) -> Result<i32> {
    let Wanted { tty, env, gate } = *wanted;
    if argv.is_empty() || argv.len() > WORDS_MAX || env.len() > WORDS_MAX {
        return Err(AgentError::Invalid(format!(
            "a command has 1 to {WORDS_MAX} words, for example: node exec NAME -- ls /"
        )));
    }
    let threads = fs::read_dir("/proc/self/task").doing(|| "counting threads".into())?.count();
    if threads != 1 {
        return Err(AgentError::Invalid(format!(
            "exec needs a process with one thread, not {threads}"
        )));
    }
    let handle = ShimHandle::open(dir)?;
    let init = handle.init().ok_or_else(|| AgentError::NotRunning {
        dir: dir.into(),
        why: "its init has ended".into(),
    })?;
    if let Some(limit) = gate {
        wait_for_the_gate(&handle, limit)?;
    }
    let config = NodeConfig::read(&config_path(dir))?;
    let entry = Entry {
        instance_id: config.instance_id.clone(),
        argv: argv.to_vec(),
        env: variables(&config, env),
        tty,
    };
    if entry.argv.iter().chain(&entry.env).any(|word| word.contains('\0')) {
        return Err(AgentError::Invalid("a word of the command holds a zero byte".into()));
    }

    let doing = || "preparing the way into the node".to_owned();
    let program = program::own_program()?;
    let order = program::nameless_file(&entry)?;
    let (near, far) = streams().doing(doing)?;
    let (link, theirs) = UnixStream::pair().doing(doing)?;
    // Before the fork, so that none is lost; what is forked does not listen.
    let signals = Signals::listen()?;
    let forked = sys::fork_into(0).doing(|| "starting a child for the node".into())?;
    let (pid, pidfd) = match forked {
        sys::Fork::Child => {
            let error = become_enter(&program, &entry, &far, [&theirs.into(), &order.into(), init]);
            eprintln!("holdfast: {error}");
            sys::exit_now(CANNOT_RUN)
        }
        sys::Fork::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop((far, theirs, order, program));
    let drained = Relay::new(near, tty, link, &pidfd, &signals)?.run();
    let ended = sys::wait_pid(pid, 0).doing(|| "waiting for the command".into())?;
    drained?;
    match ended {
        Some((_, ended)) => Ok(ended.shell_code()),
        None => Err(AgentError::Protocol("the command vanished".into())),
    }
}

fn wait_for_the_gate(handle: &ShimHandle, limit: Duration) -> Result<()> {
    let mut client = handle.client()?;
    let begun = Instant::now();
    let mut said = false;
    while client.ping()?.gate_opened_at_ms.is_none() {
        let id = handle.instance_id();
        if begun.elapsed() >= limit {
            return Err(AgentError::TimedOut {
                doing: format!("mounting the volumes of {id}"),
                limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            });
        }
        if !said {
            said = true;
            eprintln!("holdfast: the volumes of {id} are not mounted yet; waiting for them");
        }
        std::thread::sleep(GATE_LOOK);
    }
    Ok(())
}

/// What the command finds in its environment, each `NAME=value`.
fn variables(config: &NodeConfig, given: &[(String, String)]) -> Vec<String> {
    let mut all: Vec<(&str, String)> = environment(config);
    for (name, value) in given {
        all.retain(|(other, _)| other != name);
        all.push((name, value.clone()));
    }
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The near ends of the three pipes: what this process writes and reads.
pub(crate) struct Near {
    pub stdin: PipeWriter,
    pub stdout: PipeReader,
    pub stderr: PipeReader,
}

fn streams() -> io::Result<(Near, [OwnedFd; 3])> {
    let (far_stdin, stdin) = io::pipe()?;
    let (stdout, far_stdout) = io::pipe()?;
    let (stderr, far_stderr) = io::pipe()?;
    let far = [far_stdin.into(), far_stdout.into(), far_stderr.into()];
    Ok((Near { stdin, stdout, stderr }, far))
}

/// In the child: lets go of all that is the caller's, its session and its terminal first, and
/// becomes the program that enters. Its memory goes as well, with what the caller knew. Returns
/// only on failure.
fn become_enter(
    program: &OwnedFd,
    entry: &Entry,
    streams: &[OwnedFd; 3],
    given: [&OwnedFd; 3],
) -> AgentError {
    let prepared = (|| -> Result<_> {
        let doing = || "arranging files for the node".to_owned();
        nix::unistd::setsid().doing(|| "starting a session".into())?;
        let wanted = streams.iter().chain(given);
        // First out of the way, then into place: a source may have the number of another's place.
        let copies = wanted
            .map(|fd| sys::dup_above(fd.as_fd(), enter::SCRATCH_FD).doing(doing))
            .collect::<Result<Vec<_>>>()?;
        let program = sys::dup_above(program.as_fd(), enter::SCRATCH_FD).doing(doing)?;
        for (place, copy) in (0..).zip(&copies) {
            sys::dup_to(copy.as_fd(), place).doing(doing)?;
        }
        sys::close_from_on_exec(enter::FIRST_FREE_FD).doing(doing)?;
        SigSet::empty().thread_set_mask().doing(doing)?;
        let text = |s: &str| {
            CString::new(s).map_err(|_| AgentError::Invalid(format!("{s:?} holds a zero byte")))
        };
        let argv = [text("holdfast-enter")?, text(crate::ENTER_SUBCOMMAND)?];
        let env = entry.env.iter().map(|v| text(v)).collect::<Result<Vec<_>>>()?;
        Ok((program, argv, env))
    })();
    match prepared {
        Ok((program, argv, env)) => AgentError::Io {
            doing: "starting the program that enters the node".into(),
            source: sys::exec_fd(program.as_fd(), &argv, &env),
        },
        Err(e) => e,
    }
}
