//! How requests are compared and answered.

use crate::refusal::refused;
use crate::state::Table;
use holdfast_model::{CloudError, Command, Reply, Token};

/// A command's answer.
pub(crate) type Answer = Result<Reply, CloudError>;

/// A request's hash, by which repetitions are compared: the request itself may hold secrets.
pub(crate) fn request_hash(command: &Command) -> Result<String, CloudError> {
    let text = serde_json::to_string(command).map_err(|e| {
        refused("InvalidParameterValue", format!("the request cannot be compared: {e}"))
    })?;
    Ok(crate::sums::digest(&[text.as_bytes()]))
}

/// The resource of an earlier request with this token, if it was the same request
/// (EC2 API reference, "Ensuring idempotency").
pub(crate) fn same_request(
    table: &Table<'_>,
    token: &Token,
    request: &str,
) -> Result<Option<String>, CloudError> {
    match table.token(token.as_str())? {
        Some((earlier, id)) if earlier == request => Ok(Some(id)),
        Some((_, id)) => {
            let message = format!(
                "the token {token} was used for {id} with other parameters; use a new token"
            );
            Err(refused("IdempotentParameterMismatch", message))
        }
        None => Ok(None),
    }
}
