//! What a node can return to, and the way there.

use crate::App;
use crate::envelope::{Answer, Failure};
use crate::nodes::{find, json, say};
use crate::schema::{Answered, Generation, KeptVolume, RollbackRequest, Status};
use crate::time::rfc3339;
use axum::body::Bytes;
use axum::extract::{Path, State};
use holdfast_model::user::{Target, UserCommand};
use holdfast_model::{FieldError, NodeId, Record, SnapshotId, Time};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a node can return to, oldest first.
#[utoipa::path(get, path = "/holdfast/v1/nodes/{id}/generations", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Answered<Generation>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer, Failure> {
    let node = find(&app, &NodeId(id))?;
    let items = generations(&node.record).iter().map(|g| json!(g)).collect();
    Ok(Answer::items("holdfast:generation", items))
}

/// Everything that is kept of each generation.
pub(crate) fn generations(record: &Record) -> Vec<Generation> {
    let mut found: BTreeMap<u64, Generation> = BTreeMap::new();
    for last in &record.finals {
        let known = found.entry(last.generation).or_insert_with(|| Generation {
            generation: last.generation,
            kind: "final".to_owned(),
            taken_at: (last.taken_at > Time(0)).then(|| rfc3339(last.taken_at)),
            ready: last.ready,
            set_aside: false,
            volumes: Vec::new(),
        });
        known.set_aside |= last.set_aside;
        known.volumes.push(KeptVolume {
            of: last.of.clone(),
            snapshot_id: last.snapshot.0.clone(),
            image_id: last.image.as_ref().map(|i| i.0.clone()),
            size_gib: last.size_gib,
        });
    }
    let mut all: Vec<Generation> = found.into_values().collect();
    for set in &record.upkeep.sets {
        let volume = |(of, snapshot): (&String, &SnapshotId)| KeptVolume {
            of: of.clone(),
            snapshot_id: snapshot.0.clone(),
            image_id: None,
            size_gib: None,
        };
        all.push(Generation {
            generation: set.generation,
            kind: "periodic".to_owned(),
            taken_at: Some(rfc3339(set.begun_at)),
            ready: true,
            set_aside: false,
            volumes: set.snapshots.iter().map(volume).collect(),
        });
    }
    // A final snapshot is the last of its generation.
    all.sort_by_key(|g| (g.generation, g.kind == "final"));
    all
}

/// Returns to an earlier content: the instance is stopped, what there is now is captured and kept,
/// and the next instance boots from what was chosen.
#[utoipa::path(post, path = "/holdfast/v1/nodes/{id}/rollback", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id")),
    request_body = RollbackRequest, responses((status = 200, body = Status)))]
pub(crate) async fn rollback(
    State(app): State<App>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Answer, Failure> {
    let id = NodeId(id);
    find(&app, &id)?;
    let body = json(&body)?;
    let (to, data) = read(&body).map_err(|(field, problem)| {
        Failure::invalid(vec![FieldError {
            field: field.to_owned(),
            problem: problem.to_owned(),
            allowed: "one of generation and snapshotId, and true or false for data".to_owned(),
            example: "{\"generation\": 3, \"data\": false}".to_owned(),
        }])
    })?;
    say(&app, UserCommand::Rollback { id, to, data }).await?;
    Ok(Answer::done())
}

fn read(body: &Value) -> Result<(Target, Option<bool>), (&'static str, &'static str)> {
    let member = |name: &str| body.get(name).filter(|v| !v.is_null());
    let to = match (member("generation"), member("snapshotId")) {
        (Some(_), Some(_)) => return Err(("snapshotId", "is given beside generation")),
        (None, None) => return Err(("generation", "is missing")),
        (Some(number), None) => Target::Generation(
            number.as_u64().filter(|n| *n > 0).ok_or(("generation", "is no generation"))?,
        ),
        (None, Some(id)) => Target::Snapshot(SnapshotId::from(
            id.as_str().filter(|id| id.starts_with("snap-")).ok_or(("snapshotId", "is no id"))?,
        )),
    };
    let data = match member("data") {
        None => None,
        Some(value) => Some(value.as_bool().ok_or(("data", "is neither true nor false"))?),
    };
    Ok((to, data))
}
