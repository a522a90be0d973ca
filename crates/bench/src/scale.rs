//! `holdfast-trials bench scale`: one controller over many nodes that do nothing. What does it cost to
//! watch over them, and how soon is one noticed that is taken away?

use crate::drive::Drive;
use crate::storm::stage::spec;
use crate::{BenchError, clone, memory};
use holdfast_cloud_sim::SimConfig;
use holdfast_model::InstanceId;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use serde::Serialize;
use std::fmt::Write;
use std::time::Duration;

/// How long the controller is watched while nothing happens, in virtual time.
const WATCHED: u64 = HOUR / 4;
/// The longest that noticing may take in virtual time.
const LIMIT: u64 = HOUR;
/// Data volumes of each node.
const VOLUMES: usize = 1;

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaleOptions {
    /// How many nodes; a row each.
    pub nodes: Vec<usize>,
    /// Decides every latency.
    pub seed: u64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScaleRow {
    /// How many idle nodes.
    pub nodes: usize,
    /// Resources that they have.
    pub resources: u64,
    /// Resident memory that the controller added, by node, in bytes: measured, not counted.
    pub memory_per_node_bytes: Option<u64>,
    /// Processor time for each sweep over the instances, with all that happens between two, in
    /// milliseconds; the simulated cloud's answers included.
    pub cpu_per_sweep_ms: f64,
    /// Describe calls in an hour.
    pub calls_per_hour: f64,
    /// From the announcement of an interruption to the start of the replacement, in seconds.
    pub noticed_after_seconds: f64,
    /// From a power cut without any notice to the start of the replacement, in seconds.
    pub lost_noticed_after_seconds: f64,
}

/// Everything that was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScaleReport {
    /// A row for each number of nodes.
    pub rows: Vec<ScaleRow>,
}

/// Longer than anything is measured, in milliseconds.
const NO_SNAPSHOTS: u64 = 365 * 24 * HOUR;

/// Runs for every number of nodes; `told` hears what is being run.
///
/// # Errors
/// [`BenchError`] if an interruption is never noticed.
pub fn run(options: &ScaleOptions, told: &mut dyn FnMut(&str)) -> Result<ScaleReport, BenchError> {
    let mut rows = Vec::new();
    for &nodes in &options.nodes {
        told(&format!("{nodes} idle nodes"));
        rows.push(one(nodes, options.seed)?);
    }
    Ok(ScaleReport { rows })
}

fn one(count: usize, seed: u64) -> Result<ScaleRow, BenchError> {
    let original = clone::original(seed, spec(VOLUMES, true), 0)?;
    // A subnet has some 65,000 addresses: the nodes are spread over three.
    let (mut cloud, now, records) = original.copies(seed, count, |number, text| {
        let zone = ["sim-1a", "sim-1b", "sim-1c"][number % 3];
        *text = text.replace("sim-1a", zone);
    })?;
    *cloud.config() = SimConfig::default();
    let texts = records.iter().map(clone::written).collect::<Result<Vec<_>, _>>()?;
    let resources = records.iter().map(|r| 3 + r.identity.data.len() as u64).sum();
    let nodes: Vec<_> = records.iter().map(|r| r.id.clone()).collect();
    let holders: Vec<InstanceId> =
        records.iter().filter_map(|r| r.instance.as_ref().map(|h| h.id.clone())).collect();
    drop(records);
    let before = memory::resident_kib();
    // As a store gives them: each record is read from its text, within what is measured.
    let records = texts.iter().map(|text| clone::read(text)).collect::<Result<Vec<_>, _>>()?;
    let mut config = clone::config();
    // What is measured is what looking costs: snapshots while a node runs are calls of their own.
    config.tuning.snapshot_interval = NO_SNAPSHOTS;
    let mut drive = Drive::start(cloud, now, config, records);
    drive.apart = true;
    drive.run_until("the first look", LIMIT, |d| d.fleet.world().is_swept())?;
    drive.run_for(2 * MINUTE);
    let after = memory::resident_kib();
    let memory = before.zip(after).map(|(b, a)| a.saturating_sub(b) * 1_024 / count.max(1) as u64);

    let calls = drive.cloud.calls_made();
    let (began, cpu) = (drive.now, memory::processor_time());
    drive.run_for(WATCHED);
    let spent = memory::processor_time().zip(cpu).map(|(a, b)| a.saturating_sub(b));
    let hours = drive.now.since(began) as f64 / HOUR as f64;
    let sweeps = (WATCHED / clone::config().sweep_interval) as f64;
    let calls_per_hour = (drive.cloud.calls_made() - calls) as f64 / hours;

    let mut noticed = |number: usize, notice: Option<u64>| -> Result<f64, BenchError> {
        let (Some(node), Some(holder)) = (nodes.get(number), holders.get(number)) else {
            return Ok(f64::NAN);
        };
        let at = drive.now;
        drive.cloud.interrupt(at, holder, notice);
        drive.run_until("noticing an interruption", LIMIT, |d| {
            d.fleet.record(node).is_some_and(|r| r.work.is_some())
        })?;
        Ok(drive.now.since(at) as f64 / 1_000.0)
    };
    let noticed_after_seconds = noticed(count / 2, Some(120 * SECOND))?;
    let lost_noticed_after_seconds = noticed(count / 3, None)?;
    Ok(ScaleRow {
        nodes: count,
        resources,
        memory_per_node_bytes: memory,
        cpu_per_sweep_ms: spent.unwrap_or(Duration::ZERO).as_secs_f64() * 1_000.0 / sweeps,
        calls_per_hour,
        noticed_after_seconds,
        lost_noticed_after_seconds,
    })
}

impl ScaleReport {
    /// The rows as people read them.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:>7} {:>10} {:>12} {:>13} {:>12} {:>14} {:>14}\n",
            "nodes",
            "resources",
            "bytes/node",
            "CPU ms/sweep",
            "calls/hour",
            "noticed (s)",
            "unannounced (s)"
        );
        for r in &self.rows {
            let _ = writeln!(
                text,
                "{:>7} {:>10} {:>12} {:>13.1} {:>12.0} {:>14.1} {:>14.1}",
                r.nodes,
                r.resources,
                r.memory_per_node_bytes.map_or("-".to_owned(), |b| b.to_string()),
                r.cpu_per_sweep_ms,
                r.calls_per_hour,
                r.noticed_after_seconds,
                r.lost_noticed_after_seconds
            );
        }
        text
    }
}
