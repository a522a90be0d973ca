//! `/holdfast/v1`: what Spot's interface has no words for: a node with all that is known of it,
//! and the decisions that only a person can take.

use crate::body::Sent;
use crate::envelope::{Answer, Failure};
use crate::limits::MAX_LISTED;
use crate::nodes::{known, say};
use crate::{App, view};
use axum::extract::{Path, Query, State};
use holdfast_model::NodeId;
use holdfast_model::user::{self, UserCommand};
use holdfast_wire::{Answered, Choice, DecisionRequest, NodeSummary, Status, WholeNode};
use serde::Deserialize;

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
    responses((status = 200, body = Answered<NodeSummary>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Query(query): Query<SummaryQuery>,
) -> Answer<NodeSummary> {
    let after = query.after.unwrap_or_default();
    let mut items: Vec<NodeSummary> = app.handle.look(|all| {
        let nodes = all.nodes.values().map(view::summary);
        let stopped = all.stopped.iter().map(|(id, why)| view::stopped(id, why));
        let shown = |n: &NodeSummary| (query.all || !n.given_up) && n.id > after;
        nodes.chain(stopped).filter(shown).collect()
    });
    items.sort_by(|a, b| a.id.cmp(&b.id));
    let all = items.len();
    items.truncate(MAX_LISTED);
    let answer = Answer::items("holdfast:node:summary", items);
    if all > MAX_LISTED {
        answer.noting(format!("OK; the first {MAX_LISTED} of {all} nodes; go on with after"))
    } else {
        answer
    }
}

/// A node with all that is known: what was decided with the timeline of replacements, the facts, and
/// what it waits for. A node that has been given up is shown while its leftovers wait.
#[utoipa::path(get, path = "/holdfast/v1/nodes/{id}", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Answered<WholeNode>)))]
pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer<WholeNode>, Failure> {
    let node = known(&app, &NodeId(id))?;
    Ok(Answer::item("holdfast:node", view::whole(&node)))
}

/// Takes a decision that a node waits for.
#[utoipa::path(post, path = "/holdfast/v1/nodes/{id}/decide", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id")),
    request_body = DecisionRequest, responses((status = 200, body = Status)))]
pub(crate) async fn decide(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(decision): Sent<DecisionRequest>,
) -> Result<Answer, Failure> {
    let id = NodeId(id);
    // Also a deletion can be stuck.
    known(&app, &id)?;
    let choice = match decision.choice {
        Choice::Wait => user::Choice::Wait,
        Choice::Retry => user::Choice::Retry,
        Choice::Restore => user::Choice::Restore,
    };
    say(&app, UserCommand::Decide { id, choice }).await?;
    Ok(Answer::done())
}
