//! Records that cannot be read: their nodes are stopped.

use holdfast_model::versions::RecordError;

/// A stored record that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Why, and what would help.
    pub why: String,
    /// Its revision, if it is damaged: then a person may have it replaced. A newer version's is
    /// whole, and never is.
    pub damaged: Option<u64>,
}

impl Unreadable {
    /// Of a record with this revision in the store.
    #[must_use]
    pub fn of(error: &RecordError, revision: u64) -> Unreadable {
        let damaged = matches!(error, RecordError::Damaged(_)).then_some(revision);
        Unreadable { why: error.to_string(), damaged }
    }
}
