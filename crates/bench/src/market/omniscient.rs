//! The cheapest schedule in hindsight with no more blackout than another policy had.
//!
//! For a price λ of a second of blackout, the cheapest schedule is found exactly, tick by tick, over
//! all places (zone × spot or on-demand). The smallest λ whose schedule keeps within the allowed
//! blackout is searched by bisection. Whatever schedule keeps within it costs at least
//! `cost(λ) + λ·blackout(λ) - λ·allowed`, for every λ: the largest of these is the lower bound.

use super::replay::{Costs, Outcome, Place, Policy, Tick};
use super::trace::Trace;
use holdfast_model::Lifecycle;

/// How often λ is halved in the search.
const HALVINGS: usize = 24;
/// US dollars for a millisecond of blackout that nobody would pay.
const MOST: f64 = 1e-2;
/// What it costs to be on spot where there is none.
const IMPOSSIBLE: f64 = 1e12;

/// A schedule that was worked out in hindsight.
#[derive(Debug, Clone)]
pub struct Schedule {
    places: Vec<Place>,
    /// No schedule within the allowed blackout costs less, in US dollars.
    pub bound_usd: f64,
}

impl Policy for Schedule {
    fn place(&mut self, tick: &mut Tick<'_>, now_at: Option<Place>, _lost: bool) -> Place {
        let first = Place { zone: 0, lifecycle: Lifecycle::OnDemand };
        self.places.get(tick.number).copied().or(now_at).unwrap_or(first)
    }
}

/// Works out the cheapest schedule with at most `allowed_ms` of blackout.
#[must_use]
pub fn schedule(trace: &Trace, costs: &Costs, allowed_ms: u64) -> Schedule {
    let mut dear = MOST;
    let mut best = solve(trace, costs, dear);
    let mut bound = best.bound(dear, allowed_ms);
    let free = solve(trace, costs, 0.0);
    bound = bound.max(free.bound(0.0, allowed_ms));
    if free.blackout_ms <= allowed_ms {
        return Schedule { places: free.places, bound_usd: bound };
    }
    let mut cheap = MOST / (1u64 << HALVINGS) as f64;
    for _ in 0..HALVINGS {
        let middle = (cheap * dear).sqrt();
        let solved = solve(trace, costs, middle);
        bound = bound.max(solved.bound(middle, allowed_ms));
        if solved.blackout_ms <= allowed_ms {
            best = solved;
            dear = middle;
        } else {
            cheap = middle;
        }
    }
    Schedule { places: best.places, bound_usd: bound }
}

struct Solved {
    places: Vec<Place>,
    usd: f64,
    blackout_ms: u64,
}

impl Solved {
    fn bound(&self, lambda: f64, allowed_ms: u64) -> f64 {
        self.usd + lambda * (self.blackout_ms as f64 - allowed_ms as f64)
    }
}

fn solve(trace: &Trace, costs: &Costs, lambda: f64) -> Solved {
    let zones = trace.zones.len();
    let places: Vec<Place> = [Lifecycle::Spot, Lifecycle::OnDemand]
        .into_iter()
        .flat_map(|lifecycle| (0..zones).map(move |zone| Place { zone, lifecycle }))
        .collect();
    let hours = trace.tick_ms as f64 / 3_600_000.0;
    let usd_at = |place: &Place, tick: usize| match place.lifecycle {
        Lifecycle::OnDemand => costs.on_demand_usd * hours,
        Lifecycle::Spot => trace
            .zones
            .get(place.zone)
            .filter(|z| z.available.get(tick) == Some(&true))
            .and_then(|z| z.price.get(tick))
            .map_or(IMPOSSIBLE, |price| price * hours),
    };
    let step: Vec<Vec<f64>> = places
        .iter()
        .map(|to| places.iter().map(|from| costs.blackout(*from, *to) as f64 * lambda).collect())
        .collect();
    let mut value = vec![0.0; places.len()];
    let mut came_from: Vec<u8> = Vec::with_capacity(places.len() * trace.ticks());
    for tick in 0..trace.ticks() {
        let mut next = Vec::with_capacity(places.len());
        for (to, steps) in places.iter().zip(&step) {
            let mut least = (f64::MAX, 0);
            for (from, (value, step)) in value.iter().zip(steps).enumerate() {
                let sum = if tick == 0 { 0.0 } else { value + step };
                if sum < least.0 {
                    least = (sum, from);
                }
            }
            came_from.push(least.1 as u8);
            next.push(least.0 + usd_at(to, tick));
        }
        value = next;
    }
    let cheapest = value.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
    let mut at = cheapest.map_or(0, |(place, _)| place);
    let mut path = Vec::with_capacity(trace.ticks());
    let (mut usd, mut blackout_ms) = (0.0, 0);
    for tick in (0..trace.ticks()).rev() {
        let Some(place) = places.get(at) else { break };
        path.push(*place);
        usd += usd_at(place, tick);
        let from = came_from.get(tick * places.len() + at).map_or(at, |from| usize::from(*from));
        if tick > 0 {
            blackout_ms += places.get(from).map_or(0, |from| costs.blackout(*from, *place));
            at = from;
        }
    }
    path.reverse();
    Solved { places: path, usd, blackout_ms }
}

/// What a schedule comes to; it is replayed like any other policy.
#[must_use]
pub fn outcome(trace: &Trace, costs: &Costs, schedule: &mut Schedule) -> Outcome {
    super::replay::replay(trace, costs, schedule)
}
