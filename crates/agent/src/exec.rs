//! A command in a running node, for a person at a terminal.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::capabilities;
use crate::cgroup::Cgroup;
use crate::config::{NodeConfig, config_path};
use crate::error::{AgentError, Doing, Result};
use crate::handle::ShimHandle;
use crate::init::environment;
use crate::seccomp;
use crate::sys::{self, Ended};
use crate::terminal;

/// A command has at most so many words and variables.
const WORDS_MAX: usize = 4096;
/// As a shell: the command was found but cannot run, or was not found.
const CANNOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Runs `argv` as root in the node of the instance in `dir`, in its namespaces, its control group
/// and with its capabilities, from `/root`; standard input, output and error are the caller's, or
/// with `tty` a terminal of the node's own. Returns the command's exit code, 128 plus the signal
/// if one ended it, 126 or 127 if it could not be started.
///
/// To be called only by a process with one thread (a command line's main function): it forks.
///
/// # Errors
/// `NotRunning`, `Invalid` for an empty command or when the process has threads, `Io`.
pub fn exec_in(dir: &Path, argv: &[String], tty: bool, env: &[(String, String)]) -> Result<i32> {
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
    let config = NodeConfig::read(&config_path(dir))?;
    let command = Command::new(&config, argv, env, tty)?;
    let group = Cgroup::open(&config.instance_id)?;

    let forked = sys::fork_into(0).doing(|| "starting a child for the node".into())?;
    let (pid, pidfd) = match forked {
        sys::Fork::Child => {
            let code = match enter_and_run(init, &group, &command) {
                Ok(code) => code,
                Err(e) => {
                    eprintln!("holdfast: {e}");
                    CANNOT_RUN
                }
            };
            sys::exit_now(code)
        }
        sys::Fork::Parent { pid, pidfd } => (pid, pidfd),
    };
    // An interrupt from the keyboard is for the command, which has it already.
    let _ignored = [ignore(Signal::SIGINT)?, ignore(Signal::SIGQUIT)?];
    drop(pidfd);
    match sys::wait_pid(pid, 0).doing(|| "waiting for the command".into())? {
        Some((_, ended)) => Ok(ended.shell_code()),
        None => Err(AgentError::Protocol("the command vanished".into())),
    }
}

struct Command {
    argv: Vec<CString>,
    env: Vec<CString>,
    tty: bool,
}

impl Command {
    fn new(
        config: &NodeConfig,
        argv: &[String],
        env: &[(String, String)],
        tty: bool,
    ) -> Result<Self> {
        let text = |s: String| {
            CString::new(s)
                .map_err(|_| AgentError::Invalid("a word of the command holds a zero byte".into()))
        };
        let given = env.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let mut all: Vec<(&str, String)> = environment(config);
        for (name, value) in given {
            all.retain(|(other, _)| *other != name);
            all.push((name, value));
        }
        Ok(Self {
            argv: argv.iter().cloned().map(text).collect::<Result<_>>()?,
            env: all.into_iter().map(|(n, v)| text(format!("{n}={v}"))).collect::<Result<_>>()?,
            tty,
        })
    }
}

/// In a child: enters the node, starts the command in a grandchild (only a child of a process
/// that has entered is in the node's pid namespace) and waits for it.
fn enter_and_run(init: &OwnedFd, group: &Cgroup, command: &Command) -> Result<i32> {
    group.join()?;
    // The command must not be able to look into what is still the host's program.
    sys::prctl(libc::PR_SET_DUMPABLE, 0).doing(|| "closing this process to others".into())?;
    let namespaces = CloneFlags::CLONE_NEWCGROUP
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS;
    setns(init, namespaces).doing(|| "entering the node".into())?;
    sys::fresh_keyring();
    let terminal = if command.tty { Some(terminal::Terminal::open()?) } else { None };
    match sys::fork_into(0).doing(|| "starting the command".into())? {
        sys::Fork::Child => {
            let error = run(command, terminal.as_ref());
            let code = match &error {
                AgentError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    NOT_FOUND
                }
                _ => CANNOT_RUN,
            };
            eprintln!("holdfast: {error}");
            sys::exit_now(code)
        }
        sys::Fork::Parent { pid, pidfd } => {
            let _ignored = [ignore(Signal::SIGINT)?, ignore(Signal::SIGQUIT)?];
            if let Some(terminal) = &terminal {
                terminal.relay_until(pidfd.as_fd())?;
            }
            match sys::wait_pid(pid, 0).doing(|| "waiting for the command".into())? {
                Some((_, Ended::Code(code))) => Ok(code),
                Some((_, ended)) => Ok(ended.shell_code()),
                None => Ok(CANNOT_RUN),
            }
        }
    }
}

/// In the grandchild. Returns only on failure.
fn run(command: &Command, terminal: Option<&terminal::Terminal>) -> AgentError {
    let prepared = (|| {
        if let Some(terminal) = terminal {
            terminal.take()?;
        }
        sys::close_from_on_exec(3).doing(|| "closing files".into())?;
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGPIPE] {
            set_handler(signal, SigHandler::SigDfl)?;
        }
        std::env::set_current_dir("/root")
            .or_else(|_| std::env::set_current_dir("/"))
            .doing(|| "entering /root in the node".into())?;
        seccomp::refuse_what_has_no_namespace()?;
        capabilities::drop_to_kept()
    })();
    if let Err(e) = prepared {
        return e;
    }
    let name = command.argv[0].to_string_lossy().into_owned();
    let source = match nix::unistd::execvpe(&command.argv[0], &command.argv, &command.env) {
        Ok(never) => match never {},
        Err(errno) => io::Error::from(errno),
    };
    AgentError::Io { doing: format!("starting {name} in the node"), source }
}

fn set_handler(signal: Signal, handler: SigHandler) -> Result<SigAction> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither the default nor ignoring runs any code of ours.
    unsafe { sigaction(signal, &action) }.doing(|| format!("setting {signal}"))
}

/// Puts a signal's handling back when dropped.
struct Ignored(Signal, SigAction);

fn ignore(signal: Signal) -> Result<Ignored> {
    Ok(Ignored(signal, set_handler(signal, SigHandler::SigIgn)?))
}

impl Drop for Ignored {
    fn drop(&mut self) {
        // SAFETY: this is the handling that was there before. It was accepted then.
        let _ = unsafe { sigaction(self.0, &self.1) };
    }
}
