//! What has been seen of spot markets: how long instances lived in them. Prices say next to nothing
//! about capacity; lives do.
//!
//! For each instance type and zone: the time that instances have served (those that run count up
//! to now) and how often the cloud took one. Old evidence fades, so that a market that was bad is
//! tried again some day.

use holdfast_model::record::SpotLifetime;
use holdfast_model::time::HOUR;
use holdfast_model::{Lifecycle, Market, Record, Time, Zone};
use std::collections::BTreeMap;

/// After this long, evidence counts half.
pub const HALF_LIFE: u64 = 4 * 24 * HOUR;
/// A market of which nothing is known is taken to lose an instance every three hours: little enough
/// to prefer one that has proved itself, enough to be tried.
pub const FIRST_GUESS: f64 = (3 * HOUR) as f64;
/// How many losses the first guess weighs as much as.
const GUESS_WEIGHS: f64 = 1.0;
/// The most markets that are remembered.
pub const MAX_MARKETS: usize = 4_096;

/// Instance type and zone.
type Place = (String, Zone);

/// What was seen in one market.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    /// Time served by instances that are gone, in milliseconds, faded to `as_of`.
    served: f64,
    /// Instances that the cloud took, faded to `as_of`.
    losses: f64,
    as_of: Time,
    /// Instances that run now, and the sum of the times of their launches.
    running: u64,
    launched: u128,
}

impl Seen {
    fn fade(&mut self, now: Time) {
        let kept = 0.5_f64.powf(now.since(self.as_of) as f64 / HALF_LIFE as f64);
        self.served *= kept;
        self.losses *= kept;
        self.as_of = self.as_of.max(now);
    }
}

/// What has been seen, by market.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survival {
    seen: BTreeMap<Place, Seen>,
}

/// How long an instance is expected to live in a market.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// In milliseconds.
    pub life_ms: f64,
    /// Time served that this rests on, in milliseconds.
    pub served_ms: f64,
    /// Losses that it rests on.
    pub losses: f64,
}

impl Survival {
    /// Takes in what has changed from one state of a node's record to the next.
    pub fn follow(&mut self, before: Option<&Record>, after: Option<&Record>) {
        let spot = |r: Option<&Record>| {
            let holder = r.and_then(|r| r.instance.as_ref());
            holder.filter(|h| h.market.lifecycle == Lifecycle::Spot).cloned()
        };
        let (was, is) = (spot(before), spot(after));
        if was != is {
            if let Some(seen) = was.and_then(|h| self.at(&h.market).map(|s| (s, h.launched_at))) {
                seen.0.running = seen.0.running.saturating_sub(1);
                seen.0.launched = seen.0.launched.saturating_sub(u128::from(seen.1.0));
            }
            if let Some(seen) = is.and_then(|h| self.at(&h.market).map(|s| (s, h.launched_at))) {
                seen.0.running += 1;
                seen.0.launched += u128::from(seen.1.0);
            }
        }
        let known = before.and_then(|r| r.memory.spot_lifetimes.last()).map(|life| life.ended_at);
        for life in after.iter().flat_map(|r| &r.memory.spot_lifetimes) {
            if known.is_none_or(|known| life.ended_at > known) {
                self.note(life);
            }
        }
    }

    /// Takes in one life.
    pub fn note(&mut self, life: &SpotLifetime) {
        let Some(seen) = self.at(&life.market) else { return };
        seen.fade(life.ended_at);
        // Lives are not always told in the order in which they ended.
        let age = seen.as_of.since(life.ended_at) as f64;
        let weight = 0.5_f64.powf(age / HALF_LIFE as f64);
        seen.served += life.lived_ms as f64 * weight;
        seen.losses += f64::from(u8::from(life.lost)) * weight;
    }

    fn at(&mut self, market: &Market) -> Option<&mut Seen> {
        let place = (market.instance_type.clone(), market.zone.clone());
        if self.seen.len() >= MAX_MARKETS && !self.seen.contains_key(&place) {
            return None;
        }
        Some(self.seen.entry(place).or_default())
    }

    /// What is expected of a spot market.
    #[must_use]
    pub fn expect(&self, market: &Market, now: Time) -> Expected {
        let place = (market.instance_type.clone(), market.zone.clone());
        let mut seen = self.seen.get(&place).cloned().unwrap_or_default();
        seen.fade(now);
        let running = u128::from(now.0) * u128::from(seen.running);
        let served = seen.served + running.saturating_sub(seen.launched) as f64;
        let life_ms = (served + FIRST_GUESS * GUESS_WEIGHS) / (seen.losses + GUESS_WEIGHS);
        Expected { life_ms, served_ms: served, losses: seen.losses }
    }
}
