//! The server's route for what this host has for volumes.

use super::host::{Local, blocking};
use axum::extract::State;
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::{LocalCloud, PoolView};
use serde_json::{Value, json};

/// The room there is, and what was promised of it.
pub async fn show(State(local): State<Local>) -> Result<Answer, Failure> {
    let view = blocking(local.cloud, LocalCloud::pool).await?;
    Ok(Answer::item("holdfast:local:pool", shown(&view)))
}

fn shown(view: &PoolView) -> Value {
    json!({
        "totalBytes": view.room.total_bytes,
        "usedBytes": view.room.used_bytes(),
        "freeBytes": view.room.free_bytes,
        "fileBytes": view.room.file_bytes,
        "diskFreeBytes": view.room.disk_free_bytes,
        "thereBytes": view.room.there_bytes(),
        "promisedBytes": view.promised_bytes,
        "mostBytes": view.most_bytes(),
        "overcommit": view.overcommit,
    })
}
