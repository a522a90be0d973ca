//! `holdfast-trials bench storm`: N nodes, each with a root, data volumes and a kept address, are taken
//! back in the same second, under EC2's token buckets. How long until all of them serve again?
//!
//! ```text
//! stage.rs   nodes that serve, and the strike         bound.rs   the best that anybody could do
//! script.rs  what Holdfast is compared with           chance.rs  who does not know the future
//! report.rs  rows and tables
//! ```

mod bound;
pub mod chance;
mod report;
mod script;
pub(crate) mod stage;

pub use bound::{Bound, Bucket, Counts, buckets};
pub use report::{StormReport, StormRow};

use crate::clone::Original;
use crate::{BenchError, memory};
use holdfast_model::Time;
use holdfast_model::time::HOUR;
use stage::Stage;
use std::collections::BTreeMap;

/// The longest that a run may take in virtual time.
const LIMIT: u64 = 96 * HOUR;
/// The wrong buckets: so many percent of what the controller believes at first.
const WRONG: u32 = 50;

/// A way to bring the nodes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// Holdfast, in the same zone: the data volumes are attached again, the address stays.
    Reattach,
    /// Holdfast, to another zone: everything travels as snapshots.
    Snapshot,
    /// Pause and then resume, as Spot documents it, all nodes side by side.
    Incumbent,
    /// The same, one node after another.
    Naive,
}

impl Flow {
    /// Every flow.
    pub const ALL: [Flow; 4] = [Flow::Reattach, Flow::Snapshot, Flow::Incumbent, Flow::Naive];

    fn is_holdfast(self) -> bool {
        matches!(self, Flow::Reattach | Flow::Snapshot)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Flow::Reattach => "reattach",
            Flow::Snapshot => "snapshot",
            Flow::Incumbent => "incumbent",
            Flow::Naive => "naive",
        }
    }
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StormOptions {
    /// How many nodes; every flow is run for each number.
    pub nodes: Vec<usize>,
    /// Which flows.
    pub flows: Vec<Flow>,
    /// Data volumes of each node.
    pub volumes: usize,
    /// Decides every latency.
    pub seed: u64,
    /// Whether Holdfast's flows are run once more with buckets smaller than it believes.
    pub wrong_buckets: bool,
}

impl Default for StormOptions {
    fn default() -> StormOptions {
        StormOptions {
            nodes: vec![10, 100, 1_000, 10_000],
            flows: Flow::ALL.to_vec(),
            volumes: 2,
            seed: 1,
            wrong_buckets: true,
        }
    }
}

/// Runs the storms; `told` hears what is being run.
///
/// # Errors
/// [`BenchError`] if a run comes to no end or breaks the ground truth.
pub fn run(options: &StormOptions, told: &mut dyn FnMut(&str)) -> Result<StormReport, BenchError> {
    let mut rows = Vec::new();
    let mut originals = BTreeMap::new();
    for &nodes in &options.nodes {
        for &flow in &options.flows {
            let original = match originals.entry(flow.name()) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(stage::original(flow, options.volumes, options.seed)?)
                }
            };
            let wrong = options.wrong_buckets && flow.is_holdfast();
            for percent in [100].into_iter().chain(wrong.then_some(WRONG)) {
                told(&format!("{nodes} nodes, {}, buckets of {percent} %", flow.name()));
                rows.push(one(original, flow, nodes, options, percent)?);
            }
        }
    }
    Ok(StormReport { volumes: options.volumes, seed: options.seed, rows })
}

fn one(
    original: &Original,
    flow: Flow,
    count: usize,
    options: &StormOptions,
    percent: u32,
) -> Result<StormRow, BenchError> {
    memory::forget_peak();
    let what = format!("{} over {count} nodes", flow.name());
    let mut stage = Stage::set(original, flow, count, options.volumes, options.seed)?;
    let bound = bound::bound(&stage.drive.cloud, &stage.nodes, flow, percent);
    let before = stage.drive.cloud.calls_by_action().clone();
    let began = stage.drive.now;
    stage.strike(percent);
    let back = if flow.is_holdfast() {
        let mut back: Vec<Time> = Vec::with_capacity(count);
        let mut left: Vec<usize> = (0..count).collect();
        let nodes = &stage.nodes;
        stage.drive.run_until(&what, LIMIT, |drive| {
            // Whoever is last in the list is looked at first; the list is gone through once in a
            // while only, for most are still away.
            while let Some(&last) = left.last() {
                if !nodes.get(last).is_some_and(|node| Stage::is_back(drive, node)) {
                    return false;
                }
                left.pop();
                back.push(drive.now);
            }
            true
        })?;
        back
    } else {
        script::run(&mut stage, flow == Flow::Naive)?
    };
    let ended = back.iter().copied().max().unwrap_or(began);
    let so_far = stage.drive.cloud.calls_by_action();
    let reads = so_far.iter().filter(|(action, _)| action.starts_with("Describe"));
    let describe_calls = reads.map(|(action, made)| made - of(&before, action)).sum();
    if flow.is_holdfast() {
        // What is superseded is deleted after the nodes serve: that counts as well.
        let mut left: Vec<usize> = (0..count).collect();
        let nodes = &stage.nodes;
        stage.drive.run_until(&what, LIMIT, |drive| {
            let busy = |n: &usize| {
                let record = nodes.get(*n).and_then(|node| drive.fleet.record(&node.id));
                record.is_none_or(|record| record.work.is_some())
            };
            while left.last().is_some_and(|n| !busy(n)) {
                left.pop();
            }
            left.is_empty()
        })?;
    }
    let peak = memory::peak_kib();
    if let Some(violation) = stage.drive.cloud.violations().first() {
        return Err(BenchError::Broken { what, violation: violation.to_string() });
    }
    let seconds = ended.since(began) as f64 / 1_000.0;
    let mutates =
        |action: &str| !(action.starts_with("Describe") || matches!(action, "Drain" | "OpenGate"));
    let calls = stage.drive.cloud.calls_by_action().iter().filter(|(action, _)| mutates(action));
    let by_action: BTreeMap<String, f64> = calls
        .map(|(action, made)| ((*action).to_owned(), (made - of(&before, action)) as f64))
        .filter(|(_, made)| *made > 0.0)
        .map(|(action, made)| (action, made / count as f64))
        .collect();
    Ok(StormRow {
        nodes: count,
        flow,
        bucket_percent: percent,
        seconds,
        bound_seconds: bound.seconds,
        ratio: seconds / bound.seconds,
        foresight_ratio: seconds / bound.foresight_seconds,
        mutating_calls_per_replacement: by_action.values().sum(),
        calls_by_action: by_action,
        describe_calls,
        peak_memory_mib: peak.map(|kib| kib / 1_024),
        bound,
    })
}

fn of(made: &BTreeMap<&'static str, u64>, action: &str) -> u64 {
    made.get(action).copied().unwrap_or_default()
}
