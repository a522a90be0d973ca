//! Pid 1 in the node: reaps, holds the gate, starts the user data, ends everything.
//!
//! It knows the shim by an inherited socket and its instance by an inherited, nameless file; it
//! needs no path of the host. When the socket closes, the shim is gone and the node ends: a node
//! that nobody watches must not write to its volumes.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::capabilities;
use crate::config::{CONFIG_MAX_BYTES, NodeConfig};
use crate::error::{AgentError, Doing, Result};
use crate::oom;
use crate::protocol::{LINE_MAX_BYTES, Order, Report, ScriptOutcome, WorkloadState};
use crate::sys::{self, Ended};

/// Where init finds its socket to the shim.
pub(crate) const SHIM_FD: i32 = 3;
/// Where init finds its configuration.
pub(crate) const CONFIG_FD: i32 = 4;

/// Everything ended by itself.
const EXIT_CLEAN: u8 = 0;
/// Something had to be killed at the end of the stop's time.
const EXIT_KILLED: u8 = 1;
/// The shim is gone, or init itself failed.
const EXIT_FAILED: u8 = 70;
/// Without an event, init looks around this often.
const IDLE: Duration = Duration::from_secs(60);
/// Where the scripts are written: on tmpfs, readable by root only.
const SCRIPT_DIR: &str = "/run/holdfast";

struct Init {
    config: NodeConfig,
    /// Whether it is left out when memory runs out, which what it starts must not inherit.
    is_spared: bool,
    shim: UnixStream,
    received: Vec<u8>,
    workload: Option<i32>,
    started: bool,
    script: Option<(i32, Instant)>,
    stop: Option<Instant>,
}

/// The entry of the node's init. Ends the node when it returns.
pub fn init_main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("holdfast init: {e}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn run() -> Result<u8> {
    if std::process::id() != 1 {
        return Err(AgentError::Invalid(
            "init only runs as the first process of a node; start one with the shim".into(),
        ));
    }
    // Nothing in the node may look into init: it holds the program file of the host.
    sys::prctl(libc::PR_SET_DUMPABLE, 0).doing(|| "closing init to others".into())?;
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
        .doing(|| "tying init to its shim".into())?;
    let is_spared = oom::is_spared();
    if is_spared {
        capabilities::keep_from_descendants()?;
    }
    // SAFETY: the shim put these two there for init, and nothing has used them yet.
    let (shim, config) = unsafe { (sys::take_fd(SHIM_FD), sys::take_fd(CONFIG_FD)) };
    let shim = UnixStream::from(shim.doing(|| "taking the socket to the shim".into())?);
    let config = read_config(config.doing(|| "taking the configuration".into())?)?;
    shim.set_nonblocking(true).doing(|| "preparing the socket to the shim".into())?;

    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
        mask.add(signal);
    }
    mask.thread_block().doing(|| "blocking signals".into())?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .doing(|| "listening for signals".into())?;

    let mut init = Init {
        config,
        is_spared,
        shim,
        received: Vec::new(),
        workload: None,
        started: false,
        script: None,
        stop: None,
    };
    init.report(&Report::Ready)?;
    init.serve(&signals)
}

fn read_config(file: OwnedFd) -> Result<NodeConfig> {
    let mut text = Vec::new();
    fs::File::from(file)
        .take(CONFIG_MAX_BYTES)
        .read_to_end(&mut text)
        .doing(|| "reading the configuration".into())?;
    serde_json::from_slice(&text).map_err(|e| AgentError::Invalid(format!("configuration: {e}")))
}

impl Init {
    fn serve(&mut self, signals: &SignalFd) -> Result<u8> {
        loop {
            let timeout = PollTimeout::try_from(self.time_left()).unwrap_or(PollTimeout::MAX);
            let mut waiting = [
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.shim.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut waiting, timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e).doing(|| "waiting".into()),
            }
            while let Ok(Some(signal)) = signals.read_signal() {
                if signal.ssi_signo == libc::SIGTERM as u32 {
                    self.begin_stop(self.config.stop_timeout_ms);
                }
            }
            for order in self.orders()? {
                match order {
                    Order::OpenGate => self.start_workload()?,
                    Order::RunShutdownScript { timeout_ms } => self.start_script(timeout_ms)?,
                    Order::Stop { timeout_ms } => self.begin_stop(timeout_ms),
                    Order::Answer => self.report(&Report::Here)?,
                }
            }
            let alone = self.reap()?;
            self.end_script_at_its_limit()?;
            if let Some(deadline) = self.stop {
                if alone {
                    return Ok(EXIT_CLEAN);
                }
                if Instant::now() >= deadline {
                    sys::signal_everyone(libc::SIGKILL);
                    return Ok(EXIT_KILLED);
                }
            }
        }
    }

    fn time_left(&self) -> Duration {
        let now = Instant::now();
        [self.stop, self.script.map(|(_, deadline)| deadline)]
            .into_iter()
            .flatten()
            // One millisecond more, so that the deadline has passed when poll returns.
            .map(|d| d.saturating_duration_since(now) + Duration::from_millis(1))
            .min()
            .unwrap_or(IDLE)
    }

    /// The complete lines that the shim has sent.
    fn orders(&mut self) -> Result<Vec<Order>> {
        let mut chunk = [0_u8; 4096];
        loop {
            match self.shim.read(&mut chunk) {
                Ok(0) => return Err(AgentError::Protocol("the shim is gone; powering off".into())),
                Ok(n) => self.received.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e).doing(|| "reading from the shim".into()),
            }
            if self.received.len() > LINE_MAX_BYTES {
                return Err(AgentError::Protocol("an order is too long".into()));
            }
        }
        let mut orders = Vec::new();
        while let Some(end) = self.received.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            let order = serde_json::from_slice(&line)
                .map_err(|e| AgentError::Protocol(format!("an order is not understood: {e}")))?;
            orders.push(order);
        }
        Ok(orders)
    }

    fn report(&mut self, report: &Report) -> Result<()> {
        let mut line = serde_json::to_vec(report)
            .map_err(|e| AgentError::Protocol(format!("a report cannot be written: {e}")))?;
        line.push(b'\n');
        // A report is far smaller than the socket's buffer, so this never has to wait.
        self.shim.write_all(&line).doing(|| "reporting to the shim".into())
    }

    fn start_workload(&mut self) -> Result<()> {
        if self.started || self.stop.is_some() {
            return Ok(());
        }
        self.started = true;
        let state = if self.config.user_data.starts_with(b"#!") {
            match self.start("user-data", &self.config.user_data) {
                Ok(pid) => {
                    self.workload = Some(pid);
                    WorkloadState::Running
                }
                Err(e) => WorkloadState::Failed { message: e.to_string() },
            }
        } else {
            WorkloadState::None
        };
        self.report(&Report::Workload { state })
    }

    fn start_script(&mut self, timeout_ms: u64) -> Result<()> {
        if self.script.is_some() {
            // One run answers everybody who asked meanwhile.
            return Ok(());
        }
        let outcome = match &self.config.shutdown_script {
            None => ScriptOutcome::None,
            Some(_) if self.stop.is_some() => {
                ScriptOutcome::Failed { message: "the node is stopping".into() }
            }
            Some(script) => match self.start("shutdown-script", script.as_bytes()) {
                Ok(pid) => {
                    self.script = Some((pid, Instant::now() + Duration::from_millis(timeout_ms)));
                    return Ok(());
                }
                Err(e) => ScriptOutcome::Failed { message: e.to_string() },
            },
        };
        self.report(&Report::Script { outcome })
    }

    fn end_script_at_its_limit(&mut self) -> Result<()> {
        if let Some((pid, deadline)) = self.script
            && Instant::now() >= deadline
        {
            self.script = None;
            sys::signal_group(pid, libc::SIGKILL);
            self.report(&Report::Script { outcome: ScriptOutcome::TimedOut })?;
        }
        Ok(())
    }

    fn begin_stop(&mut self, timeout_ms: u64) {
        let deadline = Instant::now() + Duration::from_millis(timeout_ms);
        match self.stop {
            // A second stop can only shorten the first.
            Some(earlier) => self.stop = Some(earlier.min(deadline)),
            None => {
                self.stop = Some(deadline);
                sys::signal_everyone(libc::SIGTERM);
                // A stopped process would not see it.
                sys::signal_everyone(libc::SIGCONT);
            }
        }
    }

    /// Collects whatever has ended. True when init has no children left.
    fn reap(&mut self) -> Result<bool> {
        loop {
            match sys::wait_pid(-1, libc::WNOHANG) {
                Ok(None) => return Ok(false),
                Err(e) if e.raw_os_error() == Some(libc::ECHILD) => return Ok(true),
                Err(e) => return Err(e).doing(|| "reaping".into()),
                Ok(Some((pid, ended))) => self.note_end(pid, ended)?,
            }
        }
    }

    fn note_end(&mut self, pid: i32, ended: Ended) -> Result<()> {
        let code = ended.shell_code();
        if self.workload == Some(pid) {
            self.workload = None;
            self.report(&Report::Workload { state: WorkloadState::Ended { code } })?;
        }
        if self.script.is_some_and(|(script, _)| script == pid) {
            self.script = None;
            self.report(&Report::Script { outcome: ScriptOutcome::Exited { code } })?;
        }
        Ok(())
    }

    /// Writes `text` to a file and runs it in a session of its own. It needs no `#!` of its own
    /// to be a shell script.
    fn start(&self, name: &str, text: &[u8]) -> Result<i32> {
        let directory = Path::new(SCRIPT_DIR);
        let path = directory.join(name);
        let doing = || format!("writing {} in the node", path.display());
        fs::create_dir_all(directory).doing(doing)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).doing(doing)?;
        // Whatever somebody has put there goes first: writing to a pipe would be waiting for it.
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e).doing(doing),
            _ => {}
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(&path)
            .doing(doing)?;
        file.write_all(text).doing(doing)?;
        // A file that is open for writing cannot be executed.
        drop(file);
        let mut command = if text.starts_with(b"#!") {
            Command::new(&path)
        } else {
            let mut shell = Command::new("/bin/sh");
            shell.arg(&path);
            shell
        };
        command.env_clear().envs(environment(&self.config)).current_dir("/");
        let is_spared = self.is_spared;
        // SAFETY: init has one thread, so no lock is held by one that the child does not have.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                if is_spared {
                    capabilities::take_up_those_of_init()?;
                }
                oom::go_before_init()?;
                SigSet::empty().thread_set_mask()?;
                Ok(())
            });
        }
        let child = command
            .spawn()
            .doing(|| format!("starting the {name} (is its first line an interpreter?)"))?;
        i32::try_from(child.id()).map_err(|_| AgentError::Protocol("a pid is too large".into()))
    }
}

/// What every process that Holdfast starts in a node finds in its environment.
pub(crate) fn environment(config: &NodeConfig) -> Vec<(&'static str, String)> {
    vec![
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
        ("HOME", "/root".into()),
        ("HOLDFAST_NODE", config.node_id.clone()),
        ("HOLDFAST_INSTANCE", config.instance_id.clone()),
        ("HOLDFAST_GENERATION", config.generation.to_string()),
    ]
}
