//! The server's routes for what this host's cloud does not account for.

use super::host::{Local, blocking};
use axum::extract::{Path, State};
use holdfast_api::{Answer, Failure, Sent, word};
use holdfast_cloud_local::{LocalCloud, Unaccounted};
use holdfast_model::Zone;
use holdfast_wire::local::{AdoptionRequest, LocalUnaccounted};
use holdfast_wire::{Answered, Status};

fn shown(found: Unaccounted) -> LocalUnaccounted {
    LocalUnaccounted {
        thing: word(&found.thing),
        id: found.id,
        node_id: found.node_id,
        what: found.what,
        adoptable: found.adoptable,
    }
}

/// Everything without a sound row.
#[utoipa::path(get, path = "/unaccounted", tag = "local",
    responses((status = 200, body = Answered<LocalUnaccounted>)))]
pub async fn list(State(local): State<Local>) -> Result<Answer<LocalUnaccounted>, Failure> {
    let found = blocking(local.cloud, LocalCloud::unaccounted).await?;
    Ok(Answer::items("holdfast:local:unaccounted", found.into_iter().map(shown).collect()))
}

/// Takes one up.
#[utoipa::path(post, path = "/unaccounted/{id}/adopt", tag = "local",
    params(("id" = String, Path, description = "Its id")),
    request_body = AdoptionRequest,
    responses((status = 200, body = Status)))]
pub async fn adopt(
    State(local): State<Local>,
    Path(id): Path<String>,
    Sent(asked): Sent<AdoptionRequest>,
) -> Result<Answer, Failure> {
    let zone = asked.zone.map(Zone);
    let work = move |cloud: &LocalCloud| cloud.adopt_unaccounted(&id, zone.as_ref());
    blocking(local.cloud, work).await?;
    Ok(Answer::done())
}

/// Removes one.
#[utoipa::path(delete, path = "/unaccounted/{id}", tag = "local",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, body = Status)))]
pub async fn remove(State(local): State<Local>, Path(id): Path<String>) -> Result<Answer, Failure> {
    blocking(local.cloud, move |cloud| cloud.remove_unaccounted(&id)).await?;
    Ok(Answer::done())
}
