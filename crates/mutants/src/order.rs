//! In which order tests are run: those first that have killed much in little time.

use crate::list::TestName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most time that tests which are run in one process take together.
const BATCH_TAKES: Duration = Duration::from_secs(1);
/// The most tests that are run in one process.
const BATCH_MAX: usize = 60;
/// What a test has killed that has killed nothing yet.
const UNTRIED: f64 = 0.2;
/// What it costs to begin a test, in seconds.
const BEGINNING: f64 = 0.005;

/// What is known of a test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// How many mutants it has killed.
    pub kills: u64,
    /// How long it takes when nothing is edited.
    pub takes: Duration,
}

/// What is known of all tests; it is kept from run to run.
#[derive(Debug, Default)]
pub struct Order {
    file: PathBuf,
    known: BTreeMap<String, Known>,
}

impl Order {
    /// Reads what is known. A file that cannot be read is begun anew: nothing depends on it.
    #[must_use]
    pub fn read(file: &Path) -> Order {
        let known = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Order { file: file.to_owned(), known: known.unwrap_or_default() }
    }

    /// Keeps it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self) -> io::Result<()> {
        // Never half of it.
        let aside = self.file.with_extension("new");
        std::fs::write(&aside, serde_json::to_vec_pretty(&self.known)?)?;
        std::fs::rename(aside, &self.file)
    }

    /// What is known of a test.
    #[must_use]
    pub fn of(&self, test: &TestName) -> Known {
        self.known.get(&test.to_string()).copied().unwrap_or_default()
    }

    /// A test took so long, with nothing edited.
    pub fn took(&mut self, test: &TestName, takes: Duration) {
        self.known.entry(test.to_string()).or_default().takes = takes;
    }

    /// A test has killed a mutant.
    pub fn killed(&mut self, test: &TestName) {
        self.known.entry(test.to_string()).or_default().kills += 1;
    }

    /// The tests in the order in which they are run, in batches that are run in one process.
    #[must_use]
    pub fn batches(&self, mut tests: Vec<TestName>) -> Vec<Vec<TestName>> {
        let worth = |test: &TestName| {
            let known = self.of(test);
            (known.kills as f64 + UNTRIED) / (known.takes.as_secs_f64() + BEGINNING)
        };
        // The swarm meets everything, and takes longest.
        let swarm = |test: &TestName| test.path.starts_with("swarm::");
        tests.sort_by(|a, b| swarm(a).cmp(&swarm(b)).then(worth(b).total_cmp(&worth(a))));
        let mut batches: Vec<Vec<TestName>> = Vec::new();
        let mut takes = Duration::ZERO;
        for test in tests {
            let more = self.of(&test).takes;
            match batches.last_mut() {
                Some(batch) if batch.len() < BATCH_MAX && takes + more <= BATCH_TAKES => {
                    takes += more;
                    batch.push(test);
                }
                _ => {
                    takes = more;
                    batches.push(vec![test]);
                }
            }
        }
        batches
    }
}
