//! The server's routes for this host's Elastic IPs.

use super::host::blocking;
use axum::extract::{Path, State};
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::{LocalAddress, LocalCloud};
use holdfast_model::AllocationId;
use holdfast_wire::local::Address;
use holdfast_wire::{Answered, Status};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const KIND: &str = "holdfast:local:address";

/// The routes.
pub fn routes(cloud: LocalCloud) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list, allocate)).routes(routes!(release)).with_state(cloud)
}

fn shown(address: LocalAddress) -> Address {
    Address {
        allocation_id: address.allocation_id.0,
        public_ip: address.public_ip,
        network_interface_id: address.network_interface_id.map(|i| i.0),
        instance_id: address.instance_id.map(|i| i.0),
    }
}

/// Every Elastic IP of the host, and where it leads.
#[utoipa::path(get, path = "/addresses", tag = "local",
    responses((status = 200, body = Answered<Address>)))]
async fn list(State(cloud): State<LocalCloud>) -> Result<Answer<Address>, Failure> {
    let addresses = blocking(cloud, LocalCloud::addresses).await?;
    Ok(Answer::items(KIND, addresses.into_iter().map(shown).collect()))
}

/// Allocates one.
#[utoipa::path(post, path = "/addresses", tag = "local",
    responses((status = 200, body = Answered<Address>)))]
async fn allocate(State(cloud): State<LocalCloud>) -> Result<Answer<Address>, Failure> {
    let address = blocking(cloud, LocalCloud::allocate_address).await?;
    Ok(Answer::item(KIND, shown(address)))
}

/// Releases one that leads nowhere.
#[utoipa::path(delete, path = "/addresses/{id}", tag = "local",
    params(("id" = String, Path, description = "The allocation's id")),
    responses((status = 200, body = Status)))]
async fn release(
    State(cloud): State<LocalCloud>,
    Path(id): Path<String>,
) -> Result<Answer, Failure> {
    let id = AllocationId(id);
    blocking(cloud, move |cloud| cloud.release_address(&id)).await?;
    Ok(Answer::done())
}
