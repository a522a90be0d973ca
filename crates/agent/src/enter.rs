//! The program between a caller on the host and its command in a node. It enters the node, holds
//! nothing of the caller's, starts the command and passes the caller's signals on.
//!
//! It stays outside the node's pid namespace (only its child is in it), and nobody may look into
//! it, so a node reaches neither its memory nor its files.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use serde::{Deserialize, Serialize};

use crate::capabilities;
use crate::cgroup::Cgroup;
use crate::error::{AgentError, Doing, Result};
use crate::oom;
use crate::seccomp;
use crate::sys;
use crate::terminal::NodeTerminal;

/// Where it finds its socket to the caller's process, what it is to do, and the node's init.
const LINK_FD: i32 = 3;
const ORDER_FD: i32 = 4;
const INIT_FD: i32 = 5;
/// Everything from here on is closed.
pub(crate) const FIRST_FREE_FD: libc::c_uint = 6;
/// Numbers from here on are free while descriptors are put in their places.
pub(crate) const SCRATCH_FD: i32 = 64;
/// What is to be done is at most this long, in bytes: more than the kernel takes of words
/// (ARG_MAX, 2 MiB), written as JSON.
const ORDER_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// At most so many signals are taken at once.
const SIGNALS_MAX: usize = 64;
/// As a shell: the command was found but cannot run, or was not found.
const CANNOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;

/// What is to be run, and where.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    pub instance_id: String,
    pub argv: Vec<String>,
    /// Each `NAME=value`.
    pub env: Vec<String>,
    pub tty: bool,
}

/// Said to the caller's process, with the terminal if one was asked for, when this process is in
/// the node; the other way a byte is the number of a signal.
pub(crate) const ENTERED: u8 = b'E';

/// The entry of the program that enters a node: ends as the command ends.
pub(crate) fn enter_main() -> ExitCode {
    let code = enter().unwrap_or_else(|e| {
        eprintln!("holdfast: {e}");
        CANNOT_RUN
    });
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn enter() -> Result<i32> {
    // The command must not be able to look into what is still the host's program.
    sys::prctl(libc::PR_SET_DUMPABLE, 0).doing(|| "closing this process to others".into())?;
    // SAFETY: the caller's process put these three there, and nothing has used them yet.
    let [link, order, init] = [LINK_FD, ORDER_FD, INIT_FD].map(|n| unsafe { sys::take_fd(n) });
    let doing = || "taking what the caller's process gave (holdfast node exec starts this)".into();
    let (link, init) = (UnixStream::from(link.doing(doing)?), init.doing(doing)?);
    let entry = read_entry(order.doing(doing)?)?;
    let words = Words::new(&entry)?;

    Cgroup::open(&entry.instance_id)?.join()?;
    // Whoever called may be spared when memory runs out; the command is not.
    oom::go_before_init().doing(|| "taking the command's place when memory runs out".into())?;
    // While it is certainly the kernel's own.
    let null = fs::File::options().read(true).write(true).open("/dev/null");
    let null = null.doing(|| "opening /dev/null".into())?;
    let namespaces = CloneFlags::CLONE_NEWCGROUP
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS;
    setns(init, namespaces).doing(|| "entering the node".into())?;
    sys::fresh_keyring();
    let (master, slave) = if entry.tty {
        let NodeTerminal { master, slave } = NodeTerminal::open()?;
        (Some(master), Some(slave))
    } else {
        (None, None)
    };
    sys::send_byte(link.as_fd(), ENTERED, master.as_ref().map(AsFd::as_fd))
        .doing(|| "speaking to the caller's process".into())?;
    drop(master);

    match sys::fork_into(0).doing(|| "starting the command".into())? {
        sys::Fork::Child => {
            let error = run(&words, slave.as_ref());
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
            // The command alone holds its streams, so that others see when it closes them. The
            // terminal stays: its far end would be told of an end that is none.
            for stream in 0..=2 {
                sys::dup_to(null.as_fd(), stream).doing(|| "letting go of the streams".into())?;
            }
            let _open = slave;
            pass_signals_until(link, &pidfd, pid)?;
            match sys::wait_pid(pid, 0).doing(|| "waiting for the command".into())? {
                Some((_, ended)) => Ok(ended.shell_code()),
                None => Ok(CANNOT_RUN),
            }
        }
    }
}

fn read_entry(file: OwnedFd) -> Result<Entry> {
    let mut text = Vec::new();
    fs::File::from(file)
        .take(ORDER_MAX_BYTES)
        .read_to_end(&mut text)
        .doing(|| "reading the command".into())?;
    serde_json::from_slice(&text).map_err(|e| AgentError::Invalid(format!("the command: {e}")))
}

/// The command as the kernel takes it.
struct Words {
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Words {
    fn new(entry: &Entry) -> Result<Self> {
        if entry.argv.is_empty() {
            return Err(AgentError::Invalid("the command is empty".into()));
        }
        let text = |s: &String| {
            CString::new(s.as_str())
                .map_err(|_| AgentError::Invalid("a word of the command holds a zero byte".into()))
        };
        Ok(Self {
            argv: entry.argv.iter().map(text).collect::<Result<_>>()?,
            env: entry.env.iter().map(text).collect::<Result<_>>()?,
        })
    }
}

/// Sends what the caller's process says to the command's process group, until the command has
/// ended. A caller's process that is gone is a terminal that hung up.
fn pass_signals_until(link: UnixStream, pidfd: &OwnedFd, pid: i32) -> Result<()> {
    let doing = || "waiting for the command".to_owned();
    let mut link = Some(link);
    loop {
        let mut waiting = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if let Some(link) = &link {
            waiting.push(PollFd::new(link.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(e) => return Err(e).doing(doing),
        }
        let said = waiting.get(1).and_then(PollFd::any).unwrap_or(false);
        if waiting[0].any().unwrap_or(false) {
            return Ok(());
        }
        if !said {
            continue;
        }
        let Some(mut open) = link.take() else { continue };
        let mut signals = [0_u8; SIGNALS_MAX];
        match open.read(&mut signals) {
            Ok(0) => {
                // It is not reaped before this function has returned: the number is still its.
                sys::signal_session(pid, libc::SIGHUP);
                sys::signal_session(pid, libc::SIGCONT);
            }
            Ok(n) => {
                for signal in &signals[..n] {
                    sys::signal_session(pid, i32::from(*signal));
                }
                link = Some(open);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => link = Some(open),
            Err(e) => return Err(e).doing(doing),
        }
    }
}

/// In the command's process. Returns only on failure.
fn run(words: &Words, terminal: Option<&OwnedFd>) -> AgentError {
    let prepared = (|| {
        nix::unistd::setsid().doing(|| "starting a session".into())?;
        if let Some(terminal) = terminal {
            NodeTerminal::take(terminal)?;
        }
        sys::close_from(3).doing(|| "closing files".into())?;
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGPIPE] {
            let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
            // SAFETY: the default runs no code of ours.
            unsafe { sigaction(signal, &default) }.doing(|| format!("setting {signal}"))?;
        }
        std::env::set_current_dir("/root")
            .or_else(|_| std::env::set_current_dir("/"))
            .doing(|| "entering /root in the node".into())?;
        capabilities::no_core_dumps()?;
        seccomp::refuse_what_has_no_namespace()?;
        capabilities::drop_to_kept()
    })();
    if let Err(e) = prepared {
        return e;
    }
    let name = words.argv[0].to_string_lossy().into_owned();
    let source = match nix::unistd::execvpe(&words.argv[0], &words.argv, &words.env) {
        Ok(never) => match never {},
        Err(errno) => io::Error::from(errno),
    };
    AgentError::Io { doing: format!("starting {name} in the node"), source }
}
