//! A node's log, where Spot has it: `/aws/ec2/group/{id}/logs`, with the node's id as group id.

use crate::App;
use crate::envelope::{Answer, Failure};
use crate::limits::{DEFAULT_LOG, MAX_LOG, MAX_LOG_READS};
use crate::nodes::not_found;
use crate::shown::word;
use crate::time::{LATEST, parse, rfc3339};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use holdfast_model::{FieldError, NodeId, Severity, Time};
use holdfast_store::{EventFilter, MAX_EVENTS_READ, StoreError, StoredEvent};
use holdfast_wire::{Answered, LogEntry};
use serde::Deserialize;
use std::collections::BTreeSet;

const LOG: &str = "spotinst:aws:ec2:group:log";

/// Which entries.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogQuery {
    /// From when on: milliseconds since 1970, or a date. Without it: from the beginning.
    from_date: Option<String>,
    /// Until when, inclusive. Without it: until now.
    to_date: Option<String>,
    /// `ALL`, `DEBUG`, `INFO`, `WARN` or `ERROR`: entries at least as grave.
    severity: Option<String>,
    /// Only entries that name this resource.
    resource_id: Option<String>,
    /// The newest so many, 1 to 1000; 500 if it is missing.
    limit: Option<String>,
}

struct Wanted {
    node: NodeId,
    from: Time,
    to: Time,
    least: Severity,
    resource: Option<String>,
    limit: usize,
}

/// A node's log, oldest entry first.
#[utoipa::path(get, path = "/aws/ec2/group/{id}/logs", tag = "log",
    params(("id" = String, Path, description = "The node's id"), LogQuery),
    responses((status = 200, body = Answered<LogEntry>)))]
pub(crate) async fn logs(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Answer<LogEntry>, Failure> {
    let node = NodeId(id);
    let wanted = wanted(node.clone(), query)?;
    let store = app.handle.clone();
    let known = app.handle.node(&node).is_some();
    let read = tokio::task::spawn_blocking(move || {
        let found = collect(&wanted, |filter| store.events(filter))?;
        // A node that has been given up keeps its log for a while.
        let any = known || !found.is_empty() || exists(&wanted.node, |f| store.events(f))?;
        Ok::<_, StoreError>((found, any))
    });
    let (found, known) = finished(read.await)?;
    if !known {
        return Err(not_found(&app, &node));
    }
    let items = found.into_iter().map(|stored| LogEntry {
        severity: word(&stored.event.severity),
        created_at: rfc3339(stored.event.at),
        message: stored.event.message,
    });
    Ok(Answer::items(LOG, items.collect()))
}

/// What a read of the store on another thread came to.
pub(crate) fn finished<T>(
    read: Result<Result<T, StoreError>, tokio::task::JoinError>,
) -> Result<T, Failure> {
    match read {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::error!(%error, "events cannot be read");
            Err(Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "STORE_FAILED",
                "the events cannot be read; the server's log says why",
            ))
        }
        Err(error) => {
            tracing::error!(%error, "reading events ended early");
            Err(Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "INTERNAL_ERROR",
                "the server failed; see its log for what happened",
            ))
        }
    }
}

fn exists(
    node: &NodeId,
    read: impl Fn(&EventFilter) -> Result<Vec<StoredEvent>, StoreError>,
) -> Result<bool, StoreError> {
    let filter =
        EventFilter { node: Some(node.clone()), from: Time(0), to: LATEST, after: 0, limit: 1 };
    Ok(!read(&filter)?.is_empty())
}

fn wanted(node: NodeId, query: LogQuery) -> Result<Wanted, Failure> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, allowed: &str, example: &str| {
        errors.push(FieldError {
            field: field.to_owned(),
            problem: "cannot be understood".to_owned(),
            allowed: allowed.to_owned(),
            example: example.to_owned(),
        });
    };
    let mut instant = |field: &str, text: Option<String>, default: Time| match text {
        None => default,
        Some(text) if text.is_empty() => default,
        Some(text) => parse(&text).unwrap_or_else(|| {
            wrong(field, "milliseconds since 1970, or a date", "1588668792000");
            default
        }),
    };
    let from = instant("fromDate", query.from_date, Time(0));
    let to = instant("toDate", query.to_date, LATEST);
    let least = match query.severity.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("" | "ALL" | "DEBUG") => Severity::Debug,
        Some("INFO") => Severity::Info,
        Some("WARN") => Severity::Warn,
        Some("ERROR") => Severity::Error,
        Some(_) => {
            wrong("severity", "ALL, DEBUG, INFO, WARN, ERROR", "ALL");
            Severity::Debug
        }
    };
    let limit = match query.limit.as_deref() {
        None | Some("") => DEFAULT_LOG,
        Some(text) => {
            text.parse().ok().filter(|n| (1..=MAX_LOG).contains(n)).unwrap_or_else(|| {
                wrong("limit", "a number from 1 to 1000", "500");
                DEFAULT_LOG
            })
        }
    };
    if from > to {
        wrong("fromDate", "an instant before toDate", "1588668792000");
    }
    if errors.is_empty() {
        Ok(Wanted { node, from, to, least, resource: query.resource_id, limit })
    } else {
        Err(Failure::invalid(errors))
    }
}

/// The newest wanted entries, oldest first. The store knows neither severities nor resources, so
/// it is read backwards until there are enough.
fn collect(
    wanted: &Wanted,
    read: impl Fn(&EventFilter) -> Result<Vec<StoredEvent>, StoreError>,
) -> Result<Vec<StoredEvent>, StoreError> {
    let mut newest_first = Vec::new();
    let mut seen = BTreeSet::new();
    let mut to = wanted.to;
    for _ in 0..MAX_LOG_READS {
        let filter = EventFilter {
            node: Some(wanted.node.clone()),
            from: wanted.from,
            to,
            after: 0,
            limit: MAX_EVENTS_READ,
        };
        let page = read(&filter)?;
        let (full, oldest) = (page.len() == MAX_EVENTS_READ, page.first().map(|s| s.event.at));
        let mut fresh = 0;
        for stored in page.into_iter().rev() {
            if !seen.insert(stored.sequence) {
                continue;
            }
            fresh += 1;
            let event = &stored.event;
            let named = wanted.resource.as_ref().is_none_or(|r| event.message.contains(r.as_str()));
            if event.severity >= wanted.least && named {
                newest_first.push(stored);
            }
        }
        let Some(oldest) = oldest.filter(|_| full && fresh > 0) else { break };
        if newest_first.len() >= wanted.limit {
            break;
        }
        to = oldest;
    }
    newest_first.truncate(wanted.limit);
    newest_first.reverse();
    Ok(newest_first)
}
