//! The server's routes for what people do with volumes of their own on this host.

use super::host::{Local, blocking, instance};
use axum::extract::{Path, State};
use holdfast_api::{Answer, Failure, Sent, word};
use holdfast_cloud_local::LocalCloud;
use holdfast_model::facts::VolumeFact;
use holdfast_model::{NodeId, VolumeId, Zone, tags};
use holdfast_wire::local::{AttachmentRequest, LocalVolume, VolumeMount, VolumeRequest};
use holdfast_wire::{Answered, Status};

const KIND: &str = "holdfast:local:volume";

fn shown(volume: &VolumeFact) -> LocalVolume {
    let holder = volume.attached_to.as_ref();
    LocalVolume {
        volume_id: volume.id.0.clone(),
        zone: volume.zone.0.clone(),
        size_gib: volume.size_gib,
        state: word(&volume.state),
        instance_id: holder.map(|(instance, _)| instance.0.clone()),
        device: holder.map(|(_, device)| device.clone()),
        node_id: volume.tags.get(tags::NODE).cloned(),
        mount: volume.tags.get(tags::MOUNT).cloned(),
    }
}

/// Every volume of the host.
#[utoipa::path(get, path = "/volumes", tag = "local",
    responses((status = 200, body = Answered<LocalVolume>)))]
pub async fn list(State(local): State<Local>) -> Result<Answer<LocalVolume>, Failure> {
    let volumes = blocking(local.cloud, LocalCloud::volumes).await?;
    Ok(Answer::items(KIND, volumes.iter().map(shown).collect()))
}

/// A new volume that belongs to no node.
#[utoipa::path(post, path = "/volumes", tag = "local",
    request_body = VolumeRequest,
    responses((status = 200, body = Answered<LocalVolume>)))]
pub async fn make(
    State(local): State<Local>,
    Sent(new): Sent<VolumeRequest>,
) -> Result<Answer<LocalVolume>, Failure> {
    let zone = Zone(new.zone);
    let work =
        move |cloud: &LocalCloud| cloud.make_volume(&zone, new.size_gib, new.mount.as_deref());
    let volume = blocking(local.cloud, work).await?;
    Ok(Answer::item(KIND, shown(&volume)))
}

/// Attaches a volume to a node's instance.
#[utoipa::path(post, path = "/volumes/{id}/attach", tag = "local",
    params(("id" = String, Path, description = "The volume's id")),
    request_body = AttachmentRequest,
    responses((status = 200, body = Answered<VolumeMount>)))]
pub async fn attach(
    State(local): State<Local>,
    Path(id): Path<String>,
    Sent(to): Sent<AttachmentRequest>,
) -> Result<Answer<VolumeMount>, Failure> {
    let holder = instance(&local.handle, &NodeId(to.node_id))?;
    let work = move |cloud: &LocalCloud| cloud.attach_by_hand(&VolumeId(id), &holder, &to.device);
    let mount = blocking(local.cloud, work).await?;
    Ok(Answer::item("holdfast:local:attachment", VolumeMount { mount }))
}

/// Takes a volume away from the instance that holds it.
#[utoipa::path(post, path = "/volumes/{id}/detach", tag = "local",
    params(("id" = String, Path, description = "The volume's id")),
    responses((status = 200, body = Status)))]
pub async fn detach(State(local): State<Local>, Path(id): Path<String>) -> Result<Answer, Failure> {
    blocking(local.cloud, move |cloud| cloud.detach_by_hand(&VolumeId(id))).await?;
    Ok(Answer::done())
}

/// Deletes a free volume that belongs to no node.
#[utoipa::path(delete, path = "/volumes/{id}", tag = "local",
    params(("id" = String, Path, description = "The volume's id")),
    responses((status = 200, body = Status)))]
pub async fn remove(State(local): State<Local>, Path(id): Path<String>) -> Result<Answer, Failure> {
    blocking(local.cloud, move |cloud| cloud.delete_by_hand(&VolumeId(id))).await?;
    Ok(Answer::done())
}
