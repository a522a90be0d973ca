//! A market: where and how an instance can be had.

use crate::{SubnetId, Zone};
use serde::{Deserialize, Serialize};

/// How an instance is paid for, and whether the cloud may take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// Spot: cheap, taken back with two minutes' notice or none.
    Spot,
    /// On-demand: full price, kept until terminated.
    OnDemand,
}

impl std::fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Lifecycle::Spot => "spot",
            Lifecycle::OnDemand => "on-demand",
        })
    }
}

/// Instance type × zone × lifecycle, with the subnet that stands for the zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Market {
    /// EC2's name of the instance type, such as `m5.large`.
    pub instance_type: String,
    /// The availability zone.
    pub zone: Zone,
    /// The subnet in that zone.
    pub subnet: SubnetId,
    /// Spot or on-demand.
    pub lifecycle: Lifecycle,
}

impl std::fmt::Display for Market {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} in {}", self.instance_type, self.lifecycle, self.zone)
    }
}

/// An instance type as the cloud offers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceType {
    /// EC2's name, such as `m5.large`.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// How many volumes and interfaces together can be attached.
    pub attachment_limit: u32,
    /// `x86_64` or `arm64`.
    pub architecture: String,
}

/// A market's price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarketPrice {
    /// Which market.
    pub market: Market,
    /// US dollars for an hour.
    pub hourly_usd: f64,
}

/// A subnet and the zone it lies in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its VPC.
    pub vpc: String,
    /// Its zone.
    pub zone: Zone,
}

/// What a region offers. It changes rarely; the controller reads it when it starts and hourly.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Catalogue {
    /// The region's name.
    pub region: String,
    /// Instance types.
    pub types: Vec<InstanceType>,
    /// Subnets.
    pub subnets: Vec<Subnet>,
    /// Current prices.
    pub prices: Vec<MarketPrice>,
}

impl Catalogue {
    /// The type of that name.
    #[must_use]
    pub fn instance_type(&self, name: &str) -> Option<&InstanceType> {
        self.types.iter().find(|t| t.name == name)
    }

    /// The subnet of that id.
    #[must_use]
    pub fn subnet(&self, id: &SubnetId) -> Option<&Subnet> {
        self.subnets.iter().find(|s| &s.id == id)
    }

    /// The price of a market in US dollars an hour, if known.
    #[must_use]
    pub fn price(&self, market: &Market) -> Option<f64> {
        self.prices.iter().find(|p| &p.market == market).map(|p| p.hourly_usd)
    }
}
