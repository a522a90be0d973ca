//! What people are told.

/// The codes.
mod code;

pub use code::EventCode;

use crate::{NodeId, Time};
use serde::{Deserialize, Serialize};

/// How grave an event is, in the words of Spot's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// For the curious.
    Debug,
    /// What happens.
    Info,
    /// Something went another way than hoped.
    Warn,
    /// A node cannot make progress without a person.
    Error,
}

/// One sentence about a node. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Time,
    /// Which node.
    pub node: NodeId,
    /// How grave.
    pub severity: Severity,
    /// What it is about, for programs.
    pub code: EventCode,
    /// A sentence for people.
    pub message: String,
}

impl Event {
    /// An event; how grave it is follows from its code.
    #[must_use]
    pub fn new(at: Time, node: NodeId, code: EventCode, message: impl Into<String>) -> Event {
        Event { at, node, severity: code.severity(), code, message: message.into() }
    }
}
