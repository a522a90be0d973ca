//! What every request passes on its way in and out: how many at once, who asks, how large, how
//! long; and the envelope, whatever happens inside.

use crate::App;
use crate::envelope::{Failure, about, seal};
use crate::limits::{MAX_AT_ONCE, MAX_BODY, REQUEST_TIMEOUT};
use crate::places::Seat;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// The one path that needs no token.
pub(crate) const HEALTH: &str = "/health";

pub(crate) async fn gateway(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.uri().path() == HEALTH && matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let echo = about(&request);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let work = tokio::time::timeout(REQUEST_TIMEOUT, admit(&app, request, next));
    let response = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "TIMEOUT",
            format!(
                "no answer within {} seconds; look whether it was done before you repeat it",
                REQUEST_TIMEOUT.as_secs()
            ),
        )
        .into_response(),
        Err(_) => {
            tracing::error!(%method, %path, "a request panicked");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    };
    let response = seal(echo, response);
    tracing::debug!(%method, %path, status = response.status().as_u16(), "answered");
    response
}

async fn admit(app: &App, request: Request, next: Next) -> Response {
    if let Err(failure) = check_token(app, &request) {
        return failure.into_response();
    }
    // A request that did not come over a connection of `serve` has no place.
    let seat = request.extensions().get::<Arc<Seat>>();
    if seat.is_some_and(|seat| !seat.becomes_a_members()) {
        return busy("as many connections are open as may be; close some, and try again");
    }
    let Ok(_permit) = app.at_once.try_acquire() else {
        return busy(format!("{MAX_AT_ONCE} requests are under way; try again in a second"));
    };
    let (parts, body) = request.into_parts();
    let announced = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > MAX_BODY {
        return too_large();
    }
    match to_bytes(body, MAX_BODY).await {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(e) if is_too_large(&e) => too_large(),
        Err(_) => Failure::bad_request("the body did not arrive whole").into_response(),
    }
}

fn busy(message: impl Into<String>) -> Response {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "BUSY", message).into_response()
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    // `to_bytes` says so only by the text of an inner error.
    for _ in 0..4 {
        let Some(inner) = source else { return false };
        if inner.to_string().contains("length limit exceeded") {
            return true;
        }
        source = inner.source();
    }
    false
}

fn too_large() -> Response {
    let message = format!("the body is larger than {MAX_BODY} bytes");
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message).into_response()
}

fn check_token(app: &App, request: &Request) -> Result<(), Failure> {
    let given = request.headers().get(header::AUTHORIZATION);
    let message = match given {
        None => {
            "the header \"Authorization: Bearer <token>\" is missing; the token is in the file \
             \"token\" of the server's data directory"
        }
        Some(value) if app.auth.admits(value.as_bytes()) => return Ok(()),
        Some(_) => {
            "the token is not this server's; it is in the file \"token\" of the server's data \
             directory"
        }
    };
    Err(Failure::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message))
}
