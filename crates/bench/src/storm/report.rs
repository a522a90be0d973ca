//! What came of the storms, for programs and for people.

use super::{Bound, Flow};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StormRow {
    /// How many nodes.
    pub nodes: usize,
    /// Which way.
    pub flow: Flow,
    /// How large the cloud's buckets were, in percent of what is published: less than 100 means
    /// smaller than the controller believes at first.
    pub bucket_percent: u32,
    /// From the announcement until all serve again.
    pub seconds: f64,
    /// The best that anybody could do with these latencies and buckets who learns how long a thing
    /// takes when it is over: one order of the same latencies in a hundred comes below it.
    pub bound_seconds: f64,
    /// The one divided by the other.
    pub ratio: f64,
    /// The time divided by [`Bound::foresight_seconds`]: by what somebody could do who knows every
    /// latency ahead.
    pub foresight_ratio: f64,
    /// Calls that change something, by replacement: throttled ones and those that tidy up too.
    pub mutating_calls_per_replacement: f64,
    /// The same by action.
    pub calls_by_action: BTreeMap<String, f64>,
    /// Describe calls from the announcement until all serve again.
    pub describe_calls: u64,
    /// The most memory that the process held in this run, the simulated cloud included, in MiB.
    pub peak_memory_mib: Option<u64>,
    /// Where the bound comes from.
    pub bound: Bound,
}

/// Everything that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StormReport {
    /// Data volumes of each node.
    pub volumes: usize,
    /// What decided the latencies.
    pub seed: u64,
    /// A row for each run.
    pub rows: Vec<StormRow>,
}

impl StormReport {
    /// The rows as people read them.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "Nodes with a root, an interface, a kept address and {} data volumes, taken back in one \
             second with notice.\nBuckets marked with * are smaller than the controller \
             believes.\n\n{:>7}  {:<10} {:>7} {:>10} {:>10} {:>7} {:>9} {:>10} {:>10} {:>9}\n",
            self.volumes,
            "nodes",
            "flow",
            "buckets",
            "seconds",
            "bound",
            "ratio",
            "foresight",
            "calls/node",
            "Describes",
            "peak MiB"
        );
        for r in &self.rows {
            let mark = if r.bucket_percent < 100 { "*" } else { " " };
            let _ = writeln!(
                text,
                "{:>7}  {:<10} {:>5}%{mark} {:>10.1} {:>10.1} {:>7.3} {:>9.3} {:>10.2} {:>10} {:>9}",
                r.nodes,
                r.flow.name(),
                r.bucket_percent,
                r.seconds,
                r.bound_seconds,
                r.ratio,
                r.foresight_ratio,
                r.mutating_calls_per_replacement,
                r.describe_calls,
                r.peak_memory_mib.map_or("-".to_owned(), |mib| mib.to_string()),
            );
        }
        text.push_str("\nWhere each bound comes from:\n");
        let mut told = std::collections::BTreeSet::new();
        for r in &self.rows {
            let same_way = if r.flow == Flow::Snapshot { "snapshot" } else { "reattach" };
            if told.insert((r.nodes, same_way, r.bucket_percent)) {
                let _ = writeln!(
                    text,
                    "{:>7}  {same_way:<8} {:>4}%  {}: {}",
                    r.nodes, r.bucket_percent, r.bound.by, r.bound.arithmetic
                );
                let _ = writeln!(
                    text,
                    "{:>24} with foresight {:.1} s: {}",
                    "", r.bound.foresight_seconds, r.bound.foresight_arithmetic
                );
            }
        }
        text.push_str("\nCalls of one replacement, by action:\n");
        for r in &self.rows {
            let calls: Vec<String> =
                r.calls_by_action.iter().map(|(action, n)| format!("{action} {n:.2}")).collect();
            let _ = writeln!(
                text,
                "{:>7}  {:<10} {:>4}%  {}",
                r.nodes,
                r.flow.name(),
                r.bucket_percent,
                calls.join(", ")
            );
        }
        text
    }
}
