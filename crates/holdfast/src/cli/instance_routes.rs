//! The server's routes for this host's instances: those that were let go are their user's.

use super::host::{Local, blocking};
use axum::extract::{Path, State};
use holdfast_api::{Answer, Failure, word};
use holdfast_cloud_local::LocalCloud;
use holdfast_model::facts::InstanceFact;
use holdfast_model::{InstanceId, tags};
use holdfast_wire::local::LocalInstance;
use holdfast_wire::{Answered, Status};

fn shown(instance: &InstanceFact) -> LocalInstance {
    LocalInstance {
        instance_id: instance.id.0.clone(),
        state: word(&instance.state),
        instance_type: instance.instance_type.clone(),
        zone: instance.zone.0.clone(),
        private_ip: instance.private_ip.clone(),
        node_id: instance.tags.get(tags::NODE).cloned(),
        let_go_by: instance.tags.get(tags::RELEASED).cloned(),
    }
}

/// Every instance of the host.
#[utoipa::path(get, path = "/instances", tag = "local",
    responses((status = 200, body = Answered<LocalInstance>)))]
pub async fn list(State(local): State<Local>) -> Result<Answer<LocalInstance>, Failure> {
    let instances = blocking(local.cloud, LocalCloud::instances).await?;
    Ok(Answer::items("holdfast:local:instance", instances.iter().map(shown).collect()))
}

/// Ends one that belongs to no node.
#[utoipa::path(delete, path = "/instances/{id}", tag = "local",
    params(("id" = String, Path, description = "The instance's id")),
    responses((status = 200, body = Status)))]
pub async fn terminate(
    State(local): State<Local>,
    Path(id): Path<String>,
) -> Result<Answer, Failure> {
    let id = InstanceId(id);
    blocking(local.cloud, move |cloud| cloud.terminate_by_hand(&id)).await?;
    Ok(Answer::done())
}
