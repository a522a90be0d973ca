//! Volumes that a user attached while the node ran: they belong to it from then on, as volumes of
//! the spec do, until their user detaches them and takes them away.
//!
//! They are seen on the instance, and read by id, for a sweep shows only what carries our tags. What
//! carries another node's or another installation's is never taken. Our tags are put on before
//! anything is done with such a volume, and taken off again when it has left; between two
//! replacements nothing is called.

use crate::context::desk::{Asked, Desk};
use holdfast_model::facts::{Attachment, InstanceFact, InstanceState, VolumeFact};
use holdfast_model::record::{DataHead, DataVolume, UserAttached};
use holdfast_model::spec::{DataVolumeSpec, MAX_DATA_VOLUMES};
use holdfast_model::{Command, EventCode, Known, Row, Spec, VolumeId, tags};

impl Desk<'_> {
    /// Every data volume of the node: those of the spec, then those that joined it.
    #[must_use]
    pub fn volumes(&self) -> Vec<DataVolumeSpec> {
        let mut all = self.spec.data.clone();
        for data in &self.record.identity.data {
            let Some(joined) = &data.user_attached else { continue };
            if all.iter().all(|volume| volume.device != data.device) {
                all.push(DataVolumeSpec {
                    device: data.device.clone(),
                    size_gib: joined.size_gib,
                    snapshot: None,
                    settings: serde_json::Map::new(),
                    mount: joined.mount.clone(),
                });
            }
        }
        all
    }
}

/// Looks, while the instance runs, whether a volume has joined the node or left it. True if one is
/// being looked at: then the instance should not be stopped yet.
pub(crate) fn notice(desk: &mut Desk<'_>) -> bool {
    let Some(holder) = desk.record.instance.clone() else { return false };
    let Known::Present(instance) = desk.scene.world.instance(holder.id.as_str()) else {
        return false;
    };
    if instance.state != InstanceState::Running {
        return false;
    }
    let instance = instance.clone();
    leave(desk, &instance);
    let mut looking = false;
    for attachment in &instance.attachments {
        looking |= join(desk, &instance, attachment);
    }
    looking
}

fn join(desk: &mut Desk<'_>, instance: &InstanceFact, attachment: &Attachment) -> bool {
    let Attachment { device, volume, delete_on_termination } = attachment;
    let record = &desk.record;
    let known = device == &instance.root_device
        || desk.spec.data.iter().any(|d| &d.device == device)
        || record.identity.data.iter().any(|d| &d.device == device || head_is(d, volume))
        || record.kept.pending_deletion.iter().any(|s| s.id == volume.as_str());
    // Where no data is kept, and where its user wants it to die with the instance, it stays theirs.
    let unwanted = desk.spec.persistence.data.is_none() || *delete_on_termination;
    if known || unwanted || desk.volumes().len() >= MAX_DATA_VOLUMES {
        return false;
    }
    let seen = match desk.scene.world.volume(volume.as_str()) {
        Known::Present(seen) => seen.clone(),
        Known::Absent | Known::Unknown => {
            desk.watch(volume.as_str(), format!("a look at {volume}, which was attached"));
            return true;
        }
    };
    if !is_for_us(desk, &seen) || !has_room(&seen) {
        return false;
    }
    let here = seen.attached_to.as_ref().is_some_and(|(id, d)| id == &instance.id && d == device);
    if !here || !seen.attachment_settled {
        desk.watch(volume.as_str(), format!("{volume} to be attached"));
        return true;
    }
    let mount = seen.tags.get(tags::MOUNT).cloned();
    let mount = mount.unwrap_or_else(|| Spec::default_mount(device));
    if desk.volumes().iter().any(|v| v.mount == mount) {
        return false;
    }
    desk.record.identity.detached_by_user.retain(|id| id != volume);
    desk.record.identity.data.push(DataVolume {
        device: device.clone(),
        head: DataHead::Volume { id: volume.clone(), zone: seen.zone.clone() },
        fs_uuid: seen.fs_uuid.clone(),
        restore: None,
        user_attached: Some(UserAttached {
            size_gib: seen.size_gib,
            mount: mount.clone(),
            since: desk.scene.now,
        }),
    });
    let message = format!(
        "{volume} was attached as {device}: it belongs to the node from now on, at {mount}"
    );
    desk.tell(EventCode::VolumeJoined, message);
    false
}

fn head_is(data: &DataVolume, volume: &VolumeId) -> bool {
    matches!(&data.head, DataHead::Volume { id, .. } if id == volume)
}

/// What carries nobody's tags, or this node's.
fn is_for_us(desk: &Desk<'_>, volume: &VolumeFact) -> bool {
    let of = |name: &str| volume.tags.get(name).map(String::as_str);
    let installation = desk.scene.installation.as_str();
    of(tags::INSTALLATION).is_none_or(|i| i == installation)
        && of(tags::NODE).is_none_or(|n| n == desk.record.id.as_str())
}

/// Whether our tags have room beside its user's: what cannot carry them cannot be known as ours.
fn has_room(volume: &VolumeFact) -> bool {
    let theirs = volume.tags.keys().filter(|key| !tags::OURS.contains(&key.as_str()));
    theirs.count() + tags::OURS.len() <= tags::MAX_TAGS
}

/// Volumes that joined, and that the instance positively holds no more.
fn leave(desk: &mut Desk<'_>, instance: &InstanceFact) {
    for data in desk.record.identity.data.clone() {
        let DataHead::Volume { id, .. } = &data.head else { continue };
        if data.user_attached.is_none() || instance.attachments.iter().any(|a| &a.volume == id) {
            continue;
        }
        match desk.scene.world.volume(id.as_str()) {
            Known::Present(v) if v.attached_to.as_ref().is_none_or(|(i, _)| i != &instance.id) => {
                desk.record.identity.detached_by_user.push(id.clone());
            }
            Known::Absent if desk.scene.world.last_seen(id.as_str()).is_some() => {}
            _ => {
                desk.watch.push(id.0.clone());
                continue;
            }
        }
        let message = format!("{id} was detached from {}: it is its user's again", data.device);
        desk.record.identity.data.retain(|d| d.device != data.device);
        desk.tell(EventCode::VolumeLeft, message);
    }
}

/// A node that keeps no data any more lets its joined volumes go, with what is on them.
pub(crate) fn let_go(desk: &mut Desk<'_>) {
    for data in desk.record.identity.data.clone() {
        if let (DataHead::Volume { id, .. }, Some(_)) = (&data.head, &data.user_attached) {
            desk.record.identity.detached_by_user.push(id.clone());
            desk.record.identity.data.retain(|d| d.device != data.device);
            let message = format!("data is not kept any more: {id} is its user's again");
            desk.tell(EventCode::VolumeLeft, message);
        }
    }
}

/// Puts our tags on volumes that joined and lack them. True once all have them.
pub(crate) fn tag(desk: &mut Desk<'_>) -> bool {
    let mut complete = true;
    for data in desk.record.identity.data.clone() {
        let (DataHead::Volume { id, .. }, Some(_)) = (&data.head, &data.user_attached) else {
            continue;
        };
        if let Known::Present(volume) = desk.scene.world.volume(id.as_str())
            && volume.tags.contains_key(tags::NODE)
        {
            continue;
        }
        complete = false;
        let resource = id.0.clone();
        let role = format!("data:{}", data.device);
        desk.ask(Row::Capture, &format!("tag:{id}"), |desk, token| {
            let mut tags = desk.tags(&role, &token);
            tags.retain(|key, _| !desk.spec.tags.contains_key(key));
            Command::CreateTags { resource, tags }
        });
        desk.watch(id.as_str(), format!("{id} to carry the node's tags"));
    }
    complete
}

/// Takes our tags off volumes that have left. True once none has any.
pub(crate) fn untag(desk: &mut Desk<'_>) -> bool {
    for id in desk.record.identity.detached_by_user.clone() {
        match desk.scene.world.volume(id.as_str()) {
            Known::Present(volume) if volume.tags.contains_key(tags::NODE) => {}
            Known::Present(_) | Known::Absent => {
                desk.record.identity.detached_by_user.retain(|left| left != &id);
                continue;
            }
            Known::Unknown => {}
        }
        let resource = id.0.clone();
        let asked = desk.ask(Row::Retire, &format!("untag:{id}"), |_, _| Command::DeleteTags {
            resource,
            keys: tags::OURS.map(str::to_owned).to_vec(),
        });
        if let Asked::Refused { .. } = asked {
            // It is its user's: if they have deleted it, there is nothing to take off.
            desk.record.identity.detached_by_user.retain(|left| left != &id);
            continue;
        }
        desk.watch(id.as_str(), format!("{id} to carry the node's tags no more"));
    }
    desk.record.identity.detached_by_user.is_empty()
}
