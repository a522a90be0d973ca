//! `holdfast serve` and `holdfast backup`.

use crate::cli::options::{DATA_DIR, LISTEN};
use clap::{Args, ValueEnum};
use holdfast_cloud_local::{MAX_OVERCOMMIT, OVERCOMMIT};
use holdfast_controller::fleet::VOLUNTARY_PER_HOUR;
use holdfast_terminal::duration;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Which cloud the server manages.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CloudKind {
    /// Real nodes on this Linux host (needs root)
    Local,
}

/// Options of `holdfast serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  holdfast serve
  holdfast serve --data-dir /srv/holdfast --listen 127.0.0.1:8000
  RUST_LOG=debug holdfast serve

At the first start a token is made and written to the file \"token\" of the data directory; the
commands find it there. Nodes outlive the server: stopped or killed and started again, it goes on
where it was.")]
pub struct ServeOptions {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,
    /// Where the API listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = LISTEN)]
    pub listen: SocketAddr,
    /// Which cloud to manage
    #[arg(long, value_enum, default_value = "local")]
    pub cloud: CloudKind,
    /// Make a new token; the one before is no longer good
    #[arg(long)]
    pub new_token: bool,
    /// Be this installation, where the store was lost: a store with nodes of its own keeps its name
    #[arg(long, value_name = "ID")]
    pub installation: Option<String>,
    /// While a node runs, take snapshots of what is kept so often: at least 1s
    #[arg(long, value_name = "SPAN", value_parser = snapshot_interval, default_value = "5m")]
    pub snapshot_interval: Duration,
    /// At most so many replacements an hour because a node could run somewhere better; 0: none
    #[arg(long, value_name = "N", default_value_t = VOLUNTARY_PER_HOUR)]
    pub voluntary_per_hour: usize,
    /// How many times what this host has for volumes may be promised to them; 1: never more than there is
    #[arg(long, value_name = "N", value_parser = overcommit, default_value_t = OVERCOMMIT)]
    pub overcommit: f64,
    /// How long what a deletion does not select is kept before it is removed
    #[arg(long, value_name = "SPAN", value_parser = duration::parse, default_value = "96h")]
    pub deallocation_grace: Duration,
}

fn snapshot_interval(text: &str) -> Result<Duration, String> {
    let span = duration::parse(text)?;
    if span < Duration::from_secs(1) {
        return Err("snapshots are at least 1s apart".to_owned());
    }
    Ok(span)
}

fn overcommit(text: &str) -> Result<f64, String> {
    let times = text.parse().ok().filter(|times| (1.0..=MAX_OVERCOMMIT).contains(times));
    times.ok_or_else(|| format!("it must be a number from 1 to {MAX_OVERCOMMIT}"))
}

/// `holdfast backup`.
#[derive(Debug, Args)]
pub struct BackupOptions {
    /// The directory to make; without it, one below "backups" in the data directory, where the newest 8
    /// are kept
    #[arg(value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Where the server keeps everything
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,
}
