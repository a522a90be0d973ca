//! The server's routes that speak to this host's cloud: interruptions, and where a node runs.

use super::host::{Local, MAX_NOTICE_MS, failed, instance, read};
use super::{instance_routes, market_routes, pool_routes, unaccounted_routes, volume_routes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Router, body::Bytes};
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::{LocalCloud, LocalError};
use holdfast_controller::Handle;
use holdfast_model::{ErrorClass, NodeId};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// The routes.
pub fn routes(cloud: LocalCloud, handle: Handle) -> Router {
    Router::new()
        .route("/nodes/{id}/interrupt", post(interrupt))
        .route("/nodes/{id}/exec", get(exec))
        .route("/markets", get(market_routes::list).put(market_routes::set))
        .route("/instances", get(instance_routes::list))
        .route("/instances/{id}", delete(instance_routes::terminate))
        .route("/pool", get(pool_routes::show))
        .route("/volumes", get(volume_routes::list).post(volume_routes::make))
        .route("/volumes/{id}", delete(volume_routes::remove))
        .route("/volumes/{id}/attach", post(volume_routes::attach))
        .route("/volumes/{id}/detach", post(volume_routes::detach))
        .route("/unaccounted", get(unaccounted_routes::list))
        .route("/unaccounted/{id}", delete(unaccounted_routes::remove))
        .route("/unaccounted/{id}/adopt", post(unaccounted_routes::adopt))
        .with_state(Local { cloud: cloud.clone(), handle })
        .merge(super::address_routes::routes(cloud))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Interruption {
    /// Announced this many milliseconds before; without it: now, without notice.
    notice_ms: Option<u64>,
}

async fn interrupt(
    State(local): State<Local>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Answer, Failure> {
    let asked: Interruption = if body.trim_ascii().is_empty() {
        Interruption::default()
    } else {
        read(&body, "{\"noticeMs\": 120000}, or empty")?
    };
    if asked.notice_ms.is_some_and(|n| n > MAX_NOTICE_MS) {
        let why = format!("a notice is at most {MAX_NOTICE_MS} milliseconds");
        return Err(Failure::bad_request(why));
    }
    let instance = instance(&local.handle, &NodeId(id))?;
    let notice = asked.notice_ms.map(Duration::from_millis);
    let (cloud, cut) = (local.cloud, instance.clone());
    let done = tokio::task::spawn_blocking(move || cloud.interrupt(&cut, notice)).await;
    match done {
        Ok(Ok(())) => Ok(Answer::item("holdfast:interruption", json!({ "instanceId": instance }))),
        Ok(Err(LocalError::Refused(e))) if e.class != ErrorClass::OutcomeUnknown => {
            Err(Failure::new(StatusCode::CONFLICT, "REFUSED", e.to_string()))
        }
        Ok(Err(error)) => {
            tracing::error!(%instance, %error, "an interruption failed");
            Err(failed(&error.to_string()))
        }
        Err(error) => {
            tracing::error!(%instance, %error, "an interruption ended early");
            Err(failed("the server failed; see its log for what happened"))
        }
    }
}

async fn exec(State(local): State<Local>, Path(id): Path<String>) -> Result<Answer, Failure> {
    let instance = instance(&local.handle, &NodeId(id))?;
    let dir = local.cloud.instance_dir(&instance);
    let dir = dir.to_str().ok_or_else(|| failed("the node's directory is not UTF-8"))?;
    let item = json!({ "instanceId": instance, "instanceDir": dir });
    Ok(Answer::item("holdfast:exec", item))
}
