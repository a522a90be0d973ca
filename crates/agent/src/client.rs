//! The server's side of the control socket.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{AgentError, Doing, Result};
use crate::protocol::{
    LINE_MAX_BYTES, ManifestEntry, NodeStatus, Request, Response, SCRIPT_TIMEOUT_MAX_MS,
    ScriptOutcome,
};

/// An answer that does not depend on the workload arrives within this time.
pub const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A script's answer may come this long after the script's own limit.
const SCRIPT_ANSWER_EXTRA: Duration = Duration::from_secs(5);

/// A blocking connection to the shim of one instance. Use it on a thread that may wait.
#[derive(Debug)]
pub struct ShimClient {
    stream: BufReader<UnixStream>,
    dir: PathBuf,
}

impl ShimClient {
    /// Connects to the shim of the instance in `dir`.
    ///
    /// # Errors
    /// `NotRunning` when nobody listens there, `Io` otherwise.
    pub fn connect(dir: &Path) -> Result<Self> {
        let (socket, _directory) = socket_path(dir)?;
        let stream = UnixStream::connect(&socket).map_err(|e| AgentError::NotRunning {
            dir: dir.to_path_buf(),
            why: format!("its control socket does not answer ({e})"),
        })?;
        let doing = || format!("preparing the connection to {}", dir.display());
        stream.set_write_timeout(Some(ANSWER_MAX)).doing(doing)?;
        Ok(Self { stream: BufReader::new(stream), dir: dir.to_path_buf() })
    }

    /// Who is it, and how far?
    ///
    /// # Errors
    /// As every method here: `Refused` with the shim's reason, `TimedOut`, `NotRunning`, `Io`.
    pub fn ping(&mut self) -> Result<NodeStatus> {
        match self.ask(&Request::Ping, ANSWER_MAX)? {
            Response::Status(status) => Ok(status),
            other => Err(unexpected(&other)),
        }
    }

    /// Whether the node's init answers.
    ///
    /// # Errors
    /// `Refused` when it does not, in time.
    pub fn check(&mut self) -> Result<()> {
        self.done(&Request::Check)
    }

    /// Shows the volume that the host has mounted at `source` at `target` in the node, if it is
    /// the file system `fs_uuid`. Repeating it is harmless.
    ///
    /// # Errors
    /// `Refused` when it is another file system or the target is taken.
    pub fn mount(
        &mut self,
        device: &str,
        source: &Path,
        fs_uuid: &str,
        target: &str,
    ) -> Result<()> {
        self.done(&Request::Mount {
            device: device.into(),
            source: source.into(),
            fs_uuid: fs_uuid.into(),
            target: target.into(),
        })
    }

    /// Takes the volume at `target` away from the node. Nothing mounted there is success.
    ///
    /// # Errors
    /// `Refused` when it is in use.
    pub fn unmount(&mut self, target: &str) -> Result<()> {
        self.done(&Request::Unmount { target: target.into() })
    }

    /// Lets the node be known by another address than the one it was started with: its host name,
    /// its `/etc/hosts` and its metadata say so from then on. Twice is once.
    ///
    /// # Errors
    /// `Refused` when the gate is open already, or the name is not one.
    pub fn known_by(
        &mut self,
        private_ip: std::net::Ipv4Addr,
        mac: &str,
        hostname: &str,
    ) -> Result<()> {
        let (mac, hostname) = (mac.to_owned(), hostname.to_owned());
        self.done(&Request::KnownBy { private_ip, mac, hostname })
    }

    /// Lets the workload start if everything in `manifest` is mounted. Returns when the gate was
    /// opened, in milliseconds since the epoch; an open gate stays open and is success.
    ///
    /// # Errors
    /// `Refused`, naming every member that is missing.
    pub fn open_gate(&mut self, manifest: &[ManifestEntry]) -> Result<u64> {
        let request = Request::OpenGate { manifest: manifest.to_vec() };
        match self.ask(&request, ANSWER_MAX)? {
            Response::GateOpen { opened_at_ms } => Ok(opened_at_ms),
            other => Err(unexpected(&other)),
        }
    }

    /// Publishes an interruption notice: `action` is `terminate`, `stop` or `hibernate`, `time`
    /// RFC 3339 in UTC.
    ///
    /// # Errors
    /// `Refused` for another action.
    pub fn set_notice(&mut self, action: &str, time: &str) -> Result<()> {
        self.done(&Request::SetNotice { action: action.into(), time: time.into() })
    }

    /// Runs the shutdown script, for at most `timeout_ms`, and waits for its end.
    ///
    /// # Errors
    /// `Refused` for a limit over [`SCRIPT_TIMEOUT_MAX_MS`].
    pub fn run_shutdown_script(&mut self, timeout_ms: u64) -> Result<ScriptOutcome> {
        let limit =
            Duration::from_millis(timeout_ms.min(SCRIPT_TIMEOUT_MAX_MS)) + SCRIPT_ANSWER_EXTRA;
        match self.ask(&Request::RunShutdownScript { timeout_ms }, limit)? {
            Response::Script { outcome } => Ok(outcome),
            other => Err(unexpected(&other)),
        }
    }

    /// Begins to power the node off; [`crate::ShimHandle::wait_exit`] sees the end.
    ///
    /// # Errors
    /// `Refused` for a limit that is too long.
    pub fn stop(&mut self, timeout_ms: Option<u64>) -> Result<()> {
        self.done(&Request::Stop { timeout_ms })
    }

    /// Kills everything in the node. [`crate::ShimHandle::kill`] does it without the shim's help
    /// and waits for the end.
    ///
    /// # Errors
    /// `Refused` when the processes could not be signalled.
    pub fn kill(&mut self) -> Result<()> {
        self.done(&Request::Kill)
    }

    fn done(&mut self, request: &Request) -> Result<()> {
        match self.ask(request, ANSWER_MAX)? {
            Response::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn ask(&mut self, request: &Request, limit: Duration) -> Result<Response> {
        let name = self.dir.display().to_string();
        let mut line = serde_json::to_vec(request)
            .map_err(|e| AgentError::Protocol(format!("a request cannot be written: {e}")))?;
        line.push(b'\n');
        if line.len() > LINE_MAX_BYTES {
            return Err(AgentError::Invalid(format!(
                "a request of {} bytes is longer than {LINE_MAX_BYTES}",
                line.len()
            )));
        }
        let stream = self.stream.get_mut();
        stream.set_read_timeout(Some(limit)).doing(|| format!("asking the shim of {name}"))?;
        stream.write_all(&line).doing(|| format!("asking the shim of {name}"))?;
        let mut answer = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_MAX_BYTES as u64);
        match limited.read_until(b'\n', &mut answer) {
            Ok(0) => {
                return Err(AgentError::NotRunning {
                    dir: self.dir.clone(),
                    why: "its shim ended before it answered".into(),
                });
            }
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                return Err(AgentError::TimedOut {
                    doing: format!("an answer of the shim of {name}"),
                    limit_ms,
                });
            }
            Err(e) => return Err(e).doing(|| format!("reading from the shim of {name}")),
        }
        match serde_json::from_slice(&answer) {
            Ok(Response::Refused { message }) => Err(AgentError::Refused(message)),
            Ok(response) => Ok(response),
            Err(e) => Err(AgentError::Protocol(format!("the shim of {name} answered: {e}"))),
        }
    }
}

fn unexpected(response: &Response) -> AgentError {
    AgentError::Protocol(format!("the shim answered something else: {response:?}"))
}

/// A path to the control socket that is short enough for `sockaddr_un` (108 bytes) wherever `dir`
/// is. Good while the returned file is open.
pub(crate) fn socket_path(dir: &Path) -> Result<(PathBuf, File)> {
    let file = File::open(dir).map_err(|e| AgentError::NotRunning {
        dir: dir.to_path_buf(),
        why: format!("the directory cannot be opened ({e})"),
    })?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/control.sock", file.as_raw_fd())), file))
}
