//! Which market to ask next.
//!
//! The volumes' own zone comes first (another one costs a snapshot and a restore), then price or
//! the user's order of types, as the orientation says; on-demand comes last, if it is allowed.

use crate::desk::Desk;
use holdfast_model::record::DataHead;
use holdfast_model::spec::Orientation;
use holdfast_model::{Lifecycle, Market, Time, Zone};

/// Attachments that every node needs: the root and the primary interface.
const OWN_ATTACHMENTS: usize = 2;

/// What came of the choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// This market.
    Market(Market),
    /// None for now; at this time one may be asked again.
    NoneBefore(Time),
    /// None will ever fit, and why.
    Never(String),
}

/// Chooses for the replacement on the desk.
#[must_use]
pub fn choose(desk: &Desk<'_>) -> Choice {
    let pinned = pinned_zone(desk);
    let home = home_zone(desk);
    let attachments = desk.spec.data.len() + desk.spec.secondary.len() + OWN_ATTACHMENTS;
    let mut candidates = Vec::new();
    let mut why_not = Vec::new();
    for (subnet_rank, subnet) in desk.spec.subnets.iter().enumerate() {
        let Some(known) = desk.scene.catalogue.subnet(subnet) else {
            why_not.push(format!("{subnet} is not a subnet of this region"));
            continue;
        };
        if pinned.as_ref().is_some_and(|zone| zone != &known.zone) {
            why_not.push(format!("{subnet} is not in the zone that the node is pinned to"));
            continue;
        }
        for (type_rank, name) in desk.spec.types.iter().enumerate() {
            let Some(kind) = desk.scene.catalogue.instance_type(name) else {
                why_not.push(format!("{name} is not offered in this region"));
                continue;
            };
            if (kind.attachment_limit as usize) < attachments {
                why_not.push(format!("{name} holds only {} attachments", kind.attachment_limit));
                continue;
            }
            for lifecycle in lifecycles(desk) {
                let market = Market {
                    instance_type: name.clone(),
                    zone: known.zone.clone(),
                    subnet: subnet.clone(),
                    lifecycle,
                };
                let away = home.as_ref().is_some_and(|zone| zone != &market.zone);
                // Prices are compared in thousandths of a cent, so that the order is total.
                let price = desk
                    .scene
                    .catalogue
                    .price(&market)
                    .map_or(u64::MAX, |usd| (usd * 100_000.0) as u64);
                let by_price = matches!(
                    desk.spec.orientation,
                    Orientation::Cheapest | Orientation::CostOriented
                );
                let order =
                    if by_price { (price, type_rank as u64) } else { (type_rank as u64, price) };
                candidates.push(((lifecycle, away, order, subnet_rank), market));
            }
        }
    }
    if candidates.is_empty() {
        why_not.dedup();
        return Choice::Never(why_not.join("; "));
    }
    candidates.sort();
    let mut next = None;
    for (_, market) in candidates {
        match desk.record.cooled.get(&market.to_string()) {
            Some(until) if *until > desk.scene.now => {
                next = Some(next.map_or(*until, |n: Time| n.min(*until)));
            }
            _ => return Choice::Market(market),
        }
    }
    Choice::NoneBefore(next.unwrap_or(desk.scene.now))
}

fn lifecycles(desk: &Desk<'_>) -> Vec<Lifecycle> {
    match (desk.spec.lifecycle, desk.spec.fallback_to_on_demand) {
        (Lifecycle::OnDemand, _) => vec![Lifecycle::OnDemand],
        (Lifecycle::Spot, true) => vec![Lifecycle::Spot, Lifecycle::OnDemand],
        (Lifecycle::Spot, false) => vec![Lifecycle::Spot],
    }
}

/// A kept address pins the node to its zone, once an instance has had it.
fn pinned_zone(desk: &Desk<'_>) -> Option<Zone> {
    desk.record.interfaces().next().filter(|_| desk.record.generation > 0).map(|i| i.zone.clone())
}

/// The zone in which the data lies.
fn home_zone(desk: &Desk<'_>) -> Option<Zone> {
    desk.record.data.iter().find_map(|d| match &d.head {
        DataHead::Volume { zone, .. } => Some(zone.clone()),
        DataHead::Fresh => None,
    })
}
