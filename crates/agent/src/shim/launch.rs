//! From a configuration to a running init.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;

use crate::capabilities;
use crate::cgroup::Cgroup;
use crate::client::socket_path;
use crate::config::{NodeConfig, config_path, exit_path, lock_path, running_path, write_json};
use crate::error::{AgentError, Doing, Result};
use crate::identity::{Identity, Running, boot_id};
use crate::init::{CONFIG_FD, SHIM_FD, environment};
use crate::network;
use crate::oom;
use crate::program;
use crate::protocol::{LINE_MAX_BYTES, Report, epoch_ms};
use crate::rootfs;
use crate::seccomp;
use crate::sys;

/// The node's init must run within this time; 20 ms is usual, a replayed journal is not in it.
const BOOT_LIMIT: Duration = Duration::from_secs(10);
/// Numbers from here on are free while descriptors are put in their places.
const SCRATCH_FD: i32 = 64;

/// A node whose init runs.
pub(super) struct Launched {
    pub init_pid: i32,
    pub init_pidfd: OwnedFd,
    pub init_socket: UnixStream,
    pub control: UnixListener,
    pub metadata: TcpListener,
    pub console: OwnedFd,
    pub cgroup: Cgroup,
    pub lock: OwnedFd,
    pub started_at_ms: u64,
    pub boot_us: u64,
}

/// Starts the node. When it fails, nothing of it runs.
pub(super) fn launch(config: &NodeConfig) -> Result<Launched> {
    let begun = Instant::now();
    let lock = super::lock_directory(&lock_path(&config.dir))?;
    // Whoever gives an instance up deletes its configuration while holding that lock: a shim that
    // comes to the lock after that must not start the node any more.
    if !config_path(&config.dir).exists() {
        return Err(AgentError::Refused(format!(
            "{} was given up before it started",
            config.instance_id
        )));
    }
    for stale in [exit_path(&config.dir), running_path(&config.dir)] {
        remove_file(&stale)?;
    }
    let program = program::own_program()?;
    let cgroup = Cgroup::create(&config.instance_id, &config.limits)?;
    let launched = start_in(config, cgroup.clone(), lock, &program, begun);
    if launched.is_err() {
        // Best effort, on the way out with an error that says more than these could.
        let _ = cgroup.kill();
        let _ = cgroup.remove();
    }
    launched
}

/// Starts the node in its control group.
fn start_in(
    config: &NodeConfig,
    cgroup: Cgroup,
    lock: OwnedFd,
    program: &OwnedFd,
    begun: Instant,
) -> Result<Launched> {
    for missing in ["cpu", "memory", "pids"].iter().filter(|l| !cgroup.limited().contains(l)) {
        eprintln!("the host has no {missing} controller: {} runs unlimited", config.instance_id);
    }
    network::enter_namespace(&config.netns)?;
    let metadata = network::listen_for_metadata()?;
    let (socket, directory) = socket_path(&config.dir)?;
    remove_file(&socket)?;
    let control = UnixListener::bind(&socket)
        .doing(|| format!("listening on {}/control.sock", config.dir.display()))?;
    drop(directory);
    let (console, console_of_node) = io::pipe().doing(|| "making the console's pipe".into())?;
    let (mut ours, theirs) = UnixStream::pair().doing(|| "making init's socket".into())?;
    let settings = program::nameless_file(config)?;

    let flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let forked = sys::fork_into(flags)
        .doing(|| "making the node's namespaces (Holdfast must run as root)".into())?;
    let (init_pid, init_pidfd) = match forked {
        sys::Fork::Parent { pid, pidfd } => (pid, pidfd),
        sys::Fork::Child => {
            let places = Places {
                program,
                shim: theirs.as_fd(),
                settings: settings.as_fd(),
                console: console_of_node.as_fd(),
            };
            let error = become_init(config, &cgroup, &places);
            let report = Report::SetupFailed { message: error.to_string() };
            let mut theirs = &theirs;
            if let Ok(line) = serde_json::to_string(&report) {
                // The shim also sees the code.
                let _ = writeln!(theirs, "{line}");
            }
            sys::exit_now(1)
        }
    };
    drop((theirs, console_of_node, settings));

    let mut launched = Launched {
        init_pid,
        init_pidfd,
        init_socket: ours.try_clone().doing(|| "copying init's socket".into())?,
        control,
        metadata,
        console: console.into(),
        cgroup,
        lock,
        started_at_ms: 0,
        boot_us: 0,
    };
    let identified = wait_for_ready(&mut ours)
        .and_then(|()| {
            launched.started_at_ms = epoch_ms();
            launched.boot_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let me = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
            Ok(Running {
                instance_id: config.instance_id.clone(),
                boot_id: boot_id()?,
                shim: Identity::of(me)?,
                init: Identity::of(init_pid)?,
            })
        })
        .and_then(|running| write_json(&running_path(&config.dir), &running));
    match identified {
        Ok(()) => Ok(launched),
        Err(e) => {
            abandon(&launched);
            Err(e)
        }
    }
}

fn abandon(launched: &Launched) {
    // Best effort, on the way out with an error that says more than these could.
    let _ = sys::pidfd_signal(launched.init_pidfd.as_fd(), libc::SIGKILL);
    let _ = launched.cgroup.kill();
    let _ = sys::wait_pid(launched.init_pid, 0);
    let _ = launched.cgroup.remove();
}

/// Reads byte by byte, so that nothing of what follows the first line is lost.
fn wait_for_ready(socket: &mut UnixStream) -> Result<()> {
    let doing = || "waiting for the node's init".to_owned();
    socket.set_read_timeout(Some(BOOT_LIMIT)).doing(doing)?;
    let mut line = Vec::new();
    let mut byte = [0_u8; 1];
    while !line.ends_with(b"\n") && line.len() < LINE_MAX_BYTES {
        match socket.read(&mut byte) {
            Ok(0) => {
                return Err(AgentError::Protocol(
                    "the node's init ended before it was ready; see its console.log".into(),
                ));
            }
            Ok(_) => line.push(byte[0]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let limit_ms = u64::try_from(BOOT_LIMIT.as_millis()).unwrap_or(u64::MAX);
                return Err(AgentError::TimedOut { doing: "the node's start".into(), limit_ms });
            }
            Err(e) => return Err(e).doing(doing),
        }
    }
    match serde_json::from_slice(&line) {
        Ok(Report::Ready) => Ok(()),
        Ok(Report::SetupFailed { message }) => Err(AgentError::Refused(message)),
        _ => Err(AgentError::Protocol("the node's init did not say that it is ready".into())),
    }
}

struct Places<'a> {
    program: &'a OwnedFd,
    shim: std::os::fd::BorrowedFd<'a>,
    settings: std::os::fd::BorrowedFd<'a>,
    console: std::os::fd::BorrowedFd<'a>,
}

/// In the new namespaces, as pid 1. Returns only when it failed.
fn become_init(config: &NodeConfig, cgroup: &Cgroup, places: &Places<'_>) -> AgentError {
    match try_become_init(config, cgroup, places) {
        Ok(never) => match never {},
        Err(e) => e,
    }
}

fn try_become_init(
    config: &NodeConfig,
    cgroup: &Cgroup,
    places: &Places<'_>,
) -> Result<std::convert::Infallible> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
        .doing(|| "tying init to its shim".into())?;
    // While the host's control groups can be seen, and before anything of the node runs.
    cgroup.join()?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWCGROUP)
        .doing(|| "making a control group namespace".into())?;
    nix::unistd::setsid().doing(|| "starting the node's session".into())?;
    nix::unistd::sethostname(&config.hostname).doing(|| "setting the host name".into())?;
    sys::fresh_keyring();
    rootfs::enter(config)?;

    let doing = || "arranging init's files".to_owned();
    let null = fs::File::open("/dev/null").doing(doing)?;
    // First out of the way, then into place: a source may have the number of another's place.
    let copy = |fd: std::os::fd::BorrowedFd<'_>| sys::dup_above(fd, SCRATCH_FD).doing(doing);
    let program = copy(places.program.as_fd())?;
    let wanted = [
        (copy(null.as_fd())?, 0),
        (copy(places.console)?, 1),
        (copy(places.console)?, 2),
        (copy(places.shim)?, SHIM_FD),
        (copy(places.settings)?, CONFIG_FD),
    ];
    for (fd, place) in &wanted {
        sys::dup_to(fd.as_fd(), *place).doing(doing)?;
    }
    sys::close_from_on_exec(5).doing(doing)?;
    SigSet::empty().thread_set_mask().doing(doing)?;

    capabilities::no_core_dumps()?;
    seccomp::refuse_what_has_no_namespace()?;
    if oom::is_spared() {
        capabilities::drop_to_those_of_init()?;
    } else {
        capabilities::drop_to_kept()?;
    }
    let text = |s: &str| {
        CString::new(s).map_err(|_| AgentError::Invalid(format!("{s:?} holds a zero byte")))
    };
    let argv = [text("holdfast-init")?, text(crate::INIT_SUBCOMMAND)?];
    let env = environment(config)
        .into_iter()
        .map(|(name, value)| text(&format!("{name}={value}")))
        .collect::<Result<Vec<_>>>()?;
    Err(sys::exec_fd(program.as_fd(), &argv, &env)).doing(|| "starting the node's init".into())
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).doing(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}
