//! `holdfast bench storm`: N nodes, each with a root, a kept address and data volumes, are taken
//! back in the same second, under EC2's token buckets. How long until all of them serve again?

mod stage;

use crate::BenchError;
use serde::Serialize;
use stage::Stage;

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StormOptions {
    /// How many nodes; a row each.
    pub nodes: Vec<usize>,
    /// Data volumes of each node.
    pub volumes: usize,
    /// Decides every latency.
    pub seed: u64,
}

impl Default for StormOptions {
    fn default() -> StormOptions {
        StormOptions { nodes: vec![10, 100, 1_000, 10_000], volumes: 2, seed: 1 }
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StormRow {
    /// How many nodes.
    pub nodes: usize,
    /// Which way: `reattach`, ….
    pub flow: &'static str,
    /// From the announcement until all serve again.
    pub seconds: f64,
    /// Calls that change something, by replacement.
    pub mutating_calls_per_replacement: f64,
    /// Describe calls from the announcement until all serve again.
    pub describe_calls: u64,
}

/// Everything that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StormReport {
    /// A row for each run.
    pub rows: Vec<StormRow>,
}

/// Runs the storm for every number of nodes; `told` hears what is being run.
///
/// # Errors
/// [`BenchError`] if a run comes to no end or breaks the ground truth.
pub fn run(options: &StormOptions, told: &mut dyn FnMut(&str)) -> Result<StormReport, BenchError> {
    let mut rows = Vec::new();
    for &nodes in &options.nodes {
        told(&format!("{nodes} nodes: reattach"));
        rows.push(Stage::set(nodes, options)?.storm()?);
    }
    Ok(StormReport { rows })
}

impl StormReport {
    /// The rows as people read them.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:>7}  {:<10} {:>9} {:>12} {:>10}\n",
            "nodes", "flow", "seconds", "calls/node", "Describes"
        );
        for r in &self.rows {
            text.push_str(&format!(
                "{:>7}  {:<10} {:>9.1} {:>12.1} {:>10}\n",
                r.nodes, r.flow, r.seconds, r.mutating_calls_per_replacement, r.describe_calls
            ));
        }
        text
    }
}
