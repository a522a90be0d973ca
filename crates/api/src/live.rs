//! `/holdfast/v1/events`: stored events, and then those that happen, one JSON object on a line.

use crate::App;
use crate::envelope::Failure;
use crate::limits::{DEFAULT_EVENTS, HEARTBEAT, MAX_FOLLOWERS};
use crate::log::finished;
use crate::serve::Closing;
use crate::shown::word;
use crate::time::{LATEST, rfc3339};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use holdfast_controller::Handle;
use holdfast_model::{NodeId, Time};
use holdfast_store::{EventFilter, MAX_EVENTS_READ, StoredEvent};
use holdfast_wire::Event;
use serde::Deserialize;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Which events.
#[derive(Deserialize, utoipa::IntoParams)]
pub(crate) struct EventsQuery {
    /// Only of this node.
    node: Option<String>,
    /// Whether to go on with what happens from now on.
    #[serde(default)]
    follow: bool,
    /// Only with a sequence number greater than this: where an earlier stream ended.
    after: Option<u64>,
    /// How many stored events to begin with, at most 1000; 100 if it is missing.
    limit: Option<usize>,
}

/// Events, oldest first, one JSON object on a line. A stream that follows sends an empty line when it is quiet.
#[utoipa::path(get, path = "/holdfast/v1/events", tag = "holdfast", params(EventsQuery),
    responses((status = 200, content_type = "application/x-ndjson", body = Event)))]
pub(crate) async fn events(
    State(app): State<App>,
    closing: Option<Extension<Closing>>,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Failure> {
    let following = if query.follow { Some(admit(&app.followers)?) } else { None };
    let mut reader = Reader {
        live: app.handle.live_events(),
        handle: app.handle,
        node: query.node.map(NodeId),
        after: query.after.unwrap_or(0),
        closing: closing.map(|Extension(closing)| closing),
    };
    let limit = query.limit.unwrap_or(DEFAULT_EVENTS).min(MAX_EVENTS_READ);
    let first = if limit == 0 { reader.skip().await? } else { reader.read(limit).await? };
    let head = [(header::CONTENT_TYPE, "application/x-ndjson")];
    let Some(permit) = following else {
        return Ok((head, lines(&first)).into_response());
    };
    let begin = Stage { reader, first: Some(first), _permit: permit };
    let body = stream::unfold(begin, |mut stage| async move {
        let chunk = match stage.first.take() {
            Some(first) => lines(&first),
            None => stage.reader.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), stage))
    });
    Ok((head, Body::from_stream(body)).into_response())
}

fn admit(followers: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    Arc::clone(followers).try_acquire_owned().map_err(|_| {
        let message = format!("{MAX_FOLLOWERS} readers follow events already; end one of them");
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "BUSY", message)
    })
}

struct Stage {
    reader: Reader,
    first: Option<Vec<StoredEvent>>,
    _permit: OwnedSemaphorePermit,
}

/// Live events only wake; what is told is read from the store, so that nothing is missed or told
/// twice, however slow the reader is.
struct Reader {
    live: Receiver<holdfast_model::Event>,
    handle: Handle,
    node: Option<NodeId>,
    after: u64,
    closing: Option<Closing>,
}

impl Reader {
    async fn read(&mut self, limit: usize) -> Result<Vec<StoredEvent>, Failure> {
        let filter = EventFilter {
            node: self.node.clone(),
            from: Time(0),
            to: LATEST,
            after: self.after,
            limit,
        };
        let handle = self.handle.clone();
        let read = tokio::task::spawn_blocking(move || handle.events(&filter)).await;
        let found = finished(read)?;
        if let Some(last) = found.last() {
            self.after = last.sequence;
        }
        Ok(found)
    }

    /// Begins after what is stored.
    async fn skip(&mut self) -> Result<Vec<StoredEvent>, Failure> {
        self.read(1).await.map(|_| Vec::new())
    }

    /// The next lines, or an empty one as a sign of life; `None`: there will be no more.
    async fn next(&mut self) -> Option<String> {
        loop {
            let closing = self.closing.as_mut();
            let closing = async {
                match closing {
                    Some(closing) => closing.wait().await,
                    None => std::future::pending().await,
                }
            };
            let live = tokio::select! {
                () = closing => return None,
                live = tokio::time::timeout(HEARTBEAT, self.live.recv()) => live,
            };
            match live {
                Err(_) => return Some("\n".to_owned()),
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Ok(live)) if self.node.as_ref().is_some_and(|n| n != &live.node) => {}
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => {
                    let found = self.read(MAX_EVENTS_READ).await.ok()?;
                    if !found.is_empty() {
                        return Some(lines(&found));
                    }
                }
            }
        }
    }
}

fn lines(events: &[StoredEvent]) -> String {
    let mut text = String::new();
    for StoredEvent { sequence, event } in events {
        let line = Event {
            sequence: *sequence,
            at: rfc3339(event.at),
            node: event.node.0.clone(),
            severity: word(&event.severity),
            code: word(&event.code),
            message: event.message.clone(),
        };
        // Texts and a number can be written as JSON, and writing to a text cannot fail.
        let line = serde_json::to_string(&line).unwrap_or_default();
        let _ = writeln!(text, "{line}");
    }
    text
}
