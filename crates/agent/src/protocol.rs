//! What the server, the shim and the node's init say to each other: one JSON object per line.

use serde::{Deserialize, Serialize};

/// A line of any of the protocols is at most this long, in bytes.
pub const LINE_MAX_BYTES: usize = 64 * 1024;
/// A manifest names at most so many volumes. Source: EC2 user guide, "Instance volume limits":
/// 28 attachments on most Nitro instances; twice that leaves room.
pub const MANIFEST_MAX: usize = 56;
/// The longest that a shutdown script may be given, in milliseconds.
pub const SCRIPT_TIMEOUT_MAX_MS: u64 = 15 * 60 * 1000;

/// A volume of a generation's manifest, and where the node has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The device name of the attachment, for people.
    pub device: String,
    /// The identity of the file system: what counts.
    pub fs_uuid: String,
    /// The path in the node.
    pub target: String,
}

/// From the server to the shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Who are you, and how far?
    Ping,
    /// Does the node's init still answer? Its own word, not the shim's: the shim lives outside.
    Check,
    /// Show the volume that is mounted at `source` on the host at `target` in the node.
    Mount {
        /// The device name of the attachment, for people.
        device: String,
        /// Where the host has it.
        source: std::path::PathBuf,
        /// Which file system it must be.
        fs_uuid: String,
        /// Where the node is to have it.
        target: String,
    },
    /// Take a volume away from the node.
    Unmount {
        /// The path in the node.
        target: String,
    },
    /// Be known by this address from now on: host name, `/etc/hosts`, metadata.
    KnownBy {
        /// The private address.
        private_ip: std::net::Ipv4Addr,
        /// The MAC address that goes with it.
        mac: String,
        /// The host name.
        hostname: String,
    },
    /// Let the workload start, if all of these are mounted.
    OpenGate {
        /// What the workload must find.
        manifest: Vec<ManifestEntry>,
    },
    /// Publish an interruption notice.
    SetNotice {
        /// `terminate`, `stop` or `hibernate`.
        action: String,
        /// RFC 3339, UTC.
        time: String,
    },
    /// Run the shutdown script and say how it ended.
    RunShutdownScript {
        /// Then it is killed.
        timeout_ms: u64,
    },
    /// Power off: terminate, wait, kill. Answered at once; the end shows in the exit status.
    Stop {
        /// How long processes get; the configuration's when absent.
        timeout_ms: Option<u64>,
    },
    /// Kill everything in the node now.
    Kill,
}

/// From the shim to the server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// It is so now.
    Done,
    /// To a ping.
    Status(NodeStatus),
    /// To `OpenGate`.
    GateOpen {
        /// When it first opened: milliseconds since the epoch.
        opened_at_ms: u64,
    },
    /// To `RunShutdownScript`.
    Script {
        /// How it ended.
        outcome: ScriptOutcome,
    },
    /// It is not so, and why.
    Refused {
        /// What, which resource, what to do.
        message: String,
    },
}

/// How far a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The instance.
    pub instance_id: String,
    /// The node.
    pub node_id: String,
    /// Counts the node's instances.
    pub generation: u64,
    /// The node's init, as the host numbers it.
    pub init_pid: i32,
    /// When init was running: milliseconds since the epoch.
    pub started_at_ms: u64,
    /// From the shim's start to init running, in microseconds.
    pub boot_us: u64,
    /// When the gate opened, if it did: milliseconds since the epoch.
    pub gate_opened_at_ms: Option<u64>,
    /// The user data, once the gate is open.
    pub workload: WorkloadState,
    /// What is mounted.
    pub mounts: Vec<ManifestEntry>,
    /// Which limits are in force: of `cpu`, `memory`, `pids`.
    pub limited: Vec<String>,
    /// Whether a stop was asked for.
    pub stopping: bool,
}

/// What became of the user data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WorkloadState {
    /// The gate is closed.
    Waiting,
    /// There is nothing to run: no user data, or none that starts with `#!`.
    None,
    /// It runs.
    Running,
    /// It ended; what it has started goes on.
    Ended {
        /// Its code, or 128 plus the signal.
        code: i32,
    },
    /// It could not be started.
    Failed {
        /// Why.
        message: String,
    },
}

/// How a shutdown script ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum ScriptOutcome {
    /// The node has none.
    None,
    /// By itself (or by a signal: 128 plus its number).
    Exited {
        /// Its code.
        code: i32,
    },
    /// It was killed at its limit.
    TimedOut,
    /// It could not be started.
    Failed {
        /// Why.
        message: String,
    },
}

/// From the shim to init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub(crate) enum Order {
    OpenGate,
    RunShutdownScript { timeout_ms: u64 },
    Stop { timeout_ms: u64 },
    Answer,
}

/// From init to the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(crate) enum Report {
    /// Init runs.
    Ready,
    /// The node could not be set up.
    SetupFailed { message: String },
    /// The user data.
    Workload { state: WorkloadState },
    /// The shutdown script.
    Script { outcome: ScriptOutcome },
    /// To `Answer`.
    Here,
}

/// How a node ended; the shim writes it to `DIR/exit.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus {
    /// Init's code: 0 after a stop in which everything ended by itself, 1 if something had to be
    /// killed. `None` if init was killed.
    pub code: Option<i32>,
    /// The signal that killed init.
    pub signal: Option<i32>,
    /// Milliseconds since the epoch.
    pub at_ms: u64,
}

/// Milliseconds since the epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "a node lives in real time; nothing is decided by it"
)]
pub(crate) fn epoch_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
