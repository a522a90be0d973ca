//! What the routes to this host's cloud share: what they speak to, and how they answer for work that
//! blocks.

use axum::http::StatusCode;
use holdfast_api::{Failure, holder, state};
use holdfast_cloud_local::{LocalCloud, LocalError};
use holdfast_controller::Handle;
use holdfast_model::{ErrorClass, InstanceId, NodeId};

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
    holder(&node.record).cloned().ok_or_else(|| {
        let status = state(&node.record);
        let why = format!("{id} has no instance at the moment: it is {status}");
        Failure::new(StatusCode::CONFLICT, "MANAGED_INSTANCE_STATE_CONFLICT", why)
    })
}
