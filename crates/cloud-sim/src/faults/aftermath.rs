//! Faults of the script that a call is answered well in spite of: what it set going goes wrong.

use super::Faults;
use holdfast_model::Time;
use holdfast_model::time::{MINUTE, SECOND};
use std::collections::BTreeSet;

/// How long something takes that is stuck, in milliseconds.
const STUCK: u64 = 20 * MINUTE;
/// How long something is shown late, in milliseconds: less than the half minute that Holdfast
/// allows EC2.
const LATE: u64 = 20 * SECOND;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Aftermath {
    /// What is begun now is stuck.
    stuck: bool,
    /// What is made or changed now is shown late.
    late: bool,
    /// Snapshots and images that will fail.
    failing: BTreeSet<String>,
    /// How many of the next looks get no answer.
    lost_looks: u32,
}

impl Faults {
    /// From now on, until it is said again, what is begun is stuck, and what is made or changed is
    /// shown late.
    pub(crate) fn during(&mut self, stuck: bool, late: bool) {
        self.aftermath.stuck = stuck;
        self.aftermath.late = late;
    }

    /// How long what is begun now takes, if it is stuck.
    pub(super) fn stuck(&self) -> Option<u64> {
        self.aftermath.stuck.then_some(STUCK)
    }

    /// Until when what is made or changed now is shown late, if it is.
    pub(crate) fn shown_late(&self, now: Time) -> Option<Time> {
        self.aftermath.late.then(|| now.plus(LATE))
    }

    /// A snapshot or an image will fail.
    pub(crate) fn will_fail(&mut self, id: &str) {
        self.aftermath.failing.insert(id.to_owned());
    }

    /// Whether a snapshot or an image that is complete now has failed, because it was to.
    pub(crate) fn was_to_fail(&mut self, id: &str) -> bool {
        self.aftermath.failing.remove(id)
    }

    /// The next look gets no answer.
    pub fn lose_look(&mut self) {
        self.aftermath.lost_looks += 1;
    }

    /// Whether this look gets no answer.
    pub(crate) fn loses_look(&mut self) -> bool {
        let loses = self.aftermath.lost_looks > 0;
        self.aftermath.lost_looks -= u32::from(loses);
        loses
    }

    /// Writes what of it decides what happens from now on.
    pub(crate) fn write_likeness(&self, out: &mut impl std::fmt::Write) -> std::fmt::Result {
        write!(out, "{:?} {:?} ", self.permanent, self.aftermath)
    }
}
