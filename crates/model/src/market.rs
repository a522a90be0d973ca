//! A market: where and how an instance can be had.

use crate::{SubnetId, Zone};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

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

/// A subnet's IPv4 addresses, such as `10.77.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    network: Ipv4Addr,
    /// The number of leading bits that all its addresses share, 0 to 32.
    prefix: u8,
}

/// The first addresses of a subnet are the cloud's own, and so is the last one (VPC user guide,
/// "Subnet sizing").
const RESERVED_AT_START: u32 = 4;

impl Cidr {
    /// The addresses that share the network's first `prefix` bits; `None` if there are not 0 to 32
    /// of them, or bits after them are set.
    #[must_use]
    pub fn new(network: Ipv4Addr, prefix: u8) -> Option<Cidr> {
        let cidr = Cidr { network, prefix };
        (prefix <= 32 && u32::from(network) & !cidr.mask() == 0).then_some(cidr)
    }

    /// Whether an instance may have the address: it lies in the subnet and is none of those that
    /// the cloud keeps for itself.
    #[must_use]
    pub fn may_assign(&self, address: Ipv4Addr) -> bool {
        let (first, address) = (u32::from(self.network), u32::from(address));
        let last = first | !self.mask();
        address & self.mask() == first && address >= first + RESERVED_AT_START && address < last
    }

    /// The first address that an instance may have.
    #[must_use]
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.network).saturating_add(RESERVED_AT_START))
    }

    fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Cidr, String> {
        let read = || {
            let (network, prefix) = text.split_once('/')?;
            Cidr::new(network.parse().ok()?, prefix.parse().ok()?)
        };
        read().ok_or_else(|| format!("\"{text}\" is no range of addresses such as 10.77.1.0/24"))
    }
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
    /// Its addresses; none: the cloud does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Cidr>,
}

impl Subnet {
    /// Whether an instance in it may have this IPv4 address, as far as that is known.
    #[must_use]
    pub fn may_assign(&self, address: &str) -> bool {
        match (&self.cidr, address.parse()) {
            (Some(cidr), Ok(address)) => cidr.may_assign(address),
            (Some(_), Err(_)) => false,
            (None, _) => true,
        }
    }
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
