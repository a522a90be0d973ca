//! The description of the interface: `/openapi.json`. It is made from the handlers, by the router
//! that calls them, and describes every path but its own.

use crate::shape;
use holdfast_wire::{Failed, ManagedInstance};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

/// Where the description is.
pub(crate) const PATH: &str = "/openapi.json";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        description = "Stateful nodes on capacity that can be taken away. \
            /aws/ec2/managedInstance is the published interface of Spot's Stateful Node."
    ),
    components(schemas(Failed, ManagedInstance)),
    security(("token" = [])),
    modifiers(&Token),
)]
struct Description;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The description, still without paths.
pub(crate) fn begin() -> OpenApi {
    Description::openapi()
}

/// With what every path has in common, a failure, and with the members of a node's document, which
/// the table of its shape knows.
pub(crate) fn finish(mut description: OpenApi) -> OpenApi {
    let failed = Ref::from_schema_name("Failed");
    let content = ContentBuilder::new().schema(Some(failed)).build();
    let failed = ResponseBuilder::new()
        .description("A failure, whatever its status.")
        .content("application/json", content)
        .build();
    for item in description.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let answers = &mut operation.responses.responses;
            answers.insert("default".to_owned(), RefOr::T(failed.clone()));
        }
    }
    let components = description.components.get_or_insert_default();
    components.schemas.insert("ManagedInstance".to_owned(), RefOr::T(shape::schema()));
    description
}
