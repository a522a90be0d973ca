//! HTTP: the published REST interface of Spot's Stateful Node (`managedInstance`), so that
//! existing SDKs and the existing Terraform provider work unchanged, and what Holdfast adds to it
//! under `/holdfast/v1`.
//!
//! ```text
//! gateway.rs   in and out: limits, token, envelope       envelope.rs   what answers look like
//! nodes.rs     /aws/ec2/managedInstance                  view.rs       records, for the wire
//! log.rs       /aws/ec2/group/{id}/logs                  shown.rs      what the cloud shows, for the wire
//! body.rs      what is sent                              shape.rs      the document's members
//! own.rs, live.rs, health.rs   what Holdfast adds        limits.rs     every limit
//! metrics.rs   /metrics
//! fleet.rs     the fleet as a whole, adoption
//! generations.rs   what a node can return to             deallocation.rs   after a deletion
//! auth.rs      the token                                 serve.rs      connections
//! openapi.rs   /openapi.json                             places.rs     how many of them
//! time.rs      instants                                  wire.rs       what nobody reads
//! ```
//!
//! What requests and answers are made of stands in `holdfast-wire`; nothing here makes JSON by hand.
//!
//! **Invariant:** nothing here calls a cloud or writes a record. Words go to the controller, and
//! views come from it. Routes that speak to the cloud of this host are the binary's, and are
//! mounted under `/holdfast/v1/local`.

mod auth;
mod body;
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
mod serve;
mod shape;
mod shown;
mod time;
mod view;
mod wire;

pub use auth::{Auth, AuthError, TOKEN_FILE};
pub use body::Sent;
pub use envelope::{Answer, Failure};
pub use places::Bounds;
pub use serve::{serve, serve_within};
pub use shape::unknown_members;
pub use shown::{lifecycle, word};
pub use time::rfc3339;
pub use view::{holder, name as node_name, state};

use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Json, Router};
use holdfast_controller::Handle;
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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
pub fn router(handle: Handle, auth: Auth, local: Option<OpenApiRouter>) -> Router {
    let app = App {
        handle,
        auth,
        at_once: Arc::new(Semaphore::new(limits::MAX_AT_ONCE)),
        followers: Arc::new(Semaphore::new(limits::MAX_FOLLOWERS)),
    };
    let mut router = OpenApiRouter::with_openapi(openapi::begin())
        .routes(routes!(nodes::create, nodes::list))
        .routes(routes!(nodes::read, nodes::update, nodes::delete))
        .routes(routes!(nodes::status))
        .routes(routes!(nodes::pause))
        .routes(routes!(nodes::resume))
        .routes(routes!(nodes::recycle))
        .routes(routes!(deallocation::delete_volume))
        .routes(routes!(log::logs))
        .routes(routes!(own::list))
        .routes(routes!(own::show))
        .routes(routes!(own::decide))
        .routes(routes!(deallocation::undelete))
        .routes(routes!(generations::list))
        .routes(routes!(generations::rollback))
        .routes(routes!(fleet::adopt))
        .routes(routes!(fleet::status))
        .routes(routes!(fleet::freeze))
        .routes(routes!(fleet::thaw))
        .routes(routes!(fleet::unaccounted))
        .routes(routes!(live::events))
        .routes(routes!(metrics::metrics))
        .routes(routes!(health::health))
        .with_state(app.clone());
    if let Some(local) = local {
        router = router.nest(LOCAL, local);
    }
    let (router, description) = router.split_for_parts();
    let description = Arc::new(openapi::finish(description));
    let describe = move || async move { Json((*description).clone()) };
    router.route(openapi::PATH, get(describe)).layer(from_fn_with_state(app, gateway::gateway))
}
