//! `/holdfast/v1/fleet` and what is said to the fleet as a whole: freeze, thaw, adopt.

use crate::App;
use crate::envelope::{Answer, Failure};
use crate::limits::MAX_REASON;
use crate::nodes::{json, say};
use crate::render;
use crate::schema::{AdoptRequest, Answered, FleetStatus, FreezeRequest, Status, Unaccounted};
use crate::shape;
use crate::time::{now, rfc3339};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use holdfast_controller::View;
use holdfast_model::adoption::Heads;
use holdfast_model::record::SCHEMA;
use holdfast_model::user::UserCommand;
use holdfast_model::{FieldError, NodeId, Standing, Time, text};
use serde_json::{Value, json as item};
use std::collections::BTreeMap;

/// The most markets that a status names.
const MAX_COOLED: usize = 100;

/// How the fleet is: what freezes it, how many nodes are in which state, which versions it has.
#[utoipa::path(get, path = "/holdfast/v1/fleet", tag = "holdfast",
    responses((status = 200, body = Answered<FleetStatus>)))]
pub(crate) async fn status(State(app): State<App>) -> Answer {
    let now = now();
    Answer::item("holdfast:fleet", app.handle.look(|view| fleet(view, now)))
}

fn fleet(view: &View, now: Time) -> Value {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    let mut cooled: BTreeMap<&str, (Time, usize)> = BTreeMap::new();
    let mut quarantined = 0;
    for node in view.nodes.values() {
        *states.entry(node.record.status()).or_default() += 1;
        quarantined += usize::from(node.record.quarantine.is_some());
        for (market, until) in node.record.cooled.iter().filter(|(_, until)| **until > now) {
            let (latest, nodes) = cooled.entry(market).or_default();
            *latest = (*latest).max(*until);
            *nodes += 1;
        }
    }
    if !view.stopped.is_empty() {
        *states.entry("STOPPED").or_default() += view.stopped.len();
    }
    let cooled: Vec<Value> = cooled
        .into_iter()
        .take(MAX_COOLED)
        .map(|(market, (until, nodes))| {
            item!({ "market": market, "until": rfc3339(until), "nodes": nodes })
        })
        .collect();
    let limits: Vec<Value> = view
        .beliefs
        .iter()
        .map(|b| {
            item!({
                "action": b.action,
                "publishedPerSecond": b.size.refill,
                "believedPercent": b.thousandths / 10,
                "waiting": b.waiting,
            })
        })
        .collect();
    let mut whole = standing(&view.standing);
    if let Value::Object(members) = &mut whole {
        members.extend([
            ("installation".to_owned(), item!(view.installation)),
            ("region".to_owned(), item!(view.catalogue.region)),
            ("version".to_owned(), item!(env!("CARGO_PKG_VERSION"))),
            ("recordVersion".to_owned(), item!(SCHEMA)),
            ("storeVersion".to_owned(), item!(holdfast_store::sqlite::VERSION)),
            ("ready".to_owned(), item!(view.ready)),
            ("nodes".to_owned(), item!(states)),
            ("quarantined".to_owned(), item!(quarantined)),
            ("cooledMarkets".to_owned(), item!(cooled)),
            ("voluntaryPerHour".to_owned(), item!(view.voluntary_per_hour)),
            ("voluntaryBegun".to_owned(), item!(view.voluntary_begun)),
            ("callLimits".to_owned(), item!(limits)),
        ]);
    }
    whole
}

/// What freezes the fleet, and which controller it has.
fn standing(standing: &Standing) -> Value {
    let freezes: Vec<Value> = standing
        .freezes
        .iter()
        .map(|(cause, freeze)| {
            item!({ "cause": cause, "since": rfc3339(freeze.since), "reason": freeze.reason })
        })
        .collect();
    item!({
        "frozen": !freezes.is_empty(),
        "freezes": freezes,
        "epoch": standing.epoch.count,
        "epochBegan": rfc3339(standing.epoch.began),
    })
}

/// Stops every change, through restarts, until it is lifted.
#[utoipa::path(post, path = "/holdfast/v1/freeze", tag = "holdfast",
    request_body = FreezeRequest, responses((status = 200, body = Answered<FleetStatus>)))]
pub(crate) async fn freeze(State(app): State<App>, body: Bytes) -> Result<Answer, Failure> {
    let body = json(&body)?;
    let reason = reason(body.get("reason"))?;
    let now = app.handle.freeze(reason).await?;
    Ok(Answer::item("holdfast:fleet", standing(&now)))
}

/// Why, in a sentence that may stand in a log and on a terminal; empty if nobody says.
fn reason(given: Option<&Value>) -> Result<String, Failure> {
    let wrong = |problem: String| {
        Failure::invalid(vec![FieldError {
            field: "reason".to_owned(),
            problem,
            allowed: format!(
                "a text of at most {MAX_REASON} characters, in one line, without any that cannot \
                 be seen"
            ),
            example: "{\"reason\": \"the network is being moved\"}".to_owned(),
        }])
    };
    match given {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(reason)) => match reason.chars().find(|c| text::is_hidden(*c)) {
            Some(bad) => Err(wrong(format!("has the character {}", bad.escape_unicode()))),
            None if reason.chars().count() > MAX_REASON => Err(wrong("is too long".to_owned())),
            None => Ok(reason.clone()),
        },
        Some(_) => Err(wrong("is no text".to_owned())),
    }
}

/// Lifts a freeze, as far as a person can: credentials of another account are put right only by a
/// start with the right ones.
#[utoipa::path(post, path = "/holdfast/v1/thaw", tag = "holdfast",
    responses((status = 200, body = Answered<FleetStatus>), (status = 409)))]
pub(crate) async fn thaw(State(app): State<App>) -> Result<Answer, Failure> {
    let now = app.handle.thaw().await?;
    match now.frozen() {
        None => Ok(Answer::item("holdfast:fleet", standing(&now))),
        Some(left) => {
            let why = format!("still frozen: {}", left.reason);
            Err(Failure::new(StatusCode::CONFLICT, "FROZEN", why))
        }
    }
}

/// What is in the cloud and no record accounts for, by node.
#[utoipa::path(get, path = "/holdfast/v1/unaccounted", tag = "holdfast",
    responses((status = 200, body = Answered<Unaccounted>)))]
pub(crate) async fn unaccounted(State(app): State<App>) -> Result<Answer, Failure> {
    let strays = app.handle.strays().await?;
    Ok(Answer::items("holdfast:unaccounted", strays.iter().map(|s| item!(s)).collect()))
}

/// Brings a node's record up to what the cloud shows of it.
#[utoipa::path(post, path = "/holdfast/v1/nodes/{id}/adopt", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id; it need not be known")),
    request_body = AdoptRequest, responses((status = 200, body = Status), (status = 409)))]
pub(crate) async fn adopt(
    State(app): State<App>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Answer, Failure> {
    let body = if body.trim_ascii().is_empty() { item!({}) } else { json(&body)? };
    let mut document = body.get("managedInstance").filter(|d| !d.is_null()).cloned();
    if let Some(document) = &mut document {
        shape::conform(document).map_err(Failure::invalid)?;
    }
    let heads = body.get("heads").cloned().unwrap_or_else(|| item!({}));
    let heads: Heads = serde_json::from_value(heads).map_err(|_| {
        Failure::invalid(vec![FieldError {
            field: "heads".to_owned(),
            problem: "is not an object of texts".to_owned(),
            allowed: "parts of the node, each with an id or \"fresh\"".to_owned(),
            example: "{\"heads\": {\"root\": \"ami-0a1b\", \"/dev/xvdb\": \"vol-0a1b\"}}"
                .to_owned(),
        }])
    })?;
    let record = say(&app, UserCommand::Adopt { id: NodeId(id), document, heads }).await?;
    Ok(Answer::item("holdfast:adopted", render::item(&record)))
}
