//! Refusals in EC2's codes (EC2 API reference, "Error codes for the Amazon EC2 API").

use holdfast_model::{CloudError, ErrorClass};

pub(crate) fn error(class: ErrorClass, code: &str, message: impl Into<String>) -> CloudError {
    CloudError { class, code: code.to_owned(), message: message.into() }
}

/// Never going to work.
pub(crate) fn refused(code: &str, message: impl Into<String>) -> CloudError {
    error(ErrorClass::Refused, code, message)
}

/// A state that passes.
pub(crate) fn conflict(code: &str, message: impl Into<String>) -> CloudError {
    error(ErrorClass::Conflict, code, message)
}

/// It exists, and Describe does not show it yet.
pub(crate) fn not_yet_visible(code: &str, id: &str) -> CloudError {
    error(ErrorClass::NotYetVisible, code, format!("{id} does not exist yet; ask again"))
}

/// It does not exist.
pub(crate) fn not_found(code: &str, id: &str) -> CloudError {
    refused(code, format!("{id} does not exist; look at what there is, and use another id"))
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
