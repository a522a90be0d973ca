//! Region `local-1` as it is offered: zones, subnets, markets.

use crate::network::VpcLayout;
use crate::refusal::refused;
use crate::state::{MarketRow, StateError, Table};
use crate::types::{self, LocalType};
use holdfast_model::market::{Catalogue, Cidr, MarketPrice, Subnet};
use holdfast_model::{CloudError, Lifecycle, Market, SubnetId, Zone};

/// The region.
pub const REGION: &str = "local-1";
/// The VPC.
pub const VPC: &str = "vpc-local";
/// The account that owns everything.
pub const ACCOUNT: &str = "000000000000";
/// The zones.
pub const ZONES: [&str; 3] = ["local-1a", "local-1b", "local-1c"];

/// The subnet of a zone.
#[must_use]
pub fn subnet_of(zone: &str) -> SubnetId {
    SubnetId(format!("subnet-{zone}"))
}

/// The zone of a subnet.
pub(crate) fn zone_of(subnet: &SubnetId) -> Option<Zone> {
    let name = subnet.as_str().strip_prefix("subnet-")?;
    zone_index(name).map(|_| Zone::from(name))
}

pub(crate) fn zone_index(zone: &str) -> Option<u32> {
    ZONES.iter().position(|z| *z == zone).and_then(|i| u32::try_from(i).ok())
}

/// Every market, by type, zone and lifecycle, with its usual price in US dollars for an hour.
pub(crate) fn markets() -> impl Iterator<Item = (Market, f64)> {
    types::TYPES.iter().flat_map(|t| {
        (0_u32..).zip(ZONES).flat_map(move |(index, zone)| {
            [Lifecycle::Spot, Lifecycle::OnDemand].map(move |lifecycle| {
                let market = Market {
                    instance_type: t.name.to_owned(),
                    zone: Zone::from(zone),
                    subnet: subnet_of(zone),
                    lifecycle,
                };
                (market, t.usual_usd(lifecycle, index))
            })
        })
    })
}

pub(crate) fn market_row(table: &Table<'_>, market: &Market) -> Result<MarketRow, StateError> {
    table.market(&market.instance_type, market.zone.as_str(), market.lifecycle)
}

pub(crate) fn catalogue(table: &Table<'_>, layout: &VpcLayout) -> Result<Catalogue, StateError> {
    let mut prices = Vec::new();
    for (market, usual_usd) in markets() {
        let hourly_usd = market_row(table, &market)?.hourly_usd.unwrap_or(usual_usd);
        prices.push(MarketPrice { market, hourly_usd });
    }
    Ok(Catalogue {
        region: REGION.to_owned(),
        types: types::TYPES.iter().map(LocalType::shown).collect(),
        subnets: ZONES
            .iter()
            .map(|zone| Subnet {
                id: subnet_of(zone),
                vpc: VPC.to_owned(),
                zone: Zone::from(*zone),
                cidr: layout.subnet_of(zone).and_then(|s| Cidr::new(s.network(), s.prefix())),
            })
            .collect(),
        prices,
    })
}

/// A refusal if there is no such subnet, or it lies in another zone.
pub(crate) fn check_place(market: &Market) -> Result<(), CloudError> {
    let zone = zone_of(&market.subnet).ok_or_else(|| {
        let known: Vec<_> = ZONES.iter().map(|z| subnet_of(z).0).collect();
        let message =
            format!("there is no subnet {}; use one of {}", market.subnet, known.join(", "));
        refused("InvalidSubnetID.NotFound", message)
    })?;
    if zone == market.zone {
        return Ok(());
    }
    let message = format!("{} lies in {zone}, not in {}", market.subnet, market.zone);
    Err(refused("InvalidParameterCombination", message))
}
