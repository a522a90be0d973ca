//! HTTP: the published REST interface of Spot's Stateful Node (`managedInstance`), so that
//! existing SDKs and the existing Terraform provider work unchanged, and what Holdfast adds to it
//! under `/holdfast/v1`.
//!
//! ```text
//! gateway.rs   in and out: limits, token, envelope       envelope.rs   what answers look like
//! nodes.rs     /aws/ec2/managedInstance                  render.rs     nodes as clients read them
//! log.rs       /aws/ec2/group/{id}/logs                  shape.rs      the document's members
//! own.rs, live.rs, health.rs   what Holdfast adds        limits.rs     every limit
//! metrics.rs   /metrics
//! fleet.rs     the fleet as a whole, adoption
//! generations.rs   what a node can return to
//! auth.rs      the token                                 serve.rs      connections
//! openapi.rs, schema.rs   /openapi.json                  places.rs     how many of them
//!                                                        wire.rs       what nobody reads
//! ```
//!
//! **Invariant:** nothing here calls a cloud or writes a record. Words go to the controller, and
//! views come from it. Routes that speak to the cloud of this host are the binary's, and are
//! mounted under `/holdfast/v1/local`.

mod auth;
mod deallocation;
mod envelope;
mod fleet;
mod gateway;
mod generations;
mod health;
pub mod limits;
mod live;
mod log;
mod metrics;
mod nodes;
mod openapi;
mod own;
mod places;
mod render;
pub mod schema;
mod serve;
mod shape;
mod time;
mod wire;

pub use auth::{Auth, AuthError, TOKEN_FILE};
pub use envelope::{Answer, Failure, Reason};
pub use openapi::description;
pub use places::Bounds;
pub use render::name as node_name;
pub use serve::{serve, serve_within};
pub use shape::unknown_members;
pub use time::rfc3339;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};
use holdfast_controller::Handle;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Where the binary's own routes are mounted.
pub const LOCAL: &str = "/holdfast/v1/local";

#[derive(Clone)]
struct App {
    handle: Handle,
    auth: Auth,
    at_once: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

/// The whole interface. Every path but `/health` wants the token. `local` is mounted under
/// [`LOCAL`], behind the same token and limits; its handlers answer with [`Answer`] and
/// [`Failure`].
pub fn router(handle: Handle, auth: Auth, local: Option<Router>) -> Router {
    let app = App {
        handle,
        auth,
        at_once: Arc::new(Semaphore::new(limits::MAX_AT_ONCE)),
        followers: Arc::new(Semaphore::new(limits::MAX_FOLLOWERS)),
    };
    let base = "/aws/ec2/managedInstance";
    let of_node = |tail: &str| format!("{base}/{{id}}{tail}");
    let mut router = Router::new()
        .route(base, post(nodes::create).get(nodes::list))
        .route(&of_node(""), get(nodes::read).put(nodes::update).delete(nodes::delete))
        .route(&of_node("/status"), get(nodes::status))
        .route(&of_node("/pause"), put(nodes::pause))
        .route(&of_node("/resume"), put(nodes::resume))
        .route(&of_node("/recycle"), put(nodes::recycle))
        .route(&of_node("/volume/{volumeId}"), delete(deallocation::delete_volume))
        .route("/aws/ec2/group/{id}/logs", get(log::logs))
        .route("/holdfast/v1/nodes", get(own::list))
        .route("/holdfast/v1/nodes/{id}", get(own::show))
        .route("/holdfast/v1/nodes/{id}/decide", post(own::decide))
        .route("/holdfast/v1/nodes/{id}/undelete", post(deallocation::undelete))
        .route("/holdfast/v1/nodes/{id}/generations", get(generations::list))
        .route("/holdfast/v1/nodes/{id}/rollback", post(generations::rollback))
        .route("/holdfast/v1/nodes/{id}/adopt", post(fleet::adopt))
        .route("/holdfast/v1/fleet", get(fleet::status))
        .route("/holdfast/v1/freeze", post(fleet::freeze))
        .route("/holdfast/v1/thaw", post(fleet::thaw))
        .route("/holdfast/v1/unaccounted", get(fleet::unaccounted))
        .route("/holdfast/v1/events", get(live::events))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .route(gateway::HEALTH, get(health::health))
        .with_state(app.clone());
    if let Some(local) = local {
        router = router.nest(LOCAL, local);
    }
    router.layer(from_fn_with_state(app, gateway::gateway))
}
