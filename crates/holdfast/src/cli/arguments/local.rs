//! `holdfast local …`.

use super::market::MarketCommand;
use crate::cli::options::{DATA_DIR, ServerOptions};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What concerns this host's cloud as a whole.
#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Remove every trace of all nodes, and the installation, from this host
    #[command(after_help = "Examples:
  holdfast local reset
  holdfast local reset --yes --data-dir /srv/holdfast

The server must not be running. Every node is killed and every volume deleted.")]
    Reset(ResetOptions),
    /// Make cloud.db, the memory of this host's cloud, anew from what is beside the images
    #[command(after_help = "Examples:
  holdfast local rebuild
  holdfast local rebuild --data-dir /srv/holdfast

The server must not be running; nodes may. The file before is kept beside the new one. Nothing else is
changed, and nothing deleted; again is the same.")]
    Rebuild(RebuildOptions),
    /// What is on this host and cloud.db does not account for: show it, take it up, remove it
    Unaccounted(UnaccountedCommand),
    /// Volumes of your own on this host: attach one to a node, and it belongs to the node
    Volume(VolumeCommand),
    /// Instances of this host, and the end of those that were let go
    Instance(InstanceCommand),
    /// Elastic IPs of this host: addresses that lead to a node wherever it runs
    Address(AddressCommand),
    /// Show how much room this host has for volumes, and how much of it was promised
    #[command(after_help = "Examples:
  holdfast local pool
  holdfast local pool --json

How many times what is there may be promised: holdfast serve --overcommit")]
    Pool(PoolCommand),
    /// Prices, capacity and quota of the markets: play droughts, see where nodes go
    Market(MarketCommand),
}

/// Options of `holdfast local reset`.
#[derive(Debug, Args)]
pub struct ResetOptions {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub yes: bool,
}

/// Options of `holdfast local rebuild`.
#[derive(Debug, Args)]
pub struct RebuildOptions {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,
}

/// `holdfast local unaccounted`.
#[derive(Debug, Args)]
pub struct UnaccountedCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: UnaccountedVerb,
}

/// What to do with what is not accounted for.
#[derive(Debug, Subcommand)]
pub enum UnaccountedVerb {
    /// Show what lies in the data directory without a sound row in cloud.db
    #[command(after_help = "Examples:
  holdfast local unaccounted list
  holdfast local unaccounted list --json")]
    List,
    /// Take one up: it is a volume, a snapshot, an address like any other from then on
    #[command(after_help = "Examples:
  holdfast local unaccounted adopt snap-0123456789abcdef0
  holdfast local unaccounted adopt vol-0123456789abcdef0 --zone local-1a")]
    Adopt {
        /// What
        id: String,
        /// Where a volume is to lie whose label is lost
        #[arg(long)]
        zone: Option<String>,
    },
    /// Remove one, with what is on it
    #[command(after_help = "Examples:
  holdfast local unaccounted remove snap-0123456789abcdef0 --yes")]
    Remove {
        /// What
        id: String,
        /// Do not ask
        #[arg(short = 'y', long)]
        yes: bool,
    },
}

/// `holdfast local volume`.
#[derive(Debug, Args)]
pub struct VolumeCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: VolumeVerb,
}

/// What to do with volumes.
#[derive(Debug, Subcommand)]
pub enum VolumeVerb {
    /// Make one that belongs to no node
    #[command(after_help = "Examples:
  holdfast local volume create local-1a --size 10
  holdfast local volume create local-1a --size 10 --mount /srv/reports")]
    Create {
        /// In this zone
        zone: String,
        /// Its size in GiB
        #[arg(long, value_name = "GIB")]
        size: u32,
        /// Where it is mounted in a node that it is attached to; else by its device name
        #[arg(long, value_name = "PATH")]
        mount: Option<String>,
    },
    /// Show every volume of this host
    #[command(after_help = "Examples:
  holdfast local volume list")]
    List,
    /// Attach one to a node that runs: it belongs to the node from then on
    #[command(after_help = "Examples:
  holdfast local volume attach vol-0123456789abcdef0 postgres --device /dev/xvdf")]
    Attach {
        /// The volume
        volume: String,
        /// The node's name or id
        node: String,
        /// The device name, which it keeps
        #[arg(long, default_value = "/dev/xvdf")]
        device: String,
    },
    /// Take one away from the node that it was attached to: it is yours again
    #[command(after_help = "Examples:
  holdfast local volume detach vol-0123456789abcdef0")]
    Detach {
        /// The volume
        volume: String,
    },
    /// Delete one that is free and belongs to no node
    #[command(after_help = "Examples:
  holdfast local volume delete vol-0123456789abcdef0")]
    Delete {
        /// The volume
        volume: String,
    },
}

/// `holdfast local instance`.
#[derive(Debug, Args)]
pub struct InstanceCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: InstanceVerb,
}

/// What to do with instances.
#[derive(Debug, Subcommand)]
pub enum InstanceVerb {
    /// Show every instance of this host: nodes' own, and those that were let go
    #[command(after_help = "Examples:
  holdfast local instance list")]
    List,
    /// End one that was let go; its volumes stay, and are yours
    #[command(after_help = "Examples:
  holdfast local instance terminate i-0123456789abcdef0 --yes")]
    Terminate {
        /// The instance
        instance: String,
        /// Do not ask
        #[arg(short = 'y', long)]
        yes: bool,
    },
}

/// `holdfast local address`.
#[derive(Debug, Args)]
pub struct AddressCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: AddressVerb,
}

/// What to do with Elastic IPs.
#[derive(Debug, Subcommand)]
pub enum AddressVerb {
    /// Allocate one, and print its allocation id and the address
    #[command(after_help = "Examples:
  holdfast local address allocate
  holdfast local address allocate --json | jq -r .allocationId

A spec names the allocation id in compute.elasticIp.")]
    Allocate,
    /// Show them, and where they lead
    #[command(after_help = "Examples:
  holdfast local address list")]
    List,
    /// Release one that leads nowhere
    #[command(after_help = "Examples:
  holdfast local address release eipalloc-0123456789abcdef0")]
    Release {
        /// The allocation id
        allocation: String,
    },
}

/// `holdfast local pool`.
#[derive(Debug, Args)]
pub struct PoolCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}
