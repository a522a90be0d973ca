//! The server's routes for what people do with volumes of their own on this host.

use super::host::{Local, blocking, instance, read};
use axum::body::Bytes;
use axum::extract::{Path, State};
use holdfast_api::{Answer, Failure};
use holdfast_cloud_local::LocalCloud;
use holdfast_model::facts::VolumeFact;
use holdfast_model::{NodeId, VolumeId, Zone, tags};
use serde::Deserialize;
use serde_json::{Value, json};

const KIND: &str = "holdfast:local:volume";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct New {
    zone: Zone,
    size_gib: u32,
    mount: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    node_id: NodeId,
    device: String,
}

fn shown(volume: &VolumeFact) -> Value {
    json!({
        "volumeId": volume.id,
        "zone": volume.zone,
        "sizeGib": volume.size_gib,
        "state": volume.state,
        "instanceId": volume.attached_to.as_ref().map(|(instance, _)| instance),
        "device": volume.attached_to.as_ref().map(|(_, device)| device),
        "nodeId": volume.tags.get(tags::NODE),
        "mount": volume.tags.get(tags::MOUNT),
    })
}

/// Every volume of the host.
pub async fn list(State(local): State<Local>) -> Result<Answer, Failure> {
    let volumes = blocking(local.cloud, LocalCloud::volumes).await?;
    Ok(Answer::items(KIND, volumes.iter().map(shown).collect()))
}

/// A new volume that belongs to no node.
pub async fn make(State(local): State<Local>, body: Bytes) -> Result<Answer, Failure> {
    let new: New = read(&body, "{\"zone\": \"local-1a\", \"sizeGib\": 1, \"mount\": \"/srv\"}")?;
    let work =
        move |cloud: &LocalCloud| cloud.make_volume(&new.zone, new.size_gib, new.mount.as_deref());
    let volume = blocking(local.cloud, work).await?;
    Ok(Answer::item(KIND, shown(&volume)))
}

/// Attaches a volume to a node's instance.
pub async fn attach(
    State(local): State<Local>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Answer, Failure> {
    let to: Attachment = read(&body, "{\"nodeId\": \"smi-0a1b2c3d\", \"device\": \"/dev/xvdf\"}")?;
    let holder = instance(&local.handle, &to.node_id)?;
    let work = move |cloud: &LocalCloud| cloud.attach_by_hand(&VolumeId(id), &holder, &to.device);
    let mount = blocking(local.cloud, work).await?;
    Ok(Answer::item("holdfast:local:attachment", json!({ "mount": mount })))
}

/// Takes a volume away from the instance that holds it.
pub async fn detach(State(local): State<Local>, Path(id): Path<String>) -> Result<Answer, Failure> {
    blocking(local.cloud, move |cloud| cloud.detach_by_hand(&VolumeId(id))).await?;
    Ok(Answer::done())
}

/// Deletes a free volume that belongs to no node.
pub async fn remove(State(local): State<Local>, Path(id): Path<String>) -> Result<Answer, Failure> {
    blocking(local.cloud, move |cloud| cloud.delete_by_hand(&VolumeId(id))).await?;
    Ok(Answer::done())
}
