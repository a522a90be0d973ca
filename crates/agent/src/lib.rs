//! The inside of a node on this host, and the shim around it.
//!
//! ```text
//! server ── spawn ──► shim (own session, own control group, one thread; outlives the server)
//!    │                 │ control.sock: mount, gate, notice, stop, kill      ── ShimClient
//!    │                 │ 169.254.169.254:80 in the node's network           ── metadata service
//!    └── ShimHandle ─┐ │ clone(pid, mount, ipc, uts) · own root · few capabilities · exec
//!       (pidfds)     └►▼
//!                     init: pid 1 in the node. Reaps, holds the gate, then runs the user data
//! ```
//!
//! The binary calls [`dispatch`] first thing in `main`; the server then uses
//! - [`populate_root`] on a blank root volume, before its first boot; [`lay_out_root`] and
//!   [`root_mark`] for what such volumes are copied from;
//! - [`spawn`] to start a node, [`ShimHandle::open`] to find it again after a restart;
//! - [`ShimClient`] (from [`ShimHandle::client`]) to mount volumes and open the gate;
//! - [`ShimHandle::kill`] and [`ShimHandle::wait_exit`], [`exit_status`] and [`clear`] at the end;
//! - [`exec_in`] for a command in the node; [`filesystem_uuid`] for the manifest;
//!   [`Cgroup::remove_base`] when nothing is to be left on the host;
//! - [`Standstill`] to copy several volumes as of one instant.
//!
//! All of these block; none needs a runtime. What must stay absent: this crate decides nothing
//! about a node, and knows no cloud.
//!
//! A directory of an instance holds `config.json` (the server writes it), `running.json` (which
//! processes they are), `control.sock`, `console.log`, `shim.log`, `shim.lock` and in the end
//! `exit.json`.

mod beneath;
mod capabilities;
mod cgroup;
mod client;
mod config;
mod enter;
mod error;
mod exec;
mod filesystem;
mod handle;
mod identity;
mod init;
mod mount_points;
mod mountinfo;
mod mounting;
mod network;
mod oom;
mod program;
mod protocol;
mod relay;
mod rootfs;
mod seccomp;
mod secrets;
mod shim;
mod skeleton;
mod standstill;
mod sys;
mod terminal;

use std::path::Path;
use std::process::ExitCode;

pub use capabilities::KEPT as CAPABILITIES_KEPT;
pub use cgroup::Cgroup;
pub use client::{ANSWER_MAX, ShimClient};
pub use config::{
    Lifecycle, Limits, MetadataOptions, NodeConfig, SHUTDOWN_SCRIPT_MAX_BYTES, STOP_TIMEOUT_MAX_MS,
    TAGS_MAX, USER_DATA_MAX_BYTES, config_path, console_path, shim_log_path,
};
pub use error::{AgentError, Result};
pub use exec::{Wanted, exec_in};
pub use filesystem::filesystem_uuid;
pub use handle::{ShimHandle, clear, exit_status, spawn};
pub use init::init_main;
pub use mountinfo::unescape as unescape_mountinfo;
pub use network::{METADATA_ADDRESS, METADATA_PORT};
pub use protocol::{
    ExitStatus, LINE_MAX_BYTES, MANIFEST_MAX, ManifestEntry, NodeStatus, Request, Response,
    SCRIPT_TIMEOUT_MAX_MS, ScriptOutcome, WorkloadState,
};
pub use shim::{CONSOLE_BYTES_PER_S, CONSOLE_MAX_BYTES, shim_main};
pub use skeleton::{lay_out_root, populate_root, root_mark};
pub use standstill::{STANDSTILL_MOST_MS, STANDSTILL_SUBCOMMAND, Standstill, thaw};

/// The hidden subcommand that is the shim; its argument is the configuration file.
pub const SHIM_SUBCOMMAND: &str = "agent-shim";
/// The hidden subcommand that is the init of a node.
pub const INIT_SUBCOMMAND: &str = "agent-init";
/// The hidden subcommand that enters a node for [`exec_in`].
pub const ENTER_SUBCOMMAND: &str = "agent-enter";

/// Runs the shim, init, the way into a node or a standstill if the program was started as one. To be
/// called before anything else in `main`: before threads, and before files are opened (the shim
/// closes what it inherited).
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let subcommand = args.next()?;
    if subcommand == SHIM_SUBCOMMAND {
        let path = args.next()?;
        return Some(shim_main(Path::new(&path)));
    }
    if subcommand == STANDSTILL_SUBCOMMAND {
        return Some(standstill::standstill_main(args));
    }
    if subcommand == ENTER_SUBCOMMAND {
        return Some(enter::enter_main());
    }
    (subcommand == INIT_SUBCOMMAND).then(init_main)
}
