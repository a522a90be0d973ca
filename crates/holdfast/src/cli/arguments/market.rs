//! `holdfast local market …`.

use crate::cli::options::ServerOptions;
use clap::{Args, Subcommand};
use holdfast_terminal::duration;
use std::str::FromStr;
use std::time::Duration;

/// Every type, or every zone.
pub const ALL: &str = "all";

/// A number of instances, or any number of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub Option<u32>);

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Number, String> {
        match text {
            "any" => Ok(Number(None)),
            text => text.parse().map(|n| Number(Some(n))).map_err(|_| {
                format!("it must be a number of instances from 0 to {}, or any", u32::MAX)
            }),
        }
    }
}

/// A price in US dollars for an hour, or the usual one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price(pub Option<f64>);

impl FromStr for Price {
    type Err = String;

    fn from_str(text: &str) -> Result<Price, String> {
        let most = holdfast_cloud_local::MAX_HOURLY_USD;
        match text {
            "usual" => Ok(Price(None)),
            text => match text.parse::<f64>() {
                Ok(price) if price > 0.0 && price <= most => Ok(Price(Some(price))),
                _ => Err(format!(
                    "it must be US dollars for an hour, above 0 and at most {most}, or usual"
                )),
            },
        }
    }
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
