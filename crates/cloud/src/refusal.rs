//! How clouds say no: EC2's codes (EC2 API reference, "Error codes for the Amazon EC2 API").

use holdfast_model::{CloudError, ErrorClass};

/// A refusal of any class.
pub fn error(class: ErrorClass, code: &str, message: impl Into<String>) -> CloudError {
    CloudError { class, code: code.to_owned(), message: message.into() }
}

/// Never going to work.
pub fn refused(code: &str, message: impl Into<String>) -> CloudError {
    error(ErrorClass::Refused, code, message)
}

/// A state that passes.
pub fn conflict(code: &str, message: impl Into<String>) -> CloudError {
    error(ErrorClass::Conflict, code, message)
}

/// It does not exist.
#[must_use]
pub fn not_found(code: &str, id: &str) -> CloudError {
    refused(code, format!("{id} does not exist; look at what there is, and use another id"))
}
