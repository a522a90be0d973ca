//! `/metrics`: what the controller does, in numbers, as Prometheus reads them.

use crate::App;
use crate::envelope::Failure;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use holdfast_controller::metrics::CONTENT_TYPE;

/// What the controller has done since the server's start, in the format OpenMetrics 1.0.
#[utoipa::path(get, path = "/metrics", tag = "holdfast",
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Failure> {
    let text = app.handle.metrics().text().map_err(|_| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Failure::new(status, "INTERNAL", "the metrics could not be written as text")
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
