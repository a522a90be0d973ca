//! `holdfast-trials bench market`: what a stateful node costs and how long it is away, by policy, on a
//! trace of a spot market.
//!
//! Every policy is taken through the same trace with the same costs: a replacement in the zone is a
//! blackout, a zone move a longer one, the return from on-demand to spot is a replacement too. What
//! `holdfast` does is decided by the engine's own code; it learns as it goes, and is told nothing
//! but what its launches, probes and interruptions tell it. `greedy` and `pinned` are told where
//! capacity is; `omniscient` knows the future.

pub mod omniscient;
pub mod policies;
pub mod replay;
pub mod trace;

use policies::{Greedy, Holdfast, OnDemand, Pinned, Priced};
use replay::{Costs, Outcome, Policy, replay};
use serde::Serialize;
use trace::Trace;

/// One policy in one scope.
#[derive(Debug, Clone, Serialize)]
pub struct MarketRow {
    /// A region, `all` zones, or one zone that the node is pinned to.
    pub scope: String,
    /// `holdfast`, `greedy`, `pinned`, `on-demand` or `omniscient`.
    pub policy: &'static str,
    /// What it cost, in per cent of on-demand.
    pub cost_percent: f64,
    /// Share of the time in which the node served.
    pub availability_percent: f64,
    /// How often the cloud took the instance.
    pub interruptions: u64,
    /// How often the instance was replaced, for whatever reason.
    pub replacements: u64,
    /// Share of the time on demand.
    pub on_demand_percent: f64,
    /// For `holdfast`: its cost by that of `omniscient`, which had no more blackout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_by_omniscient: Option<f64>,
    /// For `omniscient`: no schedule with as little blackout costs less, in per cent of on-demand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_percent: Option<f64>,
}

/// What a comparison found.
#[derive(Debug, Clone, Serialize)]
pub struct MarketReport {
    /// Length of the trace in days.
    pub days: f64,
    /// A row for each scope and policy.
    pub rows: Vec<MarketRow>,
}

/// Compares the policies on every region of the trace, on all zones together, and pinned to each.
///
/// # Errors
/// A sentence, if the trace is empty or its zones cannot be made a spec of.
pub fn compare(
    whole: &Trace,
    costs: &Costs,
    progress: &mut dyn FnMut(&str),
) -> Result<MarketReport, String> {
    if whole.ticks() == 0 {
        return Err("the trace, or the part of it that was asked for, has no ticks".to_owned());
    }
    let mut scopes: Vec<(String, Trace)> = Vec::new();
    let mut regions: Vec<&str> = whole.zones.iter().map(trace::ZoneTrace::region).collect();
    regions.dedup();
    for region in &regions {
        scopes.push(((*region).to_owned(), whole.of(|z| z.region() == *region)));
    }
    if regions.len() > 1 {
        scopes.push(("all".to_owned(), whole.clone()));
    }
    if whole.zones.len() > 1 {
        for zone in &whole.zones {
            scopes.push((zone.zone.clone(), whole.of(|z| z.zone == zone.zone)));
        }
    }
    let mut rows = Vec::new();
    for (scope, trace) in &scopes {
        progress(scope);
        rows.extend(compare_in(scope, trace, costs)?);
    }
    let days = whole.ticks() as f64 * whole.tick_ms as f64 / 86_400_000.0;
    Ok(MarketReport { days, rows })
}

fn compare_in(scope: &str, trace: &Trace, costs: &Costs) -> Result<Vec<MarketRow>, String> {
    let mut rows = Vec::new();
    let on_demand = replay(trace, costs, &mut OnDemand);
    let mut add = |policy: &'static str, outcome: &Outcome| {
        let ticks = outcome.ticks.max(1) as f64;
        let whole_ms = ticks * trace.tick_ms as f64;
        rows.push(MarketRow {
            scope: scope.to_owned(),
            policy,
            cost_percent: outcome.usd / on_demand.usd * 100.0,
            availability_percent: 100.0 - outcome.blackout_ms as f64 / whole_ms * 100.0,
            interruptions: outcome.interruptions,
            replacements: outcome.replacements,
            on_demand_percent: outcome.on_demand_ticks as f64 / ticks * 100.0,
            cost_by_omniscient: None,
            bound_percent: None,
        });
    };
    let holdfast = Holdfast::new(trace, costs)?;
    let mut holdfast = Priced { holdfast, on_demand_usd: costs.on_demand_usd };
    let ours = replay(trace, costs, &mut holdfast);
    let mut schedule = omniscient::schedule(trace, costs, ours.blackout_ms);
    let bound = schedule.bound_usd;
    let best = omniscient::outcome(trace, costs, &mut schedule);
    let pinned = (0..trace.zones.len())
        .map(|zone| replay(trace, costs, &mut Pinned { zone } as &mut dyn Policy))
        .min_by(|a, b| a.usd.total_cmp(&b.usd));
    add("holdfast", &ours);
    if trace.zones.len() > 1 {
        add("greedy", &replay(trace, costs, &mut Greedy { zones: trace.zones.len() }));
    }
    if let Some(pinned) = pinned {
        add("pinned", &pinned);
    }
    add("on-demand", &on_demand);
    add("omniscient", &best);
    if let Some(row) = rows.first_mut() {
        row.cost_by_omniscient = Some(ours.usd / best.usd);
    }
    if let Some(row) = rows.last_mut() {
        row.bound_percent = Some(bound / on_demand.usd * 100.0);
    }
    Ok(rows)
}

impl MarketReport {
    /// The report as a table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:.1} days; cost in % of on-demand; \"pinned\" in a region is its best zone in \
             hindsight\n\n  {:<12} {:<11} {:>7} {:>13} {:>14} {:>13} {:>12}  {}\n",
            self.days,
            "scope",
            "policy",
            "cost %",
            "available %",
            "interruptions",
            "replacements",
            "on-demand %",
            "of omniscient"
        );
        let mut scope = "";
        for row in &self.rows {
            if scope != row.scope && !scope.is_empty() {
                text.push('\n');
            }
            let ratio = row.cost_by_omniscient.map(|r| format!("{r:.3}")).unwrap_or_default();
            text.push_str(&format!(
                "  {:<12} {:<11} {:>7.2} {:>13.3} {:>14} {:>13} {:>12.2}  {}\n",
                row.scope,
                row.policy,
                row.cost_percent,
                row.availability_percent,
                row.interruptions,
                row.replacements,
                row.on_demand_percent,
                ratio
            ));
            scope = &row.scope;
        }
        text
    }
}
