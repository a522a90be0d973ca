//! The process around one node. It sets the node up, answers for it, records its end, and goes.
//!
//! It is no child of the server, so it lives on when the server is killed; the server finds it
//! again through its directory. The node's init dies with it (parent-death signal, and the end of
//! its socket): a node is never left unwatched. One thread, always: it forks.

mod console;
mod control;
mod launch;
mod metadata;
mod node;
mod pace;

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::cgroup::Cgroup;
use crate::config::{NodeConfig, console_path, exit_path, write_json};
use crate::error::{AgentError, Doing, Result};
use crate::oom;
use crate::protocol::{ExitStatus, LINE_MAX_BYTES, Order, Report, epoch_ms};
use crate::sys::{self, Ended};
pub use console::{CONSOLE_BYTES_PER_S, CONSOLE_MAX_BYTES};
use launch::Launched;
use node::Node;

/// What the daemon writes to the process that waits for it, when the node's init runs.
pub(crate) const READY: &str = "ready\n";
/// Orders that wait for init to read them.
const ORDERS_MAX: usize = 64;

/// The entry of the shim: starts the node of the configuration file and returns once its init
/// runs (exit code 0, [`READY`] on standard output) or could not be started (exit code 1, the
/// reason on standard output). The shim itself goes on as a daemon.
pub fn shim_main(config_path: &Path) -> ExitCode {
    match start(config_path) {
        Ok(code) => code,
        Err(e) => {
            say(&e.to_string());
            ExitCode::FAILURE
        }
    }
}

/// To the server. If it has been killed meanwhile, there is nobody to tell.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn start(config_path: &Path) -> Result<ExitCode> {
    // Whatever the server had open is not ours.
    sys::close_from(3).doing(|| "closing inherited files".into())?;
    let config = NodeConfig::read(config_path)?;
    let (mut read, write) = io::pipe().doing(|| "making a pipe".into())?;
    match sys::fork_into(0).doing(|| "starting the shim's daemon".into())? {
        sys::Fork::Parent { .. } => {
            drop(write);
            let mut said = String::new();
            let limit = LINE_MAX_BYTES as u64;
            (&mut read).take(limit).read_to_string(&mut said).doing(|| "waiting".into())?;
            say(&said);
            Ok(if said == READY { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        sys::Fork::Child => {
            drop(read);
            sys::exit_now(i32::from(daemon(&config, write).is_err()))
        }
    }
}

fn daemon(config: &NodeConfig, mut waiting: io::PipeWriter) -> Result<()> {
    let launched = match leave_the_server().and_then(|()| launch::launch(config)) {
        Ok(launched) => launched,
        Err(e) => {
            // If the one who waits is gone too, the log still has it.
            let _ = waiting.write_all(e.to_string().as_bytes());
            eprintln!("{e}");
            return Err(e);
        }
    };
    // The server may have been killed in between; the node is up, and will be adopted.
    let _ = waiting.write_all(READY.as_bytes());
    drop(waiting);
    let result = serve(config, launched);
    if let Err(e) = &result {
        eprintln!("{e}");
    }
    result
}

fn leave_the_server() -> Result<()> {
    nix::unistd::setsid().doing(|| "starting a session".into())?;
    // Standard output is still the pipe that the server reads to its end.
    sys::dup_to(io::stderr().as_fd(), 1).doing(|| "turning output to the log".into())?;
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).doing(|| "becoming a subreaper".into())?;
    std::env::set_current_dir("/").doing(|| "entering /".into())?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    if let Err(e) = oom::spare_this_process() {
        eprintln!("the shim and the node's init are not spared when memory runs out: {e}");
    }
    Cgroup::shims()?.join()
}

fn serve(config: &NodeConfig, launched: Launched) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .doing(|| "starting the shim's event loop".into())?;
    let Launched { init_pid, cgroup, lock, .. } = &launched;
    let (init_pid, cgroup, _lock) = (*init_pid, cgroup.clone(), lock.try_clone());
    let local = tokio::task::LocalSet::new();
    let served = local.block_on(&runtime, until_the_end(config, launched));
    // Whatever went wrong above: without its shim there is no node. Init is not reaped yet, so
    // its number is still its own; the group also has whoever came in by exec.
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(init_pid),
        nix::sys::signal::Signal::SIGKILL,
    );
    let killed = cgroup.kill();
    let ended = sys::wait_pid(init_pid, 0).doing(|| "waiting for init".into())?;
    let (code, signal) = match ended.map(|(_, ended)| ended) {
        Some(Ended::Code(code)) => (Some(code), None),
        Some(Ended::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    write_json(&exit_path(&config.dir), &ExitStatus { code, signal, at_ms: epoch_ms() })?;
    killed?;
    cgroup.remove()?;
    served
}

/// Serves until init has ended (it is not reaped yet).
async fn until_the_end(config: &NodeConfig, launched: Launched) -> Result<()> {
    let (orders, queue) = mpsc::channel::<Order>(ORDERS_MAX);
    let Launched { init_pid, init_pidfd, control, metadata, console, init_socket, .. } = launched;
    let (started_at_ms, boot_us) = (launched.started_at_ms, launched.boot_us);
    let watched = init_pidfd.try_clone().doing(|| "copying a pidfd".into())?;
    // SAFETY: the descriptor is owned by `ended` and stays open and the same until it is dropped.
    let ended = unsafe { AsyncFd::register(watched) }
        .map_err(io::Error::from)
        .doing(|| "watching init".into())?;
    let node = Rc::new(RefCell::new(Node::new(
        config.clone(),
        init_pid,
        init_pidfd,
        launched.cgroup,
        orders,
        started_at_ms,
        boot_us,
    )));
    init_socket.set_nonblocking(true).doing(|| "preparing init's socket".into())?;
    let socket =
        tokio::net::UnixStream::from_std(init_socket).doing(|| "preparing init's socket".into())?;
    let (from_init, to_init) = socket.into_split();

    tokio::task::spawn_local(send_orders(queue, to_init));
    tokio::task::spawn_local(take_reports(node.clone(), from_init));
    tokio::task::spawn_local(control::serve(node.clone(), control)?);
    tokio::task::spawn_local(metadata::serve(node.clone(), metadata)?);
    let console = pipe::Receiver::from_owned_fd(console).doing(|| "reading the console".into())?;
    let has_ended = Rc::new(Cell::new(false));
    let copy = console::copy(console_path(&config.dir), console, Rc::clone(&has_ended));
    let mut copying = tokio::task::spawn_local(copy);

    // Readable: every thread of init has ended, and with it every process of its namespace.
    let readable = ended.readable().await.doing(|| "watching init".into())?;
    drop(readable);
    has_ended.set(true);
    // The pipe ends now, unless somebody outside holds it.
    let last = tokio::time::Duration::from_millis(200);
    if tokio::time::timeout(last, &mut copying).await.is_err() {
        copying.abort();
    }
    Ok(())
}

async fn send_orders(
    mut queue: mpsc::Receiver<Order>,
    mut to_init: tokio::net::unix::OwnedWriteHalf,
) {
    while let Some(order) = queue.recv().await {
        let Ok(mut line) = serde_json::to_vec(&order) else { continue };
        line.push(b'\n');
        if to_init.write_all(&line).await.is_err() {
            // Init has ended; the watcher sees that too.
            return;
        }
    }
}

async fn take_reports(node: Rc<RefCell<Node>>, from_init: tokio::net::unix::OwnedReadHalf) {
    let mut lines = BufReader::new(from_init);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut lines).take(LINE_MAX_BYTES as u64);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => match serde_json::from_slice::<Report>(&line) {
                Ok(report) => node.borrow_mut().note(report),
                Err(e) => eprintln!("a report of init is not understood: {e}"),
            },
        }
    }
}

/// The lock that keeps a second shim away from the directory, for as long as it is open.
fn lock_directory(path: &Path) -> Result<OwnedFd> {
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .doing(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file.into()),
        Err(fs::TryLockError::WouldBlock) => Err(AgentError::Refused(format!(
            "a shim runs already for {}; adopt it instead of starting another",
            path.parent().unwrap_or(path).display()
        ))),
        Err(fs::TryLockError::Error(e)) => Err(e).doing(|| format!("locking {}", path.display())),
    }
}
