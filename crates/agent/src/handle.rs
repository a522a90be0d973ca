//! Starting a shim, and finding it again.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cgroup::Cgroup;
use crate::client::ShimClient;
use crate::config::{NodeConfig, exit_path, running_path, shim_log_path};
use crate::error::{AgentError, Doing, Result};
use crate::identity::{Running, boot_id};
use crate::protocol::{ExitStatus, LINE_MAX_BYTES};
use crate::shim::READY;
use crate::sys;

/// A node starts within this time, in milliseconds, or is given up; 30 ms is usual.
const SPAWN_LIMIT_MS: u64 = 15_000;
/// After a kill, everything is gone within this time, in milliseconds; 10 ms is usual.
const KILL_LIMIT_MS: u64 = 5_000;

/// A shim, and through it a node. Dropping it leaves both alone.
#[derive(Debug)]
pub struct ShimHandle {
    dir: PathBuf,
    instance_id: String,
    shim_pid: i32,
    init_pid: i32,
    shim: OwnedFd,
    init: Option<OwnedFd>,
}

/// Starts the node of `config` and returns once its init runs, the gate closed. `exe` is a program
/// that calls [`crate::dispatch`] first: `/proc/self/exe` in the server. If a shim for the same
/// directory and instance runs already, that one is returned; one that is still starting (its
/// server was killed, say) makes this `Refused`, and the next call finds it.
///
/// Blocks for tens of milliseconds.
///
/// # Errors
/// `Invalid` for a bad configuration, `Refused` with the reason when the node could not be set
/// up (nothing of it runs then), `TimedOut`.
pub fn spawn(exe: &Path, config: &NodeConfig) -> Result<ShimHandle> {
    match ShimHandle::open(&config.dir) {
        Ok(handle) if handle.instance_id == config.instance_id => return Ok(handle),
        Ok(handle) => {
            return Err(AgentError::Refused(format!(
                "{} belongs to {}, which runs; use another directory for {}",
                config.dir.display(),
                handle.instance_id,
                config.instance_id
            )));
        }
        Err(AgentError::NotRunning { .. }) => {}
        Err(e) => return Err(e),
    }
    let path = config.write()?;
    let log_path = shim_log_path(&config.dir);
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .doing(|| format!("opening {}", log_path.display()))?;
    let doing = || format!("starting the shim of {}", config.instance_id);
    let mut child = Command::new(exe)
        .arg(crate::SHIM_SUBCOMMAND)
        .arg(&path)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .doing(doing)?;
    let mut said = String::new();
    let in_time = match child.stdout.take() {
        None => false,
        Some(stdout) => {
            // It writes all that it has to say at once, and ends.
            let ready = sys::wait_readable(stdout.as_fd(), SPAWN_LIMIT_MS).doing(doing)?;
            if ready {
                stdout.take(LINE_MAX_BYTES as u64).read_to_string(&mut said).doing(doing)?;
            }
            ready
        }
    };
    if !in_time {
        // The one that waits for the daemon; if the daemon gets there after all, it is adopted.
        child.kill().doing(doing)?;
    }
    let status = child.wait().doing(doing)?;
    if !in_time {
        return Err(AgentError::TimedOut { doing: doing(), limit_ms: SPAWN_LIMIT_MS });
    }
    if status.success() && said == READY {
        return ShimHandle::open(&config.dir);
    }
    if said.is_empty() {
        said = format!("its shim ended with {status}; see {}", log_path.display());
    }
    Err(AgentError::Refused(format!("{} cannot start: {said}", config.instance_id)))
}

impl ShimHandle {
    /// Finds the shim of the instance in `dir`, after a restart of the server, say. A process
    /// that merely has its number is never taken for it.
    ///
    /// # Errors
    /// `NotRunning` when there is none any more (see [`exit_status`] and [`clear`]); `Io`.
    pub fn open(dir: &Path) -> Result<Self> {
        let gone = |why: &str| AgentError::NotRunning { dir: dir.into(), why: why.into() };
        let path = running_path(dir);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(gone("it was never started"));
            }
            Err(e) => return Err(e).doing(|| format!("reading {}", path.display())),
        };
        let running: Running = serde_json::from_slice(&text)
            .map_err(|e| AgentError::Protocol(format!("{}: {e}", path.display())))?;
        if running.boot_id != boot_id()? {
            return Err(gone("the host has been started again since"));
        }
        let Some(shim) = running.shim.open()? else { return Err(gone("its shim has ended")) };
        if ended(&shim)? {
            return Err(gone("its shim has ended"));
        }
        Ok(Self {
            dir: dir.into(),
            instance_id: running.instance_id,
            shim_pid: running.shim.pid,
            init_pid: running.init.pid,
            shim,
            init: running.init.open()?,
        })
    }

    /// The instance's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The instance.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// The shim's number on the host.
    pub fn shim_pid(&self) -> i32 {
        self.shim_pid
    }

    /// The number of the node's init on the host.
    pub fn init_pid(&self) -> i32 {
        self.init_pid
    }

    /// Whether the node runs. When not, its shim may still be recording the end.
    ///
    /// # Errors
    /// `Io` when the kernel does not say.
    pub fn is_alive(&self) -> Result<bool> {
        match &self.init {
            None => Ok(false),
            Some(init) => Ok(!ended(init)?),
        }
    }

    pub(crate) fn init(&self) -> Option<&OwnedFd> {
        self.init.as_ref()
    }

    /// A connection to the shim.
    ///
    /// # Errors
    /// As [`ShimClient::connect`].
    pub fn client(&self) -> Result<ShimClient> {
        ShimClient::connect(&self.dir)
    }

    /// Kills everything in the node and waits until it is gone (its shim then records that and
    /// ends). Needs neither the shim's help nor the node's. An ended node is success.
    ///
    /// # Errors
    /// `TimedOut` when a process is stuck in the kernel after five seconds.
    pub fn kill(&self) -> Result<()> {
        let doing = || format!("killing {}", self.instance_id);
        if let Some(init) = &self.init {
            match sys::pidfd_signal(init.as_fd(), libc::SIGKILL) {
                Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
                result => result.doing(doing)?,
            }
        }
        Cgroup::open(&self.instance_id)?.kill()?;
        if let Some(init) = &self.init
            && !sys::wait_readable(init.as_fd(), KILL_LIMIT_MS).doing(doing)?
        {
            return Err(AgentError::TimedOut { doing: doing(), limit_ms: KILL_LIMIT_MS });
        }
        Ok(())
    }

    /// Waits at most `limit_ms` for the end of the node and of its shim. `None`: it still runs.
    /// A shim that was killed has recorded nothing: then neither code nor signal is known.
    ///
    /// # Errors
    /// `Io` when the record cannot be read.
    pub fn wait_exit(&self, limit_ms: u64) -> Result<Option<ExitStatus>> {
        let doing = || format!("waiting for the end of {}", self.instance_id);
        if !sys::wait_readable(self.shim.as_fd(), limit_ms).doing(doing)? {
            return Ok(None);
        }
        // Init dies with its shim, but a moment later.
        if let Some(init) = &self.init
            && !sys::wait_readable(init.as_fd(), limit_ms).doing(doing)?
        {
            return Ok(None);
        }
        let unknown = ExitStatus { code: None, signal: None, at_ms: crate::protocol::epoch_ms() };
        Ok(Some(exit_status(&self.dir)?.unwrap_or(unknown)))
    }
}

fn ended(pidfd: &OwnedFd) -> Result<bool> {
    sys::wait_readable(pidfd.as_fd(), 0).doing(|| "looking at a process".into())
}

/// How the node in `dir` ended, if its shim recorded it.
///
/// # Errors
/// `Io`, or `Protocol` when the record is not one.
pub fn exit_status(dir: &Path) -> Result<Option<ExitStatus>> {
    let path = exit_path(dir);
    match fs::read(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).doing(|| format!("reading {}", path.display())),
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|e| AgentError::Protocol(format!("{}: {e}", path.display()))),
    }
}

/// Removes what a shim that was itself killed has left in the system: its control group and
/// whatever still runs in it. The directory stays.
///
/// # Errors
/// `Refused` while the shim runs; `Io`.
pub fn clear(dir: &Path) -> Result<()> {
    match ShimHandle::open(dir) {
        Ok(handle) => {
            return Err(AgentError::Refused(format!(
                "{} still runs; stop it first",
                handle.instance_id
            )));
        }
        Err(AgentError::NotRunning { .. }) => {}
        Err(e) => return Err(e),
    }
    let config = NodeConfig::read(&crate::config::config_path(dir))?;
    let group = Cgroup::open(&config.instance_id)?;
    group.kill()?;
    group.remove()
}
