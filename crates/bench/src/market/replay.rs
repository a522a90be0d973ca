//! A stateful node is taken through a trace by a policy. Where a policy may not look ahead, it
//! learns only what a launch, a probe or an interruption tells it.

use super::trace::Trace;
use holdfast_model::Lifecycle;

/// What a stateful node pays besides the price.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// On-demand price, US dollars for an hour.
    pub on_demand_usd: f64,
    /// Blackout of a replacement in the same zone, in milliseconds: stop, launch, attach.
    pub same_zone_ms: u64,
    /// Blackout of a move to another zone, in milliseconds: with snapshot and restore.
    pub zone_move_ms: u64,
    /// What a granted probe is billed for, in milliseconds: EC2's least time.
    pub probe_ms: u64,
}

impl Costs {
    /// The blackout of getting from one place to another.
    #[must_use]
    pub fn blackout(&self, from: Place, to: Place) -> u64 {
        match (from == to, from.zone == to.zone) {
            (true, _) => 0,
            (false, true) => self.same_zone_ms,
            (false, false) => self.zone_move_ms,
        }
    }
}

/// Where the node is: the number of the zone in the trace, and how it is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Zone.
    pub zone: usize,
    /// Spot or on-demand.
    pub lifecycle: Lifecycle,
}

/// What a policy may see and do at one tick.
pub struct Tick<'a> {
    trace: &'a Trace,
    /// Which tick.
    pub number: usize,
    costs: &'a Costs,
    probes_usd: f64,
}

impl Tick<'_> {
    /// The time since the trace began, in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.number as u64 * self.trace.tick_ms
    }

    /// The price of spot in a zone: prices are published.
    #[must_use]
    pub fn price(&self, zone: usize) -> f64 {
        let zone = self.trace.zones.get(zone);
        zone.and_then(|z| z.price.get(self.number)).copied().unwrap_or(f64::MAX)
    }

    /// Asks for a spot instance: whether it is granted. A refusal costs nothing.
    #[must_use]
    pub fn launch(&self, zone: usize) -> bool {
        let zone = self.trace.zones.get(zone);
        zone.and_then(|z| z.available.get(self.number)).copied().unwrap_or(false)
    }

    /// Asks for one and gives it back: what is granted is billed.
    pub fn probe(&mut self, zone: usize) -> bool {
        let granted = self.launch(zone);
        if granted {
            self.probes_usd += self.price(zone) * self.costs.probe_ms as f64 / 3_600_000.0;
        }
        granted
    }
}

/// A policy.
pub trait Policy {
    /// Where the node is from this tick on. `now_at` is `None` at the first tick; `lost` says that
    /// its spot instance has just been taken back.
    fn place(&mut self, tick: &mut Tick<'_>, now_at: Option<Place>, lost: bool) -> Place;
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// US dollars.
    pub usd: f64,
    /// Milliseconds of blackout.
    pub blackout_ms: u64,
    /// How often the cloud took the instance.
    pub interruptions: u64,
    /// How often the instance was replaced, for whatever reason.
    pub replacements: u64,
    /// Ticks on demand.
    pub on_demand_ticks: u64,
    /// All ticks.
    pub ticks: u64,
}

/// Takes a node through the trace. A policy that goes where nothing is to be had is put on demand.
pub fn replay(trace: &Trace, costs: &Costs, policy: &mut dyn Policy) -> Outcome {
    let mut out = Outcome {
        usd: 0.0,
        blackout_ms: 0,
        interruptions: 0,
        replacements: 0,
        on_demand_ticks: 0,
        ticks: trace.ticks() as u64,
    };
    let hours = trace.tick_ms as f64 / 3_600_000.0;
    let mut at: Option<Place> = None;
    for number in 0..trace.ticks() {
        let mut tick = Tick { trace, number, costs, probes_usd: 0.0 };
        let lost = at.is_some_and(|at| at.lifecycle == Lifecycle::Spot && !tick.launch(at.zone));
        out.interruptions += u64::from(lost);
        let mut next = policy.place(&mut tick, at, lost);
        if next.lifecycle == Lifecycle::Spot && !tick.launch(next.zone) {
            next.lifecycle = Lifecycle::OnDemand;
        }
        if let Some(from) = at.filter(|from| *from != next) {
            out.replacements += 1;
            out.blackout_ms += costs.blackout(from, next);
        }
        let hourly = match next.lifecycle {
            Lifecycle::Spot => tick.price(next.zone),
            Lifecycle::OnDemand => costs.on_demand_usd,
        };
        out.usd += hourly * hours + tick.probes_usd;
        out.on_demand_ticks += u64::from(next.lifecycle == Lifecycle::OnDemand);
        at = Some(next);
    }
    out
}
