//! The server's routes that speak to this host's cloud: interruptions, and where a node runs.

use super::host::{Local, MAX_NOTICE_MS, blocking, failed, instance};
use super::{instance_routes, market_routes, pool_routes, unaccounted_routes, volume_routes};
use axum::extract::{Path, State};
use holdfast_api::{Answer, Failure, Sent};
use holdfast_cloud_local::LocalCloud;
use holdfast_controller::Handle;
use holdfast_model::NodeId;
use holdfast_wire::Answered;
use holdfast_wire::local::{Interruption, InterruptionRequest, Place};
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn routes(cloud: LocalCloud, handle: Handle) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(interrupt))
        .routes(routes!(exec))
        .routes(routes!(market_routes::list, market_routes::set))
        .routes(routes!(instance_routes::list))
        .routes(routes!(instance_routes::terminate))
        .routes(routes!(pool_routes::show))
        .routes(routes!(volume_routes::list, volume_routes::make))
        .routes(routes!(volume_routes::remove))
        .routes(routes!(volume_routes::attach))
        .routes(routes!(volume_routes::detach))
        .routes(routes!(unaccounted_routes::list))
        .routes(routes!(unaccounted_routes::remove))
        .routes(routes!(unaccounted_routes::adopt))
        .with_state(Local { cloud: cloud.clone(), handle })
        .merge(super::address_routes::routes(cloud))
}

/// Takes a node's instance away, as a spot market does: with notice, or by cutting its power.
#[utoipa::path(post, path = "/nodes/{id}/interrupt", tag = "local",
    params(("id" = String, Path, description = "The node's id")),
    request_body = InterruptionRequest,
    responses((status = 200, body = Answered<Interruption>)))]
async fn interrupt(
    State(local): State<Local>,
    Path(id): Path<String>,
    Sent(asked): Sent<InterruptionRequest>,
) -> Result<Answer<Interruption>, Failure> {
    if asked.notice_ms.is_some_and(|n| n > MAX_NOTICE_MS) {
        let why = format!("a notice is at most {MAX_NOTICE_MS} milliseconds");
        return Err(Failure::bad_request(why));
    }
    let instance = instance(&local.handle, &NodeId(id))?;
    let notice = asked.notice_ms.map(Duration::from_millis);
    let cut = instance.clone();
    blocking(local.cloud, move |cloud| cloud.interrupt(&cut, notice)).await?;
    let item = Interruption { instance_id: instance.0 };
    Ok(Answer::item("holdfast:interruption", item))
}

/// Where a node runs: on this host it can be entered there.
#[utoipa::path(get, path = "/nodes/{id}/exec", tag = "local",
    params(("id" = String, Path, description = "The node's id")),
    responses((status = 200, body = Answered<Place>)))]
async fn exec(
    State(local): State<Local>,
    Path(id): Path<String>,
) -> Result<Answer<Place>, Failure> {
    let instance = instance(&local.handle, &NodeId(id))?;
    let dir = local.cloud.instance_dir(&instance);
    let dir = dir.to_str().ok_or_else(|| failed("the node's directory is not UTF-8"))?;
    let item = Place { instance_dir: dir.to_owned(), instance_id: instance.0 };
    Ok(Answer::item("holdfast:exec", item))
}
