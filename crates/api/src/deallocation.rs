//! What a deletion leaves: a node that was given up is brought back, a volume of a paused one goes.

use crate::App;
use crate::body::Sent;
use crate::envelope::{Answer, Failure};
use crate::nodes::{find, known, say};
use axum::extract::{Path, State};
use holdfast_model::user::UserCommand;
use holdfast_model::{NodeId, VolumeId};
use holdfast_wire::{Status, UndeleteRequest};

/// Brings back a node that was given up, paused, as long as what was kept of it is there. What is gone
/// makes this a conflict, unless its loss is accepted.
#[utoipa::path(post, path = "/holdfast/v1/nodes/{id}/undelete", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id")),
    request_body = UndeleteRequest, responses((status = 200, body = Status)))]
pub(crate) async fn undelete(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(sent): Sent<UndeleteRequest>,
) -> Result<Answer, Failure> {
    let id = NodeId(id);
    known(&app, &id)?;
    let accept_loss = sent.accept_loss.unwrap_or(false);
    // Here a node that was given up is no stranger.
    app.handle.say(UserCommand::Undelete { id, accept_loss }).await?;
    Ok(Answer::done())
}

/// Deletes one data volume of a paused node, with what is on it.
#[utoipa::path(delete, path = "/aws/ec2/managedInstance/{id}/volume/{volumeId}", tag = "nodes",
    params(("id" = String, Path, description = "The node's id"),
        ("volumeId" = String, Path, description = "The volume's id")),
    responses((status = 200, body = Status)))]
pub(crate) async fn delete_volume(
    State(app): State<App>,
    Path((id, volume)): Path<(String, String)>,
) -> Result<Answer, Failure> {
    let id = NodeId(id);
    find(&app, &id)?;
    say(&app, UserCommand::DeleteVolume { id, volume: VolumeId(volume) }).await?;
    Ok(Answer::done())
}
