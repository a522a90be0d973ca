//! The server's route for what this host has for volumes.

use super::host::{Local, blocking};
use axum::extract::State;
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::{LocalCloud, PoolView};
use holdfast_wire::Answered;
use holdfast_wire::local::Pool;

/// What this host has for volumes.
#[utoipa::path(get, path = "/pool", tag = "local",
    responses((status = 200, body = Answered<Pool>)))]
pub async fn show(State(local): State<Local>) -> Result<Answer<Pool>, Failure> {
    let view = blocking(local.cloud, LocalCloud::pool).await?;
    Ok(Answer::item("holdfast:local:pool", shown(&view)))
}

fn shown(view: &PoolView) -> Pool {
    Pool {
        total_bytes: view.room.total_bytes,
        used_bytes: view.room.used_bytes(),
        free_bytes: view.room.free_bytes,
        file_bytes: view.room.file_bytes,
        disk_free_bytes: view.room.disk_free_bytes,
        there_bytes: view.room.there_bytes(),
        promised_bytes: view.promised_bytes,
        most_bytes: view.most_bytes(),
        overcommit: view.overcommit,
    }
}
