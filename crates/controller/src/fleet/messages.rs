//! What goes into the fleet, and what comes out of it.

use super::unreadable::Unreadable;
use crate::refusal::Refusal;
use holdfast_cloud::Notice;
use holdfast_model::facts::{Page, Query};
use holdfast_model::market::Catalogue;
use holdfast_model::standing::{Cause, Standing};
use holdfast_model::user::UserCommand;
use holdfast_model::{CloudError, Command, Event, NodeId, Record, Reply, Row};
use std::sync::Arc;

/// What happens to the fleet.
#[derive(Debug, Clone)]
pub enum Input {
    /// Records as they were stored; `Err` where one cannot be read. Once, first.
    Loaded(Vec<(NodeId, Result<Record, Unreadable>)>),
    /// What the region offers; at the start and from time to time.
    Catalogue(Catalogue),
    /// The answer to [`Effect::Observe`].
    Observed(u64, Result<Page, CloudError>),
    /// The answer to [`Effect::Call`].
    Replied(u64, Result<Reply, CloudError>),
    /// How [`Effect::Commit`] ended.
    Committed(u64, Outcome),
    /// A hint of the cloud.
    Noticed(Notice),
    /// A user's word.
    Word(u64, UserCommand),
    /// What the fleet as a whole must not forget, as it was stored. First of all.
    Standing(Standing),
    /// Stop changing anything: why, and a sentence.
    Freeze(Cause, String),
    /// Go on, as far as a person can say so.
    Thaw,
    /// Time has passed.
    Tick,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Done,
    /// Somebody else has written the record: this process must not go on with the node.
    Conflict,
    /// Nothing was written; the reason.
    Failed(String),
}

/// One command of a request that leaves.
#[derive(Debug, Clone)]
pub struct Departure {
    /// Names the answer.
    pub id: u64,
    /// For which node.
    pub node: NodeId,
    /// For which row of its replacement.
    pub row: Row,
    /// The command.
    pub command: Command,
}

/// What the fleet wants done.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Write a record with its events by compare-and-swap; `None` removes it.
    Commit {
        /// Names the answer.
        id: u64,
        /// Which node.
        node: NodeId,
        /// The revision that must be stored.
        expected: u64,
        /// The new record.
        record: Option<Arc<Record>>,
        /// Its events.
        events: Vec<Event>,
    },
    /// Let commands leave in one request: one, or several terminations. Their records are durable.
    Call {
        /// The commands.
        calls: Vec<Departure>,
    },
    /// Look.
    Observe {
        /// Names the answer.
        id: u64,
        /// At what.
        query: Query,
    },
    /// Answer a word.
    Answer {
        /// Which word.
        id: u64,
        /// The record with the word in it, durable; or why not.
        answer: Result<Arc<Record>, Refusal>,
    },
    /// What can be seen of this node has changed.
    Show(NodeId),
}
