//! What is wrong with one field of a request.

use serde::{Deserialize, Serialize};

/// One mistake in a spec: where it is, what is wrong, what is allowed, and an example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}: {problem}; allowed: {allowed}; for example {example}")]
pub struct FieldError {
    /// The field's path, such as `compute.launchSpecification.imageId`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What is allowed.
    pub allowed: String,
    /// A valid example, as JSON.
    pub example: String,
}
