//! `/holdfast/v1`: what Spot's interface has no words for: a node with all that is known of it,
//! and the decisions that only a person can take.

use crate::App;
use crate::envelope::{Answer, Failure};
use crate::limits::MAX_LISTED;
use crate::nodes::{json, known, say};
use crate::render::{name, private_ip};
use crate::schema::{Answered, DecisionRequest, Status, WholeNode};
use crate::time::rfc3339;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use holdfast_controller::NodeView;
use holdfast_model::record::Goal;
use holdfast_model::user::{Choice, UserCommand};
use holdfast_model::{FieldError, NodeId};
use serde::Deserialize;
use serde_json::{Value, json};

/// Which nodes.
#[derive(Deserialize, utoipa::IntoParams)]
pub(crate) struct SummaryQuery {
    /// Whether to show nodes, too, that have been given up and whose leftovers wait.
    #[serde(default)]
    all: bool,
    /// Only nodes whose id comes after this one.
    after: Option<String>,
}

/// Nodes in short, in the order of ids, at most 10,000; those that are stopped, too.
#[utoipa::path(get, path = "/holdfast/v1/nodes", tag = "holdfast", params(SummaryQuery),
    responses((status = 200, body = Answered<WholeNode>)))]
pub(crate) async fn list(State(app): State<App>, Query(query): Query<SummaryQuery>) -> Answer {
    let after = query.after.unwrap_or_default();
    let mut items: Vec<Value> = app.handle.look(|view| {
        let shown = |n: &&NodeView| query.all || n.record.goal != Goal::Deleted;
        let nodes = view.nodes.values().filter(shown).map(summary);
        let stopped = view
            .stopped
            .iter()
            .map(|(id, why)| json!({ "id": id, "name": "", "status": "ERROR", "waitsFor": why }));
        nodes
            .chain(stopped)
            .filter(|n| n["id"].as_str().unwrap_or_default() > after.as_str())
            .collect()
    });
    items.sort_by(|a, b| a["id"].as_str().cmp(&b["id"].as_str()));
    let all = items.len();
    items.truncate(MAX_LISTED);
    let answer = Answer::items("holdfast:node:summary", items);
    if all > MAX_LISTED {
        answer.noting(format!("OK; the first {MAX_LISTED} of {all} nodes; go on with after"))
    } else {
        answer
    }
}

fn summary(view: &NodeView) -> Value {
    let record = &view.record;
    json!({
        "id": record.id,
        "name": name(record),
        "status": record.status(),
        "market": record.holder.as_ref().map(|h| &h.market),
        "instanceId": record.holder.as_ref().map(|h| &h.id),
        "privateIp": private_ip(view),
        "generation": record.generation,
        "replacements": record.replacements,
        "snapshotIntervalMs":
            Some(record.upkeep.interval_ms).filter(|ms| *ms > 0),
        "createdAt": rfc3339(record.created_at),
        "waitsFor": view.waits_for,
        "givenUp": record.goal == Goal::Deleted,
    })
}

/// A node with all that is known: its record with the timeline of replacements, the facts, and
/// what it waits for. A node that has been given up is shown while its leftovers wait.
#[utoipa::path(get, path = "/holdfast/v1/nodes/{id}", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Answered<WholeNode>)))]
pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer, Failure> {
    let id = NodeId(id);
    let node = known(&app, &id)?;
    let mut item = summary(&node);
    if let Value::Object(members) = &mut item {
        members.insert("record".to_owned(), json!(*node.record));
        members.insert("instance".to_owned(), json!(node.instance));
        members.insert("volumes".to_owned(), json!(node.volumes));
        members.insert("interfaces".to_owned(), json!(node.interfaces));
        members.insert("image".to_owned(), json!(node.image));
    }
    Ok(Answer::item("holdfast:node", item))
}

/// Takes a decision that a node waits for.
#[utoipa::path(post, path = "/holdfast/v1/nodes/{id}/decide", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id")),
    request_body = DecisionRequest, responses((status = 200, body = Status)))]
pub(crate) async fn decide(
    State(app): State<App>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Answer, Failure> {
    let id = NodeId(id);
    // Also a deletion can be stuck.
    known(&app, &id)?;
    let body = json(&body)?;
    let chosen = body.get("choice").and_then(|c| serde_json::from_value::<Choice>(c.clone()).ok());
    let Some(choice) = chosen else {
        return Err(Failure::invalid(vec![FieldError {
            field: "choice".to_owned(),
            problem: "is no choice".to_owned(),
            allowed: "one that the node offers: wait, retry, restore".to_owned(),
            example: "{\"choice\": \"retry\"}".to_owned(),
        }]));
    };
    say(&app, UserCommand::Decide { id, choice }).await?;
    Ok(Answer::done())
}
