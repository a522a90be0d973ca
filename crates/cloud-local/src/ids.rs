//! Ids of what is made.

use crate::refusal::error;
use holdfast_model::{CloudError, ErrorClass};

/// A new id, as EC2 makes them: a prefix and 17 hexadecimal digits.
pub(crate) fn new_id(prefix: &str) -> Result<String, CloudError> {
    let mut bytes = [0; 9];
    getrandom::fill(&mut bytes).map_err(|e| {
        error(ErrorClass::Unreachable, "InternalError", format!("no randomness: {e}"))
    })?;
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("{prefix}-{}", &digits[..17]))
}
