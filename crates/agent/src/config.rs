//! What one instance is: the file that the server writes and the shim reads.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{AgentError, Doing, Result};

/// User data is at most 16 KiB before base64.
/// Source: EC2 user guide, "Run commands on your Linux instance at launch".
pub const USER_DATA_MAX_BYTES: usize = 16 * 1024;
/// The shutdown script has the same limit as user data.
pub const SHUTDOWN_SCRIPT_MAX_BYTES: usize = 16 * 1024;
/// An instance has at most 50 tags. Source: EC2 user guide, "Tag restrictions".
pub const TAGS_MAX: usize = 50;
/// The configuration file is never larger than this, in bytes.
pub const CONFIG_MAX_BYTES: u64 = 256 * 1024;
/// The longest stop that a configuration or a request may ask for, in milliseconds.
pub const STOP_TIMEOUT_MAX_MS: u64 = 15 * 60 * 1000;

/// How an instance is bought. The names are EC2's `instance-life-cycle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// May be interrupted.
    Spot,
    /// Runs until it is stopped.
    OnDemand,
}

impl Lifecycle {
    /// EC2's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Lifecycle::Spot => "spot",
            Lifecycle::OnDemand => "on-demand",
        }
    }
}

/// What an instance may use; each is capped to what the host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids_max: u32,
}

/// How the metadata service answers. Source: EC2 API reference, InstanceMetadataOptionsRequest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataOptions {
    /// Whether a token is needed (version 2); otherwise version 1 is answered, too.
    pub tokens_required: bool,
    /// How many hops an answer may go; the system's usual limit if it is not said.
    pub hop_limit: Option<u8>,
    /// Whether the instance's tags can be read.
    pub tags: bool,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        MetadataOptions { tokens_required: true, hop_limit: None, tags: true }
    }
}

/// One instance. Written by the server to `DIR/config.json` (mode 0600: user data may hold secrets).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeConfig {
    /// The instance's directory on the host: configuration, socket, console, exit status.
    pub dir: PathBuf,
    /// The instance, `i-…`; also names its control group.
    pub instance_id: String,
    /// The node, `smi-…`.
    pub node_id: String,
    /// The node's instances are counted; this is the number of this one.
    pub generation: u64,
    /// The host name inside, at most 64 characters.
    pub hostname: String,
    /// Where the server has mounted the root volume, on the host.
    pub root_mount: PathBuf,
    /// The pinned network namespace, with its interface and addresses.
    pub netns: PathBuf,
    /// The instance type by its EC2 name.
    pub instance_type: String,
    /// Spot or on-demand.
    pub lifecycle: Lifecycle,
    /// The availability zone.
    pub zone: String,
    /// The region.
    pub region: String,
    /// The primary private address.
    pub private_ip: Ipv4Addr,
    /// The interface's MAC, six hexadecimal pairs.
    pub mac: String,
    /// The image it was launched from.
    pub image_id: String,
    /// Raw user data (base64 in the file). Executed once the gate is open if it starts with `#!`.
    #[serde(with = "base64_bytes")]
    pub user_data: Vec<u8>,
    /// Run before a stop, when the server asks for it.
    pub shutdown_script: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// Tags, readable through the metadata service.
    pub tags: BTreeMap<String, String>,
    /// How the metadata service answers.
    #[serde(default)]
    pub metadata: MetadataOptions,
    /// How long a stop waits for the processes, in milliseconds, unless the request says otherwise.
    pub stop_timeout_ms: u64,
}

// User data and the script may hold secrets: a log that prints a configuration must not show them.
impl std::fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeConfig")
            .field("dir", &self.dir)
            .field("instance_id", &self.instance_id)
            .field("node_id", &self.node_id)
            .field("generation", &self.generation)
            .field("root_mount", &self.root_mount)
            .field("netns", &self.netns)
            .field("private_ip", &self.private_ip)
            .field("user_data_bytes", &self.user_data.len())
            .finish_non_exhaustive()
    }
}

impl NodeConfig {
    /// Checks what the shim relies on.
    ///
    /// # Errors
    /// `Invalid`, naming the field and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let refuse = |text: String| Err(AgentError::Invalid(text));
        for (field, value) in [("instance_id", &self.instance_id), ("node_id", &self.node_id)] {
            if !is_name(value) {
                return refuse(format!(
                    "{field} {value:?} must be 1 to 64 of a-z, A-Z, 0-9, '-' and '_'"
                ));
            }
        }
        let host_ok = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if self.hostname.is_empty()
            || self.hostname.len() > 64
            || !self.hostname.chars().all(host_ok)
        {
            return refuse(format!(
                "hostname {:?} must be 1 to 64 of a-z, 0-9, '-' and '.'",
                self.hostname
            ));
        }
        for (field, path) in
            [("dir", &self.dir), ("root_mount", &self.root_mount), ("netns", &self.netns)]
        {
            if !path.is_absolute() {
                return refuse(format!("{field} {} must be an absolute path", path.display()));
            }
        }
        if self.user_data.len() > USER_DATA_MAX_BYTES {
            return refuse(format!(
                "user data of {} bytes is larger than {USER_DATA_MAX_BYTES}; fetch the rest from it",
                self.user_data.len()
            ));
        }
        if self.shutdown_script.as_ref().is_some_and(|s| s.len() > SHUTDOWN_SCRIPT_MAX_BYTES) {
            return refuse(format!(
                "the shutdown script is larger than {SHUTDOWN_SCRIPT_MAX_BYTES} bytes"
            ));
        }
        if self.tags.len() > TAGS_MAX {
            return refuse(format!("{} tags; at most {TAGS_MAX} are allowed", self.tags.len()));
        }
        if self.stop_timeout_ms > STOP_TIMEOUT_MAX_MS {
            return refuse(format!("stop_timeout_ms must be at most {STOP_TIMEOUT_MAX_MS}"));
        }
        Ok(())
    }

    /// Reads a configuration file and checks it.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Invalid` when it is not a valid configuration.
    pub fn read(path: &Path) -> Result<Self> {
        let file = fs::File::open(path).doing(|| format!("opening {}", path.display()))?;
        let mut text = Vec::new();
        file.take(CONFIG_MAX_BYTES + 1)
            .read_to_end(&mut text)
            .doing(|| format!("reading {}", path.display()))?;
        if text.len() as u64 > CONFIG_MAX_BYTES {
            return Err(AgentError::Invalid(format!(
                "{} is larger than {CONFIG_MAX_BYTES} bytes",
                path.display()
            )));
        }
        let config: Self = serde_json::from_slice(&text)
            .map_err(|e| AgentError::Invalid(format!("{}: {e}", path.display())))?;
        config.validate()?;
        Ok(config)
    }

    /// Writes it to `DIR/config.json`, making the directory (mode 0700) if need be.
    ///
    /// # Errors
    /// `Invalid` for a bad configuration, `Io` otherwise.
    pub fn write(&self) -> Result<PathBuf> {
        self.validate()?;
        fs::create_dir_all(&self.dir).doing(|| format!("making {}", self.dir.display()))?;
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700))
            .doing(|| format!("closing {} to others", self.dir.display()))?;
        let path = config_path(&self.dir);
        write_json(&path, self)?;
        Ok(path)
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}

/// The configuration of the instance in `dir`.
pub fn config_path(dir: &Path) -> PathBuf {
    dir.join("config.json")
}

/// What the node printed: its init, its user data and everything they started.
pub fn console_path(dir: &Path) -> PathBuf {
    dir.join("console.log")
}

/// What the shim itself had to say.
pub fn shim_log_path(dir: &Path) -> PathBuf {
    dir.join("shim.log")
}

pub(crate) fn running_path(dir: &Path) -> PathBuf {
    dir.join("running.json")
}

pub(crate) fn exit_path(dir: &Path) -> PathBuf {
    dir.join("exit.json")
}

pub(crate) fn lock_path(dir: &Path) -> PathBuf {
    dir.join("shim.lock")
}

/// Writes a whole file or none: temporary file, mode 0600, rename.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    let text = serde_json::to_vec_pretty(value)
        .map_err(|e| AgentError::Invalid(format!("{}: {e}", path.display())))?;
    let temporary = path.with_extension("json.new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .doing(doing)?;
    file.write_all(&text).doing(doing)?;
    fs::rename(&temporary, path).doing(doing)
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}
