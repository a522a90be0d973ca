//! The server's routes for this host's Elastic IPs.

use super::routes::failed;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::{LocalCloud, LocalError};
use holdfast_model::{AllocationId, ErrorClass};
use serde_json::json;

const KIND: &str = "holdfast:local:address";

/// The routes.
pub fn routes(cloud: LocalCloud) -> Router {
    Router::new()
        .route("/addresses", get(list).post(allocate))
        .route("/addresses/{id}", delete(release))
        .with_state(cloud)
}

/// Does blocking work of the local cloud; what it refuses is a conflict.
pub(super) async fn blocking<R: Send + 'static>(
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

async fn list(State(cloud): State<LocalCloud>) -> Result<Answer, Failure> {
    let addresses = blocking(cloud, LocalCloud::addresses).await?;
    Ok(Answer::items(KIND, addresses.iter().map(|a| json!(a)).collect()))
}

async fn allocate(State(cloud): State<LocalCloud>) -> Result<Answer, Failure> {
    let address = blocking(cloud, LocalCloud::allocate_address).await?;
    Ok(Answer::item(KIND, json!(address)))
}

async fn release(
    State(cloud): State<LocalCloud>,
    Path(id): Path<String>,
) -> Result<Answer, Failure> {
    let id = AllocationId(id);
    blocking(cloud, move |cloud| cloud.release_address(&id)).await?;
    Ok(Answer::done())
}
