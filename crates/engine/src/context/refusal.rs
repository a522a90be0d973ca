//! Why a user's command is refused.

use holdfast_model::FieldError;

/// Why a word is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDone {
    /// The document would have mistakes.
    Invalid(Vec<FieldError>),
    /// The node's state forbids it: why, and what would help.
    Conflict(String),
}
