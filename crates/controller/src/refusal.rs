//! Why the controller refuses what it is asked.

use holdfast_model::{FieldError, NodeId};

/// Why a word is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The spec has mistakes.
    #[error("the spec has {} mistake(s): {}", .0.len(), first(.0))]
    Invalid(Vec<FieldError>),
    /// No such node (or it has been deleted).
    #[error("there is no node {0}")]
    NoSuchNode(NodeId),
    /// The node's state forbids it.
    #[error("{node}: {why}")]
    Conflict {
        /// Which node.
        node: NodeId,
        /// Why, and what would help.
        why: String,
    },
    /// The server cannot take it now.
    #[error("the server cannot take this now: {0}")]
    Unavailable(String),
}

fn first(errors: &[FieldError]) -> String {
    errors.first().map(ToString::to_string).unwrap_or_default()
}
