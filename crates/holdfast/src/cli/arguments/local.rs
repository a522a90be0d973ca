//! `holdfast local …`.

use crate::cli::market::{ALL, Number, Price};
use crate::cli::options::{DATA_DIR, ServerOptions};
use clap::{Args, Subcommand};
use holdfast_terminal::duration;
use std::path::PathBuf;
use std::time::Duration;

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
    Unaccounted(crate::cli::unaccounted::UnaccountedCommand),
    /// Volumes of your own on this host: attach one to a node, and it belongs to the node
    Volume(crate::cli::user_volumes::VolumeCommand),
    /// Instances of this host, and the end of those that were let go
    Instance(crate::cli::instances::InstanceCommand),
    /// Elastic IPs of this host: addresses that lead to a node wherever it runs
    Address(crate::cli::addresses::AddressCommand),
    /// Show how much room this host has for volumes, and how much of it was promised
    #[command(after_help = "Examples:
  holdfast local pool
  holdfast local pool --json

How many times what is there may be promised: holdfast serve --overcommit")]
    Pool(crate::cli::pool::PoolCommand),
    /// Prices, capacity and quota of the markets: play droughts, see where nodes go
    Market(MarketCommand),
}

/// `holdfast local market …`.
#[derive(Debug, Args)]
#[command(
    after_help = "TYPE is an instance type (t3.small), ZONE a zone (local-1a); \"all\" means every one."
)]
pub struct MarketCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON for programs instead of tables
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: MarketVerb,
}

/// What to do with markets.
#[derive(Debug, Subcommand)]
pub enum MarketVerb {
    /// List markets: price, capacity, quota, and how many instances run
    #[command(after_help = "Examples:
  holdfast local market list
  holdfast local market list t3.small
  holdfast local market list all local-1a --json
  holdfast local market list --changed")]
    List {
        /// Of this instance type
        #[arg(value_name = "TYPE", default_value = ALL)]
        instance_type: String,
        /// In this zone
        #[arg(value_name = "ZONE", default_value = ALL)]
        zone: String,
        /// Only where something was set
        #[arg(long)]
        changed: bool,
    },
    /// Set price, capacity or quota; what is not named stays, and what runs goes on
    #[command(after_help = "Examples:
  holdfast local market set t3.small local-1a --spot-capacity 0
  holdfast local market set all local-1a --spot-capacity 0 --interrupt
  holdfast local market set t3.small local-1b --price 0.03 --quota 2
  holdfast local market set all all --usual")]
    Set(MarketSetting),
}

/// What is set for markets.
#[derive(Debug, Args)]
pub struct MarketSetting {
    /// The instance type, or all
    #[arg(value_name = "TYPE")]
    pub instance_type: String,
    /// The zone, or all
    pub zone: String,
    /// How many spot instances there is room for (a number, or any)
    #[arg(long, value_name = "N")]
    pub spot_capacity: Option<Number>,
    /// What spot costs, in US dollars for an hour (or usual)
    #[arg(long, alias = "spot-price", value_name = "USD")]
    pub price: Option<Price>,
    /// How many spot instances you may have (a number, or any)
    #[arg(long, value_name = "N")]
    pub spot_quota: Option<Number>,
    /// How many on-demand instances there is room for (a number, or any)
    #[arg(long, value_name = "N")]
    pub on_demand_capacity: Option<Number>,
    /// What on-demand costs, in US dollars for an hour (or usual)
    #[arg(long, value_name = "USD")]
    pub on_demand_price: Option<Price>,
    /// How many on-demand instances you may have (a number, or any)
    #[arg(long, value_name = "N")]
    pub on_demand_quota: Option<Number>,
    /// How many of each you may have: --spot-quota and --on-demand-quota in one
    #[arg(long, value_name = "N", conflicts_with_all = ["spot_quota", "on_demand_quota"])]
    pub quota: Option<Number>,
    /// Forget all that was set for these markets; what else is given counts after that
    #[arg(long)]
    pub usual: bool,
    /// Take back the spot instances for which there is no room any more, newest first
    #[arg(long)]
    pub interrupt: bool,
    /// Announce that this long before, such as 120s
    #[arg(long, value_name = "SPAN", requires = "interrupt", value_parser = duration::parse)]
    pub notice: Option<Duration>,
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
