//! Which market to ask next, and why.
//!
//! Each candidate is weighed by what it really costs ([`policy`]): its price, the blackouts of
//! getting there and of being taken back, and how long instances have lived there so far
//! ([`survival`]). On-demand comes last, if it is allowed.

pub mod policy;

use crate::context::desk::Desk;
use crate::observed::survival;
use holdfast_model::record::DataHead;
use holdfast_model::spec::Orientation;
use holdfast_model::{ErrorClass, Lifecycle, Market, Time, Zone};
use policy::Way;

/// Attachments that a node needs besides its data volumes: the root and the primary interface.
const OWN_ATTACHMENTS: usize = 2;
/// Dollars are compared in thousandths of a cent, so that the order is total.
const FINENESS: f64 = 100_000.0;

/// What came of the choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// This market, and why, as a sentence.
    Market(Market, String),
    /// None for now; at this time one may be asked again.
    NoneBefore(Time),
    /// None will ever fit, and why.
    Never(String),
}

/// A market that fits, weighed.
struct Candidate {
    order: (Lifecycle, u64, u64, usize),
    market: Market,
    /// What it comes to with blackouts, if prices are known.
    weighed: Option<f64>,
    why: String,
}

/// Chooses for the replacement on the desk, among spot and, as far as the spec allows it, on-demand.
#[must_use]
pub fn choose(desk: &Desk<'_>) -> Choice {
    choose_among(desk, &lifecycles(desk))
}

/// Chooses a spot market that is worth leaving on-demand for.
#[must_use]
pub fn choose_spot(desk: &Desk<'_>) -> Choice {
    match choose_among(desk, &[Lifecycle::Spot]) {
        Choice::Market(market, why) => {
            let on_demand = on_demand_usd(desk, &market.instance_type);
            let weighed = weigh(desk, &market, home_zone(desk).as_ref(), (0, 0)).weighed;
            if on_demand.zip(weighed).is_some_and(|(on_demand, weighed)| weighed >= on_demand) {
                return Choice::Never(format!("{market} would not pay: {why}"));
            }
            Choice::Market(market, why)
        }
        other => other,
    }
}

fn choose_among(desk: &Desk<'_>, lifecycles: &[Lifecycle]) -> Choice {
    let pinned = pinned_zone(desk);
    let home = home_zone(desk);
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
        // An address lies in one subnet.
        if let Some(address) = desk.spec.private_ip.as_ref().filter(|a| !known.may_assign(a)) {
            why_not.push(format!("{subnet} cannot give {address} (compute.privateIp)"));
            continue;
        }
        for (type_rank, name) in desk.spec.types.iter().enumerate() {
            let Some(kind) = desk.scene.catalogue.instance_type(name) else {
                why_not.push(format!("{name} is not offered in this region"));
                continue;
            };
            let needed = desk.volumes().len() + desk.spec.secondary.len() + OWN_ATTACHMENTS;
            if (kind.attachment_limit as usize) < needed {
                why_not.push(format!("{name} holds only {} attachments", kind.attachment_limit));
                continue;
            }
            for lifecycle in lifecycles {
                let market = Market {
                    instance_type: name.clone(),
                    zone: known.zone.clone(),
                    subnet: subnet.clone(),
                    lifecycle: *lifecycle,
                };
                candidates.push(weigh(desk, &market, home.as_ref(), (type_rank, subnet_rank)));
            }
        }
    }
    if candidates.is_empty() {
        why_not.dedup();
        return Choice::Never(why_not.join("; "));
    }
    candidates.sort_by(|a, b| (a.order, &a.market).cmp(&(b.order, &b.market)));
    let mut next = None;
    let mut passed_over = 0;
    for candidate in candidates {
        match desk.record.memory.market_backoff.get(&candidate.market.to_string()) {
            Some(until) if *until > desk.scene.now => {
                passed_over += 1;
                next = Some(next.map_or(*until, |n: Time| n.min(*until)));
            }
            _ => {
                let mut why = candidate.why;
                match passed_over {
                    0 => {}
                    1 => why.push_str("; a better one refused lately"),
                    more => why.push_str(&format!("; {more} better ones refused lately")),
                }
                return Choice::Market(candidate.market, why);
            }
        }
    }
    Choice::NoneBefore(next.unwrap_or(desk.scene.now))
}

/// What speaks for a market, as a sentence, whatever others there are.
pub(crate) fn why(desk: &Desk<'_>, market: &Market) -> String {
    weigh(desk, market, home_zone(desk).as_ref(), (0, 0)).why
}

/// Weighs one market.
fn weigh(
    desk: &Desk<'_>,
    market: &Market,
    home: Option<&Zone>,
    (type_rank, subnet_rank): (usize, usize),
) -> Candidate {
    let tuning = desk.scene.tuning;
    let away = home.is_some_and(|zone| zone != &market.zone);
    let price = desk.scene.catalogue.price(market);
    let seen = desk.scene.survival.expect(market, desk.scene.now);
    let there = if away { tuning.blackout_zone_move } else { tuning.blackout_same_zone };
    let on_demand = on_demand_usd(desk, &market.instance_type);
    let weight = policy::weight(desk.spec.orientation);
    let weighed = price.zip(on_demand).map(|(hourly_usd, on_demand)| {
        let way = Way {
            lifecycle: market.lifecycle,
            hourly_usd,
            life_ms: seen.life_ms,
            getting_there_ms: there,
            being_taken_ms: tuning.blackout_same_zone,
        };
        policy::hourly(&way, on_demand, weight)
    });
    let hourly = price.unwrap_or(f64::MAX);
    let cost = (weighed.unwrap_or(hourly).min(1e9) * FINENESS) as u64;
    let by_price =
        matches!(desk.spec.orientation, Orientation::Cheapest | Orientation::CostOriented);
    let rank = type_rank as u64;
    let (first, second) = if by_price { (cost, rank) } else { (rank, cost) };
    let order = (market.lifecycle, first, second, subnet_rank);
    let move_too = if away { ", moving zones" } else { "" };
    let why = match (market.lifecycle, price, weighed) {
        (Lifecycle::OnDemand, Some(price), _) => format!("${price:.4}/h{move_too}"),
        (Lifecycle::Spot, Some(price), Some(weighed)) => {
            format!("${price:.4}/h, ${weighed:.4}/h with blackouts{move_too}; {}", rests_on(seen))
        }
        _ => format!("its price is not known{move_too}"),
    };
    Candidate { order, market: market.clone(), weighed, why }
}

fn rests_on(seen: survival::Expected) -> String {
    let life = policy::spell(seen.life_ms);
    if seen.served_ms < 1.0 && seen.losses < 0.01 {
        return format!("nothing is known of it yet, {life} are expected");
    }
    let served = policy::spell(seen.served_ms);
    format!("{life} are expected, after {served} served and {:.1} losses lately", seen.losses)
}

/// The dearest on-demand price of a type in the spec's zones: what spot is measured against.
pub(crate) fn on_demand_usd(desk: &Desk<'_>, instance_type: &str) -> Option<f64> {
    let prices = &desk.scene.catalogue.prices;
    let of_type = prices.iter().filter(|p| {
        p.market.lifecycle == Lifecycle::OnDemand
            && p.market.instance_type == instance_type
            && desk.spec.subnets.contains(&p.market.subnet)
    });
    of_type.map(|p| p.hourly_usd).reduce(f64::max)
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
    desk.record
        .identity
        .interfaces()
        .next()
        .filter(|_| !desk.record.generations.is_first())
        .map(|i| i.zone.clone())
}

/// The zone in which the data lies.
fn home_zone(desk: &Desk<'_>) -> Option<Zone> {
    desk.record.identity.data.iter().find_map(|d| match &d.head {
        DataHead::Volume { zone, .. } => Some(zone.clone()),
        DataHead::Fresh => None,
    })
}

/// Keeps a market from being asked again for a while. Quota counts for its whole family.
pub fn cool(desk: &mut Desk<'_>, market: &Market, class: ErrorClass) {
    let now = desk.scene.now;
    desk.record.memory.market_backoff.retain(|_, until| *until > now);
    if class != ErrorClass::Quota {
        let until = now.plus(desk.scene.tuning.capacity_cooldown);
        desk.record.memory.market_backoff.insert(market.to_string(), until);
        return;
    }
    let until = now.plus(desk.scene.tuning.quota_cooldown);
    let family = family_of(&market.instance_type).to_owned();
    for subnet in &desk.spec.subnets {
        let Some(known) = desk.scene.catalogue.subnet(subnet) else { continue };
        for name in desk.spec.types.iter().filter(|name| family_of(name) == family) {
            let twin = Market {
                instance_type: name.clone(),
                zone: known.zone.clone(),
                subnet: subnet.clone(),
                lifecycle: market.lifecycle,
            };
            desk.record.memory.market_backoff.insert(twin.to_string(), until);
        }
    }
}

/// Families share a quota: `m5.large` and `m5.xlarge` do.
fn family_of(instance_type: &str) -> &str {
    instance_type.split('.').next().unwrap_or(instance_type)
}
