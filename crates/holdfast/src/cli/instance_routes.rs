//! The server's routes for this host's instances: those that were let go are their user's.

use super::host::{Local, blocking};
use axum::extract::{Path, State};
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::LocalCloud;
use holdfast_model::facts::InstanceFact;
use holdfast_model::{InstanceId, tags};
use serde_json::{Value, json};

fn shown(instance: &InstanceFact) -> Value {
    json!({
        "instanceId": instance.id,
        "state": instance.state,
        "instanceType": instance.instance_type,
        "zone": instance.zone,
        "privateIp": instance.private_ip,
        "nodeId": instance.tags.get(tags::NODE),
        "letGoBy": instance.tags.get(tags::RELEASED),
    })
}

/// Every instance of the host.
pub async fn list(State(local): State<Local>) -> Result<Answer, Failure> {
    let instances = blocking(local.cloud, LocalCloud::instances).await?;
    Ok(Answer::items("holdfast:local:instance", instances.iter().map(shown).collect()))
}

/// Ends one that belongs to no node.
pub async fn terminate(
    State(local): State<Local>,
    Path(id): Path<String>,
) -> Result<Answer, Failure> {
    let id = InstanceId(id);
    blocking(local.cloud, move |cloud| cloud.terminate_by_hand(&id)).await?;
    Ok(Answer::done())
}
