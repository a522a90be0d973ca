//! `holdfast-trials bench …`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// How long until many nodes that are interrupted at once are all back
    #[command(after_help = "Examples:
  holdfast-trials bench storm
  holdfast-trials bench storm --nodes 10,100 --json")]
    Storm(StormArgs),
    /// What a node costs and how long it is away, by policy, on a trace of a spot market
    #[command(after_help = "Examples:
  holdfast-trials bench market --trace trace.csv.gz --on-demand-price 3.06
  holdfast-trials bench market --trace trace.csv --on-demand-price 3.06 --skip-days 20 --json
  holdfast-trials bench market --synthetic 7

A trace is CSV, gzipped or not: the time of each tick in the second column, and for each zone the
columns ZONE_avail (1 or 0) and ZONE_price (US$/h).")]
    Market(MarketArgs),
    /// How long a node is away, and how much of that is Holdfast's own (needs root)
    #[command(after_help = "Examples:
  holdfast-trials bench blackout
  holdfast-trials bench blackout --rounds 20 --workload redis --kind hard,recycle
  holdfast-trials bench blackout --json

Real servers on this host lose their machine again and again: in pairs, once brought back by
Holdfast, and once on the same volumes restarted by hand. The difference of a pair is Holdfast's own
share.")]
    Blackout(crate::blackout::BlackoutArgs),
    /// What it costs to watch over many nodes that do nothing
    #[command(after_help = "Examples:
  holdfast-trials bench scale
  holdfast-trials bench scale --nodes 1000 --json")]
    Scale(ScaleArgs),
}

/// Options of `holdfast-trials bench scale`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// How many nodes; a row for each number
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1000,10000,100000")]
    pub nodes: Vec<usize>,
    /// Decides every latency
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write JSON for programs instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Options of `holdfast-trials bench market`.
#[derive(Debug, Args)]
pub struct MarketArgs {
    /// The trace; without one, a made-up one of four zones and 45 days
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Decides the made-up trace
    #[arg(long, value_name = "SEED", default_value_t = 1, conflicts_with = "trace")]
    pub synthetic: u64,
    /// On-demand price, US dollars for an hour
    #[arg(long, value_name = "USD", default_value_t = 1.0, value_parser = positive)]
    pub on_demand_price: f64,
    /// Blackout of a replacement in the same zone, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub same_zone: u64,
    /// Blackout of a move to another zone, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    pub zone_move: u64,
    /// Begin so many days into the trace, with nothing learnt
    #[arg(long, value_name = "DAYS", default_value_t = 0.0, value_parser = not_negative)]
    pub skip_days: f64,
    /// Use only so many days
    #[arg(long, value_name = "DAYS", value_parser = positive)]
    pub days: Option<f64>,
    /// Write JSON for programs instead of a table
    #[arg(long)]
    pub json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = not_negative(text)?;
    if number > 0.0 { Ok(number) } else { Err("a number above 0 is needed".to_owned()) }
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0 && *n <= 1e6);
    number.ok_or_else(|| "a number from 0 to 1,000,000 is needed".to_owned())
}

/// Options of `holdfast-trials bench storm`.
#[derive(Debug, Args)]
pub struct StormArgs {
    /// How many nodes; a row for each number
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "10,100,1000,10000")]
    pub nodes: Vec<usize>,
    /// Data volumes of each node
    #[arg(long, value_name = "D", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=20))]
    pub volumes: u8,
    /// Decides every latency
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write JSON for programs instead of a table
    #[arg(long)]
    pub json: bool,
}
