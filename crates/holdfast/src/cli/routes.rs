//! The server's routes that speak to this host's cloud: interruptions, and where a node runs.

use super::{instance_routes, market_routes, pool, unaccounted_routes, volume_routes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Router, body::Bytes};
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::{LocalCloud, LocalError};
use holdfast_controller::Handle;
use holdfast_model::depth::{Unread, read_sent};
use holdfast_model::{ErrorClass, InstanceId, NodeId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::time::Duration;

/// The longest notice of an interruption: an hour.
pub const MAX_NOTICE_MS: u64 = 3_600_000;

/// What the routes speak to.
#[derive(Clone)]
pub struct Local {
    /// This host's cloud.
    pub cloud: LocalCloud,
    /// The controller.
    pub handle: Handle,
}

/// The routes.
pub fn routes(cloud: LocalCloud, handle: Handle) -> Router {
    Router::new()
        .route("/nodes/{id}/interrupt", post(interrupt))
        .route("/nodes/{id}/exec", get(exec))
        .route("/markets", get(market_routes::list).put(market_routes::set))
        .route("/instances", get(instance_routes::list))
        .route("/instances/{id}", delete(instance_routes::terminate))
        .route("/pool", get(pool::route))
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

/// Reads a request's body, which is nested no deeper than any that is sent. `like`: an example.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], like: &str) -> Result<T, Failure> {
    let wrong = |why: String| Failure::bad_request(format!("the body must be like {like}: {why}"));
    let value = read_sent(body).map_err(|e| match e {
        Unread::NotJson(why) => wrong(why),
        Unread::TooDeep(error) => Failure::invalid(vec![error]),
    })?;
    serde_json::from_value(value).map_err(|e| wrong(e.to_string()))
}

/// The server's own failure.
pub fn failed(why: &str) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", why)
}

/// The instance that holds a node's identity.
pub(super) fn instance(handle: &Handle, id: &NodeId) -> Result<InstanceId, Failure> {
    let node = handle.node(id).ok_or_else(|| Failure::no_such_node(id))?;
    let holder = node.record.holder.as_ref().map(|h| h.id.clone());
    holder.ok_or_else(|| {
        let status = node.record.status();
        let why = format!("{id} has no instance at the moment: it is {status}");
        Failure::new(StatusCode::CONFLICT, "MANAGED_INSTANCE_STATE_CONFLICT", why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_model::depth::MAX_DEPTH;
    use serde_json::Value;

    #[test]
    fn a_body_of_a_local_route_is_nested_no_deeper_than_any_other() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read::<Value>(nested(MAX_DEPTH).as_bytes(), "1").is_ok());
        for levels in [MAX_DEPTH + 1, 120, 100_000] {
            assert!(read::<Value>(nested(levels).as_bytes(), "1").is_err(), "{levels}");
        }
    }
}
