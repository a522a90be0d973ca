//! Refusals in EC2's codes (EC2 API reference, "Error codes for the Amazon EC2 API").

pub(crate) use holdfast_cloud::refusal::{conflict, error, not_found, refused};
use holdfast_model::{CloudError, ErrorClass};

/// It exists, and Describe does not show it yet.
pub(crate) fn not_yet_visible(code: &str, id: &str) -> CloudError {
    error(ErrorClass::NotYetVisible, code, format!("{id} does not exist yet; ask again"))
}

/// The answer never came.
pub(crate) fn unknown_outcome(action: &str) -> CloudError {
    let message = format!("no answer to {action}; it may or may not have been done");
    error(ErrorClass::OutcomeUnknown, "RequestTimeout", message)
}

/// Too many calls.
pub(crate) fn throttled(action: &str) -> CloudError {
    let message = format!("too many {action} calls; ask again later");
    error(ErrorClass::Throttled, "RequestLimitExceeded", message)
}
