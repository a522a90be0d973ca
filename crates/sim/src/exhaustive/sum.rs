//! What many pairs come to, as it is kept and as a program reads it.

use super::pairs::{Outcome, Plan};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most broken pairs that are kept by name.
const MAX_BROKEN: usize = 1_000;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sum {
    /// Pairs, and walked ones, of each first fault that is done.
    done: BTreeMap<usize, (u64, u64)>,
    /// How long it took, all threads and earlier runs together, in seconds by the wall clock.
    pub seconds: f64,
    /// How many pairs broke something.
    pub violations: u64,
    /// The first thing that each of them broke, by its name, in the order of names.
    pub broken: BTreeMap<String, String>,
}

impl Sum {
    /// Takes in what the pairs with one first fault came to.
    pub fn add(&mut self, first: usize, outcome: Outcome) {
        if self.done.insert(first, (outcome.pairs, outcome.walked)).is_some() {
            return;
        }
        let mut last = String::new();
        for (pair, what) in outcome.broken {
            if pair == last {
                continue;
            }
            self.violations += 1;
            last.clone_from(&pair);
            self.broken.insert(pair, what);
        }
        while self.broken.len() > MAX_BROKEN {
            self.broken.pop_last();
        }
    }

    /// Whether the pairs with this first fault are done.
    #[must_use]
    pub fn has(&self, first: usize) -> bool {
        self.done.contains_key(&first)
    }

    /// How many first faults are done.
    #[must_use]
    pub fn firsts(&self) -> usize {
        self.done.len()
    }

    /// How many pairs were walked to their end.
    #[must_use]
    pub fn walked(&self) -> u64 {
        self.done.values().map(|(_, walked)| walked).sum()
    }

    /// How many pairs are done, those included that only were counted.
    #[must_use]
    pub fn pairs(&self, plan: &Plan) -> u64 {
        self.done.iter().map(|(first, (pairs, _))| pairs * plan.times(*first)).sum()
    }

    /// All of what so much was counted of in the first faults that are done; extrapolated, unless all
    /// are.
    #[must_use]
    pub fn whole(&self, plan: &Plan, counted: f64) -> f64 {
        if self.done.is_empty() { 0.0 } else { counted * plan.len() as f64 / self.firsts() as f64 }
    }

    /// Whether everything is done.
    #[must_use]
    pub fn is_whole(&self, plan: &Plan) -> bool {
        self.firsts() >= plan.len()
    }

    /// For programs.
    #[must_use]
    pub fn json(&self, plan: &Plan) -> Value {
        let whole = |counted: f64| self.whole(plan, counted).round() as u64;
        json!({
            "single_faults": plan.singles(),
            "first_faults": plan.len(),
            "first_faults_done": self.firsts(),
            "pairs_done": self.pairs(plan),
            "pairs_walked": self.walked(),
            "pairs_that_are_single_faults": plan.idle(),
            "seconds": self.seconds,
            "extrapolated": !self.is_whole(plan),
            "pairs": whole(self.pairs(plan) as f64) + plan.idle(),
            "pairs_distinct": whole(self.walked() as f64),
            "seconds_for_all": whole(self.seconds),
            "violations": self.violations,
            "broken": self.broken,
        })
    }

    /// As it is kept, to go on later.
    #[must_use]
    pub fn kept(&self, plan: &Plan) -> String {
        let done: Vec<Value> = self.done.iter().map(|(f, (p, w))| json!([f, p, w])).collect();
        let of = plan.fingerprint();
        json!({
            "of": of, "seconds": self.seconds, "violations": self.violations,
            "broken": self.broken, "done": done,
        })
        .to_string()
    }

    /// What was kept.
    ///
    /// # Errors
    /// If it is damaged, or of other pairs.
    pub fn read(text: &str, plan: &Plan) -> Result<Sum, String> {
        let kept: Value = serde_json::from_str(text).map_err(|e| format!("it is damaged: {e}"))?;
        if kept["of"].as_u64() != Some(plan.fingerprint()) {
            return Err("it is of other courses or shapes, or of another version".to_owned());
        }
        let damaged = || "it is damaged".to_owned();
        let mut done = BTreeMap::new();
        for row in kept["done"].as_array().ok_or_else(damaged)? {
            let number = |at: usize| row[at].as_u64().ok_or_else(damaged);
            let first = usize::try_from(number(0)?).map_err(|_| damaged())?;
            if first >= plan.len() {
                return Err(damaged());
            }
            done.insert(first, (number(1)?, number(2)?));
        }
        let broken = kept["broken"].as_object().ok_or_else(damaged)?;
        let broken =
            broken.iter().map(|(pair, what)| Some((pair.clone(), what.as_str()?.to_owned())));
        Ok(Sum {
            done,
            seconds: kept["seconds"].as_f64().ok_or_else(damaged)?,
            violations: kept["violations"].as_u64().ok_or_else(damaged)?,
            broken: broken.collect::<Option<_>>().ok_or_else(damaged)?,
        })
    }
}
