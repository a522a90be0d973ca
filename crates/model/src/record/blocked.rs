//! Why a node does not go on by itself, if so.

use crate::replacement::Row;
use crate::user::Choice;
use crate::{SnapshotId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a node waits for that only a person can give.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Blocked {
    /// The row of its replacement that cannot go on, and what is asked about it.
    decision: Option<NeedsDecision>,
    /// Why nothing is done with the node until it is adopted, if so.
    quarantine: Option<Quarantine>,
}

/// A row that cannot go on without a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeedsDecision {
    /// Which row is stuck.
    pub row: Row,
    /// Since when; once a person has answered: when that was.
    pub since: Time,
    /// What is known, as a sentence.
    pub why: String,
    /// Whether a person is still asked.
    pub question: Question,
}

/// Whether a person is still asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Question {
    /// Nobody has answered.
    Asked {
        /// What can be chosen.
        choices: Vec<Choice>,
        /// What [`Choice::Restore`] puts in the place of what is lost: snapshots by `root` or device.
        restore: BTreeMap<String, SnapshotId>,
    },
    /// A person has chosen, and the row tries again or waits on.
    Answered,
}

impl NeedsDecision {
    /// What can be chosen; nothing once a person has.
    #[must_use]
    pub fn choices(&self) -> &[Choice] {
        match &self.question {
            Question::Asked { choices, .. } => choices,
            Question::Answered => &[],
        }
    }

    /// What [`Choice::Restore`] puts in the place of what is lost: snapshots by `root` or device.
    #[must_use]
    pub fn restore(&self) -> BTreeMap<String, SnapshotId> {
        match &self.question {
            Question::Asked { restore, .. } => restore.clone(),
            Question::Answered => BTreeMap::new(),
        }
    }

    /// Whether a person is still asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        matches!(self.question, Question::Asked { .. })
    }
}

impl Blocked {
    /// The row that cannot go on, whether a person has answered or not.
    #[must_use]
    pub fn decision(&self) -> Option<&NeedsDecision> {
        self.decision.as_ref()
    }

    /// Why nothing is done with the node until it is adopted, if so.
    #[must_use]
    pub fn quarantine(&self) -> Option<&Quarantine> {
        self.quarantine.as_ref()
    }

    /// A person is asked.
    pub fn ask(&mut self, decision: NeedsDecision) {
        self.decision = Some(decision);
    }

    /// What is asked about this row, to say more of it.
    pub fn asked_mut(&mut self, row: Row) -> Option<&mut NeedsDecision> {
        self.decision.as_mut().filter(|decision| decision.row == row && decision.is_asked())
    }

    /// A person answers. Returns the row that was asked about; none if nothing was asked.
    pub fn answer(&mut self, now: Time) -> Option<Row> {
        let decision = self.decision.as_mut().filter(|decision| decision.is_asked())?;
        decision.question = Question::Answered;
        decision.since = now;
        Some(decision.row)
    }

    /// The row goes on, or nothing waits for it any more.
    pub fn goes_on(&mut self) {
        self.decision = None;
    }

    /// Nothing is done with the node from now on.
    pub fn hold(&mut self, quarantine: Quarantine) {
        self.quarantine = Some(quarantine);
    }

    /// A person has had the node adopted.
    pub fn note_adopted(&mut self) {
        self.quarantine = None;
    }

    /// Nobody has been asked later than now: the clock was set back.
    pub fn not_after(&mut self, now: Time) {
        if let Some(decision) = &mut self.decision {
            decision.since = decision.since.min(now);
        }
    }

    /// What a person is asked, if nobody has answered yet.
    #[must_use]
    pub fn asked(&self) -> Option<&NeedsDecision> {
        self.decision.as_ref().filter(|decision| decision.is_asked())
    }

    /// What a person has answered about this row, if the row has not gone on since.
    #[must_use]
    pub fn answered(&self, row: Row) -> Option<&NeedsDecision> {
        self.decision.as_ref().filter(|decision| decision.row == row && !decision.is_asked())
    }
}

/// The cloud holds what a controller that knew more than this record has made for the node: a
/// store was restored or copied. Nothing is done with the node until a person has it adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Since when.
    pub since: Time,
    /// What was seen, as a sentence.
    pub why: String,
    /// Ids of what was seen first; at most [`MAX_EVIDENCE`].
    pub ids: Vec<String>,
}

/// The most ids that a quarantine names.
pub const MAX_EVIDENCE: usize = 20;
