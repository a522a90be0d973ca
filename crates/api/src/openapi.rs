//! The description of the interface, made from the handlers: `/openapi.json`.

use crate::schema::Failed;
use crate::{deallocation, fleet, generations, health, live, log, metrics, nodes, own};
use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        description = "Stateful nodes on capacity that can be taken away. \
            /aws/ec2/managedInstance is the published interface of Spot's Stateful Node."
    ),
    paths(
        nodes::create, nodes::list, nodes::read, nodes::update, nodes::delete, nodes::status,
        nodes::pause, nodes::resume, nodes::recycle, log::logs,
        own::list, own::show, own::decide, deallocation::undelete, deallocation::delete_volume, generations::list, generations::rollback, live::events, health::health, metrics::metrics,
        fleet::status, fleet::freeze, fleet::thaw, fleet::unaccounted, fleet::adopt,
    ),
    components(schemas(Failed)),
    security(("token" = [])),
    modifiers(&Token),
)]
struct Description;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The description itself.
pub(crate) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

/// The description as JSON, for documentation and tools.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn description() -> Result<String, serde_json::Error> {
    Description::openapi().to_pretty_json()
}
