//! The server's routes for this host's Elastic IPs.

use super::host::blocking;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get};
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::LocalCloud;
use holdfast_model::AllocationId;
use serde_json::json;

const KIND: &str = "holdfast:local:address";

/// The routes.
pub fn routes(cloud: LocalCloud) -> Router {
    Router::new()
        .route("/addresses", get(list).post(allocate))
        .route("/addresses/{id}", delete(release))
        .with_state(cloud)
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
