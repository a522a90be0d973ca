//! `/aws/ec2/managedInstance`: nodes made, read, changed, told what to do, and given up.

use crate::body::Sent;
use crate::envelope::{Answer, Failure};
use crate::limits::{MAX_ID_TRIES, MAX_LISTED};
use crate::{App, shape, view};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use holdfast_controller::{NodeView, Refusal, View};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{FieldError, NodeId, Record, Spec, document};
use holdfast_wire::{Answered, Deletion, ListedNode, Node, NodeRequest, NodeStatus, Status};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

const NODE: &str = "spotinst:aws:ec2:managedInstance";
const STATUS: &str = "spotinst:aws:ec2:managedInstanceStatus";

/// A new node. It is answered once it is durable; its first instance comes afterwards.
#[utoipa::path(post, path = "/aws/ec2/managedInstance", tag = "nodes",
    request_body = NodeRequest, responses((status = 200, body = Answered<Node>)))]
pub(crate) async fn create(
    State(app): State<App>,
    Sent(sent): Sent<NodeRequest>,
) -> Result<Answer<Node>, Failure> {
    let mut document = Value::Object(sent.managed_instance.0);
    let conforms = shape::conform(&mut document);
    let document = document::without_nulls(&document);
    check_whole(conforms, &document, None)?;
    for _ in 0..MAX_ID_TRIES {
        let id = free_id(&app)?;
        let word = UserCommand::Create { id, document: document.clone() };
        match app.handle.say(word).await {
            Ok(record) => return Ok(answer_with_remarks(&app, &record)),
            // The id was taken since it was looked for: another one.
            Err(Refusal::Conflict { .. }) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Err(no_free_id())
}

/// A node whose spec was accepted; what its author should know stands in the status' message.
fn answer_with_remarks(app: &App, record: &Record) -> Answer<Node> {
    let answer = Answer::item(NODE, view::node(record));
    let Ok(spec) = view::document(record).spec() else { return answer };
    let catalogue = app.handle.look(|view| Arc::clone(&view.catalogue));
    let remarks = holdfast_controller::offered::remarks(&spec, &catalogue);
    if remarks.is_empty() {
        return answer;
    }
    let sentences: Vec<String> = remarks.into_iter().map(|(_, sentence)| sentence).collect();
    answer.noting(format!("OK; {}", sentences.join("; ")))
}

/// Which nodes to list. Both are Holdfast's own; without them the list is whole.
#[derive(Deserialize, utoipa::IntoParams)]
pub(crate) struct ListQuery {
    /// Only nodes whose id comes after this one.
    after: Option<String>,
}

/// Every node, at most 10,000; each both flat and under `config`.
#[utoipa::path(get, path = "/aws/ec2/managedInstance", tag = "nodes", params(ListQuery),
    responses((status = 200, body = Answered<ListedNode>)))]
pub(crate) async fn list(
    State(app): State<App>,
    Query(query): Query<ListQuery>,
) -> Answer<ListedNode> {
    let mut nodes = app.handle.nodes();
    if let Some(after) = query.after {
        nodes.retain(|n| n.record.id.0 > after);
    }
    let all = nodes.len();
    nodes.truncate(MAX_LISTED);
    let answer = Answer::items(NODE, nodes.iter().map(|n| view::listed(&n.record)).collect());
    match nodes.last().filter(|_| all > MAX_LISTED) {
        None => answer,
        Some(last) => answer.noting(format!(
            "OK; the first {MAX_LISTED} of {all} nodes; go on with after={}",
            last.record.id
        )),
    }
}

/// One node, as it was specified.
#[utoipa::path(get, path = "/aws/ec2/managedInstance/{id}", tag = "nodes",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Answered<Node>)))]
pub(crate) async fn read(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer<Node>, Failure> {
    let node = find(&app, &NodeId(id))?;
    Ok(Answer::item(NODE, view::node(&node.record)))
}

/// Merges a part of a document into a node's: what is absent stays, `null` unsets, a list
/// replaces the whole list, `{}` changes nothing.
#[utoipa::path(put, path = "/aws/ec2/managedInstance/{id}", tag = "nodes",
    params(("id" = String, Path, description = "The node's id")),
    request_body = NodeRequest, responses((status = 200, body = Answered<Node>)))]
pub(crate) async fn update(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(sent): Sent<NodeRequest>,
) -> Result<Answer<Node>, Failure> {
    let id = NodeId(id);
    let node = find(&app, &id)?;
    let mut patch = Value::Object(sent.managed_instance.0);
    let conforms = shape::conform(&mut patch);
    let before = view::document(&node.record);
    let mut merged = (**before).clone();
    document::merge(&mut merged, &patch);
    check_whole(conforms, &merged, Some(before))?;
    let record = say(&app, UserCommand::Update { id, patch }).await?;
    Ok(answer_with_remarks(&app, &record))
}

/// Gives a node up. From this answer on it is not found any more; what is not chosen to go at
/// once is kept for the time of grace.
#[utoipa::path(delete, path = "/aws/ec2/managedInstance/{id}", tag = "nodes",
    params(("id" = String, Path, description = "The node's id")),
    request_body = Deletion, responses((status = 200, body = Status)))]
pub(crate) async fn delete(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(sent): Sent<Deletion>,
) -> Result<Answer, Failure> {
    let id = NodeId(id);
    let chosen = sent.deallocation_config.unwrap_or_default();
    let deallocation = Deallocation {
        should_delete_images: chosen.should_delete_images == Some(true),
        should_delete_network_interfaces: chosen.should_delete_network_interfaces == Some(true),
        should_delete_volumes: chosen.should_delete_volumes == Some(true),
        should_delete_snapshots: chosen.should_delete_snapshots == Some(true),
        should_terminate_instance: chosen.should_terminate_instance == Some(true),
    };
    // One whose record is damaged goes too, if nothing is left of it: the controller knows.
    let is_stopped = |view: &View| view.stopped.contains_key(&id) && !view.nodes.contains_key(&id);
    if !app.handle.look(is_stopped) {
        find(&app, &id)?;
    }
    say(&app, UserCommand::Delete { id, deallocation }).await?;
    Ok(Answer::done())
}

/// How a node is: its state, its instance, its address.
#[utoipa::path(get, path = "/aws/ec2/managedInstance/{id}/status", tag = "nodes",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Answered<NodeStatus>)))]
pub(crate) async fn status(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer<NodeStatus>, Failure> {
    let node = find(&app, &NodeId(id))?;
    Ok(Answer::item(STATUS, view::status(&node)))
}

/// Keeps the identity and gives up the instance. Pausing a paused node changes nothing.
#[utoipa::path(put, path = "/aws/ec2/managedInstance/{id}/pause", tag = "nodes",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Status)))]
pub(crate) async fn pause(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer, Failure> {
    act(&app, NodeId(id), UserCommand::Pause).await
}

/// Brings a paused node back. Resuming a running node changes nothing.
#[utoipa::path(put, path = "/aws/ec2/managedInstance/{id}/resume", tag = "nodes",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Status)))]
pub(crate) async fn resume(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer, Failure> {
    act(&app, NodeId(id), UserCommand::Resume).await
}

/// Replaces the instance. A paused node is resumed; a second recycle during one joins it.
#[utoipa::path(put, path = "/aws/ec2/managedInstance/{id}/recycle", tag = "nodes",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Status)))]
pub(crate) async fn recycle(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Answer, Failure> {
    act(&app, NodeId(id), UserCommand::Recycle).await
}

async fn act(
    app: &App,
    id: NodeId,
    word: impl FnOnce(NodeId) -> UserCommand,
) -> Result<Answer, Failure> {
    find(app, &id)?;
    say(app, word(id)).await?;
    Ok(Answer::done())
}

pub(crate) async fn say(app: &App, word: UserCommand) -> Result<Arc<Record>, Failure> {
    let id = word.node().clone();
    match app.handle.say(word).await {
        Ok(record) => Ok(record),
        // Given up by somebody else while we spoke.
        Err(Refusal::Conflict { .. }) if app.handle.node(&id).is_none() => Err(not_found(app, &id)),
        Err(refusal) => Err(refusal.into()),
    }
}

/// The node, unless it has been given up.
pub(crate) fn find(app: &App, id: &NodeId) -> Result<NodeView, Failure> {
    app.handle.node(id).ok_or_else(|| not_found(app, id))
}

/// The node, also if it has been given up.
pub(crate) fn known(app: &App, id: &NodeId) -> Result<NodeView, Failure> {
    let node = app.handle.look(|view| view.nodes.get(id).cloned());
    node.ok_or_else(|| not_found(app, id))
}

/// A node whose record cannot be used exists all the same: a client that was told otherwise would
/// forget it and make another.
pub(crate) fn not_found(app: &App, id: &NodeId) -> Failure {
    match app.handle.look(|view| view.stopped.get(id).cloned()) {
        None => Failure::no_such_node(id),
        Some(why) => Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "NODE_STOPPED",
            format!("{id} is stopped: {why}"),
        ),
    }
}

/// Eight random hexadecimal digits that no node has.
fn free_id(app: &App) -> Result<NodeId, Failure> {
    for _ in 0..MAX_ID_TRIES {
        let mut bytes = [0_u8; 4];
        getrandom::fill(&mut bytes).map_err(|_| no_free_id())?;
        let id = NodeId(format!("smi-{:08x}", u32::from_be_bytes(bytes)));
        let taken = app.handle.look(|v| v.nodes.contains_key(&id) || v.stopped.contains_key(&id));
        if !taken {
            return Ok(id);
        }
    }
    Err(no_free_id())
}

fn no_free_id() -> Failure {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "UNAVAILABLE",
        "no free id was found for the node; try again",
    )
}

/// Refuses what the controller would not see, and then with its mistakes too, so that a client
/// learns all at once.
fn check_whole(
    conforms: Result<(), Vec<FieldError>>,
    document: &Value,
    before: Option<&Value>,
) -> Result<(), Failure> {
    let mut errors = conforms.err().unwrap_or_default();
    errors.extend(shape::incomplete_requirements(document));
    if errors.is_empty() {
        return Ok(());
    }
    let known: BTreeSet<String> = errors.iter().map(|e| e.field.clone()).collect();
    if let Err(more) = Spec::accept(document, before) {
        errors.extend(more.into_iter().filter(|e| !known.contains(&e.field)));
    }
    Err(Failure::invalid(errors))
}
