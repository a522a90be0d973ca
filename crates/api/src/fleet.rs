//! `/holdfast/v1/fleet` and what is said to the fleet as a whole: freeze, thaw, adopt.

use crate::body::Sent;
use crate::envelope::{Answer, Failure};
use crate::limits::MAX_REASON;
use crate::nodes::say;
use crate::time::{now, rfc3339};
use crate::{App, shape, shown, view};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use holdfast_controller::View;
use holdfast_model::record::SCHEMA;
use holdfast_model::user::UserCommand;
use holdfast_model::{FieldError, NodeId, Time, text};
use holdfast_wire::{
    AdoptRequest, Answered, CallLimit, CooledMarket, FleetStatus, Freeze, FreezeRequest, Node,
    RequestBody, Standing, Unaccounted,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The most markets that a status names.
const MAX_COOLED: usize = 100;

/// How the fleet is: what freezes it, how many nodes are in which state, which versions it has.
#[utoipa::path(get, path = "/holdfast/v1/fleet", tag = "holdfast",
    responses((status = 200, body = Answered<FleetStatus>)))]
pub(crate) async fn status(State(app): State<App>) -> Answer<FleetStatus> {
    let now = now();
    Answer::item("holdfast:fleet", app.handle.look(|view| fleet(view, now)))
}

fn fleet(all: &View, now: Time) -> FleetStatus {
    let mut nodes: BTreeMap<String, usize> = BTreeMap::new();
    let mut cooled: BTreeMap<&str, (Time, usize)> = BTreeMap::new();
    let mut quarantined = 0;
    for node in all.nodes.values() {
        *nodes.entry(view::state(&node.record).to_owned()).or_default() += 1;
        quarantined += usize::from(view::is_quarantined(&node.record));
        for (market, until) in view::cooled(&node.record, now) {
            let (latest, nodes) = cooled.entry(market).or_default();
            *latest = (*latest).max(until);
            *nodes += 1;
        }
    }
    if !all.stopped.is_empty() {
        *nodes.entry("STOPPED".to_owned()).or_default() += all.stopped.len();
    }
    let cooled = cooled.into_iter().take(MAX_COOLED).map(|(market, (until, nodes))| CooledMarket {
        market: market.to_owned(),
        until: rfc3339(until),
        nodes,
    });
    let limits = all.beliefs.iter().map(|b| CallLimit {
        action: b.action.to_owned(),
        published_per_second: b.size.refill,
        believed_percent: b.thousandths / 10,
        waiting: b.waiting,
    });
    FleetStatus {
        standing: standing(&all.standing),
        installation: all.installation.clone(),
        region: all.catalogue.region.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        record_version: SCHEMA,
        store_version: holdfast_store::sqlite::VERSION,
        ready: all.ready,
        nodes,
        quarantined,
        cooled_markets: cooled.collect(),
        voluntary_per_hour: all.voluntary_per_hour,
        voluntary_begun: all.voluntary_begun,
        call_limits: limits.collect(),
    }
}

/// What freezes the fleet, and which controller it has.
fn standing(standing: &holdfast_model::Standing) -> Standing {
    let freezes = standing.freezes.iter().map(|(cause, freeze)| Freeze {
        cause: shown::word(cause),
        since: rfc3339(freeze.since),
        reason: freeze.reason.clone(),
    });
    let freezes: Vec<Freeze> = freezes.collect();
    Standing {
        frozen: !freezes.is_empty(),
        freezes,
        epoch: standing.epoch.count,
        epoch_began: rfc3339(standing.epoch.began),
    }
}

/// Stops every change, through restarts, until it is lifted.
#[utoipa::path(post, path = "/holdfast/v1/freeze", tag = "holdfast",
    request_body = FreezeRequest, responses((status = 200, body = Answered<Standing>)))]
pub(crate) async fn freeze(
    State(app): State<App>,
    Sent(sent): Sent<FreezeRequest>,
) -> Result<Answer<Standing>, Failure> {
    let reason = sent.reason.unwrap_or_default();
    check(&reason)?;
    let now = app.handle.freeze(reason).await?;
    Ok(Answer::item("holdfast:fleet", standing(&now)))
}

/// Whether a reason may stand in a log and on a terminal.
fn check(reason: &str) -> Result<(), Failure> {
    let problem = match reason.chars().find(|c| text::is_hidden(*c)) {
        Some(bad) => format!("has the character {}", bad.escape_unicode()),
        None if reason.chars().count() > MAX_REASON => "is too long".to_owned(),
        None => return Ok(()),
    };
    Err(Failure::invalid(vec![FieldError {
        field: "reason".to_owned(),
        problem,
        allowed: format!(
            "a text of at most {MAX_REASON} characters, in one line, without any that cannot be \
             seen"
        ),
        example: FreezeRequest::EXAMPLE.to_owned(),
    }]))
}

/// Lifts a freeze, as far as a person can: credentials of another account are put right only by a
/// start with the right ones.
#[utoipa::path(post, path = "/holdfast/v1/thaw", tag = "holdfast",
    responses((status = 200, body = Answered<Standing>)))]
pub(crate) async fn thaw(State(app): State<App>) -> Result<Answer<Standing>, Failure> {
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
pub(crate) async fn unaccounted(State(app): State<App>) -> Result<Answer<Unaccounted>, Failure> {
    let strays = app.handle.strays().await?;
    Ok(Answer::items("holdfast:unaccounted", strays.into_iter().map(shown::unaccounted).collect()))
}

/// Brings a node's record up to what the cloud shows of it.
#[utoipa::path(post, path = "/holdfast/v1/nodes/{id}/adopt", tag = "holdfast",
    params(("id" = String, Path, description = "The node's id; it need not be known")),
    request_body = AdoptRequest,
    responses((status = 200, body = Answered<Node>)))]
pub(crate) async fn adopt(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(sent): Sent<AdoptRequest>,
) -> Result<Answer<Node>, Failure> {
    let mut document = sent.managed_instance.map(|document| Value::Object(document.0));
    if let Some(document) = &mut document {
        shape::conform(document).map_err(Failure::invalid)?;
    }
    let command = UserCommand::Adopt { id: NodeId(id), document, heads: sent.heads };
    let record = say(&app, command).await?;
    Ok(Answer::item("holdfast:adopted", view::node(&record)))
}
