//! Many runs: what they come to together, as a program and as a person read it. Which seeds are
//! run, on how many threads and for how long, its driver decides.

use crate::cells;
use crate::lines;
use crate::people;
use crate::run::RunReport;
use crate::scenario::Mix;
use crate::tally::Tally;
use serde_json::{Value, json};

/// The most failing seeds that are remembered.
pub const MAX_FAILING: usize = 100;

/// What many runs come to.
#[derive(Debug, Clone, Default)]
pub struct Campaign {
    /// How many runs.
    pub runs: u64,
    /// Faults and replacements of all of them.
    pub tally: Tally,
    /// How much was broken.
    pub violations: u64,
    /// Seeds that broke something; at most [`MAX_FAILING`].
    pub failing: Vec<RunReport>,
    /// Virtual time, in milliseconds.
    pub virtual_ms: u64,
    /// The longest that a run took to be well once faults had stopped, in milliseconds.
    pub longest_calm_ms: u64,
}

impl Campaign {
    /// Takes in a run.
    pub fn add(&mut self, report: RunReport) {
        self.runs += 1;
        self.tally.add(&report.tally);
        self.violations += report.violations.len() as u64;
        self.virtual_ms += report.virtual_ms;
        self.longest_calm_ms = self.longest_calm_ms.max(report.calm_ms);
        if !report.violations.is_empty() && self.failing.len() < MAX_FAILING {
            self.failing.push(report);
        }
    }

    /// For programs. `seconds` is how long it took by the wall clock.
    #[must_use]
    pub fn json(&self, seconds: f64) -> Value {
        let table: Vec<Value> = self
            .tally
            .hits
            .iter()
            .map(|((class, row), hits)| json!({"fault": class.name(), "row": row.name(), "hits": hits}))
            .collect();
        let acts: Vec<Value> = self
            .tally
            .acts
            .iter()
            .map(|((act, doing), n)| json!({"act": act.name(), "node": doing.name(), "times": n}))
            .collect();
        let failing: Vec<Value> = self
            .failing
            .iter()
            .map(|r| json!({"seed": r.seed, "invariant": r.violations.first().map(|v| v.name.name())}))
            .collect();
        json!({
            "runs": self.runs,
            "replacements": self.tally.counted,
            "replacements_completed": self.tally.completed,
            "replacements_overtaken": self.tally.overtaken,
            "violations": self.violations,
            "replacements_per_hour": per_hour(self.tally.counted, seconds),
            "seconds": seconds,
            "virtual_hours": self.virtual_ms / holdfast_model::time::HOUR,
            "failing": failing,
            "faults": table,
            "acts": acts,
            "never_happened": people::holes(&self.tally, &Mix::default()),
            "never_followed": lines::holes(&self.tally),
            "empty_cells": cells::holes(&self.tally, &Mix::default())
                .iter()
                .map(|(class, row)| json!({"fault": class.name(), "row": row.name()}))
                .collect::<Vec<_>>(),
        })
    }
}

/// How many an hour.
#[must_use]
pub fn per_hour(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (count as f64 * 3_600.0 / seconds) as u64 } else { 0 }
}

/// The command that runs exactly this again.
#[must_use]
pub fn replay(seed: u64, mix: &Mix) -> String {
    let mut command = format!("holdfast-trials sim --seed {seed}");
    let list = |names: Vec<&str>| match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(","),
    };
    let (ordinary, wide) = (Mix::default(), Mix::wide());
    let is_wide = mix.acts == wide.acts && mix.acts != ordinary.acts;
    if is_wide {
        command.push_str(" --wide");
    }
    let drawn = if is_wide { &wide.classes } else { &ordinary.classes };
    if &mix.classes != drawn {
        let names = mix.classes.iter().map(|class| class.name()).collect();
        command.push_str(&format!(" --faults {}", list(names)));
    }
    if !is_wide && mix.acts != ordinary.acts {
        let names = mix.acts.iter().map(|act| act.name()).collect();
        command.push_str(&format!(" --acts {}", list(names)));
    }
    if let Some(nodes) = mix.nodes {
        command.push_str(&format!(" --nodes {nodes}"));
    }
    if let Some(actions) = mix.actions {
        command.push_str(&format!(" --actions {actions}"));
    }
    if !mix.skipped.is_empty() {
        let list: Vec<String> = mix.skipped.iter().map(ToString::to_string).collect();
        command.push_str(&format!(" --skip {}", list.join(",")));
    }
    command
}
