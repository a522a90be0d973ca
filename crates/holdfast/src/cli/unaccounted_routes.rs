//! The server's routes for what this host's cloud does not account for.

use super::host::{Local, blocking, read};
use axum::body::Bytes;
use axum::extract::{Path, State};
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::LocalCloud;
use holdfast_model::Zone;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize, Default)]
struct Adoption {
    /// Where a volume is to lie whose label is lost.
    zone: Option<Zone>,
}

/// Everything without a sound row.
pub async fn list(State(local): State<Local>) -> Result<Answer, Failure> {
    let found = blocking(local.cloud, LocalCloud::unaccounted).await?;
    Ok(Answer::items("holdfast:local:unaccounted", found.iter().map(|f| json!(f)).collect()))
}

/// Takes one up.
pub async fn adopt(
    State(local): State<Local>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Answer, Failure> {
    let asked: Adoption = if body.trim_ascii().is_empty() {
        Adoption::default()
    } else {
        read(&body, "{\"zone\": \"local-1a\"}, or empty")?
    };
    let work = move |cloud: &LocalCloud| cloud.adopt_unaccounted(&id, asked.zone.as_ref());
    blocking(local.cloud, work).await?;
    Ok(Answer::done())
}

/// Removes one.
pub async fn remove(State(local): State<Local>, Path(id): Path<String>) -> Result<Answer, Failure> {
    blocking(local.cloud, move |cloud| cloud.remove_unaccounted(&id)).await?;
    Ok(Answer::done())
}
