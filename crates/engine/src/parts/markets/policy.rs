//! What a market really costs a stateful node: its price, and the blackouts that come with it.
//!
//! Going to a market costs a blackout now, and being taken back costs one later; both are spread
//! over the life that is expected there. A second of blackout is weighed as so many seconds at the
//! on-demand price.

use holdfast_model::Lifecycle;
use holdfast_model::spec::Orientation;
use holdfast_model::time::HOUR;

/// How many seconds at the on-demand price a second of blackout weighs, by what the user prefers.
///
/// Chosen by what they mean, not fitted to any trace: with 3, a return to spot that saves 60 % and
/// costs two blackouts of 90 s pays from a life of a quarter of an hour on.
#[must_use]
pub fn weight(orientation: Orientation) -> f64 {
    match orientation {
        Orientation::Cheapest => 1.0,
        Orientation::CostOriented | Orientation::Balanced => 3.0,
        Orientation::AvailabilityOriented => 4.0,
    }
}

/// One way to go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    /// Spot or on-demand.
    pub lifecycle: Lifecycle,
    /// US dollars for an hour.
    pub hourly_usd: f64,
    /// How long an instance is expected to live there, in milliseconds.
    pub life_ms: f64,
    /// The blackout of getting there, in milliseconds.
    pub getting_there_ms: u64,
    /// The blackout of being taken back, in milliseconds.
    pub being_taken_ms: u64,
}

/// What a way costs in US dollars for an hour, blackouts included. On-demand is its price: nobody
/// takes it back, and whoever has no spot has to go there anyway.
#[must_use]
pub fn hourly(way: &Way, on_demand_usd: f64, weight: f64) -> f64 {
    if way.lifecycle == Lifecycle::OnDemand {
        return way.hourly_usd;
    }
    let blackouts = (way.getting_there_ms + way.being_taken_ms) as f64;
    way.hourly_usd + weight * on_demand_usd * blackouts / way.life_ms.max(1.0)
}

/// A time for people: `40 min`, `5.2 h`, `3.1 d`.
#[must_use]
pub fn spell(millis: f64) -> String {
    let hours = millis / HOUR as f64;
    if hours < 1.0 {
        format!("{:.0} min", hours * 60.0)
    } else if hours < 48.0 {
        format!("{hours:.1} h")
    } else {
        format!("{:.1} d", hours / 24.0)
    }
}
