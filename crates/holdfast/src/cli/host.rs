//! What the routes to this host's cloud share: what they speak to, how they read what is sent, and how
//! they answer for work that blocks.

use axum::http::StatusCode;
use holdfast_api::Failure;
use holdfast_cloud_local::{LocalCloud, LocalError};
use holdfast_controller::Handle;
use holdfast_model::depth::{Unread, read_sent};
use holdfast_model::{ErrorClass, InstanceId, NodeId};
use serde::de::DeserializeOwned;

/// The longest notice of an interruption: an hour.
pub const MAX_NOTICE_MS: u64 = 3_600_000;

/// What the routes speak to.
#[derive(Clone)]
pub struct Local {
    /// This host's cloud.
    pub cloud: LocalCloud,
    /// The controller.
    pub handle: Handle,
}

/// Reads a request's body, which is nested no deeper than any that is sent. `like`: an example.
pub fn read<T: DeserializeOwned>(body: &[u8], like: &str) -> Result<T, Failure> {
    let wrong = |why: String| Failure::bad_request(format!("the body must be like {like}: {why}"));
    let value = read_sent(body).map_err(|e| match e {
        Unread::NotJson(why) => wrong(why),
        Unread::TooDeep(error) => Failure::invalid(vec![error]),
    })?;
    serde_json::from_value(value).map_err(|e| wrong(e.to_string()))
}

/// The server's own failure.
pub fn failed(why: &str) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", why)
}

/// Does blocking work of the local cloud; what it refuses is a conflict.
pub async fn blocking<R: Send + 'static>(
    cloud: LocalCloud,
    work: impl FnOnce(&LocalCloud) -> Result<R, LocalError> + Send + 'static,
) -> Result<R, Failure> {
    match tokio::task::spawn_blocking(move || work(&cloud)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(LocalError::Refused(e))) if e.class != ErrorClass::OutcomeUnknown => {
            Err(Failure::new(StatusCode::CONFLICT, "REFUSED", e.to_string()))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the local cloud failed");
            Err(failed(&error.to_string()))
        }
        Err(error) => {
            tracing::error!(%error, "work of the local cloud ended early");
            Err(failed("the server failed; see its log for what happened"))
        }
    }
}

/// The instance that holds a node's identity.
pub fn instance(handle: &Handle, id: &NodeId) -> Result<InstanceId, Failure> {
    let node = handle.node(id).ok_or_else(|| Failure::no_such_node(id))?;
    let holder = node.record.holder.as_ref().map(|h| h.id.clone());
    holder.ok_or_else(|| {
        let status = node.record.status();
        let why = format!("{id} has no instance at the moment: it is {status}");
        Failure::new(StatusCode::CONFLICT, "MANAGED_INSTANCE_STATE_CONFLICT", why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_model::depth::MAX_DEPTH;
    use serde_json::Value;

    #[test]
    fn a_body_of_a_local_route_is_nested_no_deeper_than_any_other() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read::<Value>(nested(MAX_DEPTH).as_bytes(), "1").is_ok());
        for levels in [MAX_DEPTH + 1, 120, 100_000] {
            assert!(read::<Value>(nested(levels).as_bytes(), "1").is_err(), "{levels}");
        }
    }
}
