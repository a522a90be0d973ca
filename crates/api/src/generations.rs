//! What a node can return to, and the way there.

use crate::body::Sent;
use crate::envelope::{Answer, Failure};
use crate::nodes::{find, say};
use crate::{App, view};
use axum::extract::{Path, State};
use holdfast_model::user::{Target, UserCommand};
use holdfast_model::{FieldError, NodeId, SnapshotId};
use holdfast_wire::{Answered, Generation, RequestBody, RollbackRequest, Status};

/// What a node can return to, oldest first.
#[utoipa::path(get, path = "/holdfast/v1/nodes/{id}/generations", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Answered<Generation>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer<Generation>, Failure> {
    let node = find(&app, &NodeId(id))?;
    Ok(Answer::items("holdfast:generation", view::generations(&node.record)))
}

/// Returns to an earlier content: the instance is stopped, what there is now is captured and kept,
/// and the next instance boots from what was chosen.
#[utoipa::path(post, path = "/holdfast/v1/nodes/{id}/rollback", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id")),
    request_body = RollbackRequest, responses((status = 200, body = Status)))]
pub(crate) async fn rollback(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(sent): Sent<RollbackRequest>,
) -> Result<Answer, Failure> {
    let id = NodeId(id);
    find(&app, &id)?;
    let data = sent.data;
    let to = target(sent).map_err(|(field, problem)| {
        Failure::invalid(vec![FieldError {
            field: field.to_owned(),
            problem: problem.to_owned(),
            allowed: "one of generation and snapshotId".to_owned(),
            example: RollbackRequest::EXAMPLE.to_owned(),
        }])
    })?;
    say(&app, UserCommand::Rollback { id, to, data }).await?;
    Ok(Answer::done())
}

fn target(sent: RollbackRequest) -> Result<Target, (&'static str, &'static str)> {
    match (sent.generation, sent.snapshot_id) {
        (Some(_), Some(_)) => Err(("snapshotId", "is given beside generation")),
        (None, None) => Err(("generation", "is missing")),
        (Some(0), None) => Err(("generation", "is no generation")),
        (Some(number), None) => Ok(Target::Generation(number)),
        (None, Some(id)) if id.starts_with("snap-") => Ok(Target::Snapshot(SnapshotId(id))),
        (None, Some(_)) => Err(("snapshotId", "is no id")),
    }
}
