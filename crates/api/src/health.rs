//! `/health`: for probes and load balancers, without a token and so without details.

use crate::App;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use holdfast_wire::Health;

/// Whether the server is ready: `ready`, or why not in one word (`starting`, `frozen`).
#[utoipa::path(get, path = "/health", tag = "holdfast", security(()),
    responses((status = 200, body = Health), (status = 503, body = Health)))]
pub(crate) async fn health(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let (ready, frozen) = app.handle.look(|view| (view.ready, view.standing.frozen().is_some()));
    let (code, status) = match (ready, frozen) {
        (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "frozen"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        (true, false) => (StatusCode::OK, "ready"),
    };
    (code, Json(Health { status: status.to_owned() }))
}
