//! Volumes: made, attached, detached, deleted.

use super::{Answer, gone};
use crate::config::ZONES;
use crate::events::Event;
use crate::faults::Class;
use crate::latency::{Latency, subject, subject_of};
use crate::refusal::{conflict, refused};
use crate::world::World;
use holdfast_model::facts::{Attachment, InstanceState, SnapshotState, VolumeFact, VolumeState};
use holdfast_model::{Command, InstanceId, NodeId, VolumeId, tags};

/// EC2's smallest and largest gp3 volume in GiB (EBS user guide, "General Purpose SSD volumes").
const SIZE: std::ops::RangeInclusive<u32> = 1..=16_384;

impl World {
    pub(crate) fn create_volume(&mut self, command: &Command) -> Answer {
        let Command::CreateVolume { token, zone, size_gib, snapshot, settings, tags } = command
        else {
            return Err(refused("InvalidAction", "not a volume's creation"));
        };
        if let Some(id) = self.same_request(command, token)? {
            return self.showing(&[&id]);
        }
        if !ZONES.contains(&zone.as_str()) {
            let message = format!("there is no zone {zone}; use one of {}", ZONES.join(", "));
            return Err(refused("InvalidZone.NotFound", message));
        }
        if !SIZE.contains(size_gib) {
            let message = format!("{size_gib} GiB; a volume has 1 to 16384 GiB");
            return Err(refused("InvalidParameterValue", message));
        }
        let (content, fs_uuid) = match snapshot {
            None => <_>::default(),
            Some(id) => {
                let source = self.known_snapshot(id)?;
                if source.fact.state != SnapshotState::Completed {
                    let message = format!("{id} is not complete yet");
                    return Err(conflict("IncorrectState", message));
                }
                if *size_gib < source.size_gib {
                    let message = format!("{id} needs at least {} GiB", source.size_gib);
                    return Err(refused("InvalidParameterValue", message));
                }
                (source.content.clone(), source.fs_uuid.clone())
            }
        };
        let fs_uuid = match fs_uuid {
            Some(uuid) => uuid,
            None => self.new_uuid(),
        };
        let id = VolumeId(self.new_id("vol"));
        let fact = VolumeFact {
            id: id.clone(),
            state: VolumeState::Creating,
            zone: zone.clone(),
            size_gib: *size_gib,
            attached_to: None,
            attachment_settled: false,
            snapshot: snapshot.clone(),
            fs_uuid: Some(fs_uuid),
            tags: tags.clone(),
        };
        self.add_volume(fact, content);
        self.volume_settings.insert(id.clone(), settings.clone());
        self.remember(command, token, id.as_str());
        let made_at = self.ends(Latency::VolumeCreating, &subject_of(tags, id.as_str()));
        self.events.add(made_at, Event::VolumeMade(id.clone()));
        self.showing(&[id.as_str()])
    }

    pub(crate) fn attach_volume(&mut self, id: &VolumeId, to: &InstanceId, device: &str) -> Answer {
        let volume = self.known_volume(id)?;
        let instance = self.known_instance(to)?;
        let held = volume.fact.attached_to.clone();
        if let Some((holder, name)) = &held {
            if holder == to && name == device && !volume.detaching {
                return self.showing(&[id.as_str(), to.as_str()]);
            }
            if !self.config.attaches_twice {
                let message = format!("{id} is attached to {holder} as {name}; detach it first");
                return Err(conflict("VolumeInUse", message));
            }
        }
        match volume.fact.state {
            VolumeState::Available => {}
            VolumeState::InUse if self.config.attaches_twice => {}
            VolumeState::Creating => {
                return Err(conflict("IncorrectState", format!("{id} is still being made")));
            }
            other => {
                return Err(refused("IncorrectState", format!("{id} is {other:?}")));
            }
        }
        match instance.fact.state {
            InstanceState::Running => {}
            InstanceState::Pending => {
                return Err(conflict("IncorrectInstanceState", format!("{to} does not run yet")));
            }
            other => {
                let message = format!("{to} is {other:?} and takes no volume any more");
                return Err(refused("IncorrectInstanceState", message));
            }
        }
        if volume.fact.zone != instance.fact.zone {
            let message = format!(
                "{id} lies in {}, {to} in {}; restore a snapshot there",
                volume.fact.zone, instance.fact.zone
            );
            return Err(refused("InvalidVolume.ZoneMismatch", message));
        }
        if let Some(taken) = instance.fact.attachments.iter().find(|a| a.device == device) {
            let message = format!("{device} of {to} is {}", taken.volume);
            return Err(conflict("InvalidParameterValue", message));
        }
        let kind = self.config.instance_type(&instance.fact.instance_type);
        let limit = kind.map_or(u32::MAX, |k| k.offered.attachment_limit);
        // Interfaces count too.
        if instance.fact.attachments.len() + 1 + instance.secondary.len() >= limit as usize {
            let message = format!("{to} holds {limit} volumes and interfaces already");
            return Err(refused("AttachmentLimitExceeded", message));
        }
        if let Some((holder, _)) = held {
            self.check_one_writer(id, &holder, to);
        }
        if let Some(instance) = self.instance_mut(to) {
            instance.fact.attachments.push(Attachment {
                device: device.to_owned(),
                volume: id.clone(),
                delete_on_termination: false,
            });
        }
        if let Some(volume) = self.volume_mut(id) {
            volume.fact.state = VolumeState::InUse;
            volume.fact.attached_to = Some((to.clone(), device.to_owned()));
            volume.fact.attachment_settled = false;
        }
        let attached_at = self.slowly(
            Class::SlowAttach,
            Latency::Attaching,
            &self.attachment(id, to),
            id.as_str(),
        );
        self.events.add(attached_at, Event::Attached(id.clone(), to.clone()));
        self.showing(&[id.as_str(), to.as_str()])
    }

    /// What an attachment's latency is about: the volume's part of the node, in the generation of
    /// the instance.
    fn attachment(&self, id: &VolumeId, instance: &InstanceId) -> String {
        let tags = self.volumes.get(id).map(|v| &v.fact.tags);
        let role = tags.and_then(|t| t.get(tags::ROLE)).map_or("volume", String::as_str);
        let tags = self.instances.get(instance).map(|i| &i.fact.tags);
        let of = |name: &str| tags.and_then(|t| t.get(name)).map(String::as_str);
        let generation = of(tags::GENERATION).and_then(|g| g.parse().ok());
        match (of(tags::NODE), generation) {
            (Some(node), Some(generation)) => subject(node, role, generation),
            _ => format!("{id}/{instance}"),
        }
    }

    /// The ground truth looks at a volume that goes from one holder to the next.
    fn check_one_writer(&mut self, id: &VolumeId, holder: &InstanceId, next: &InstanceId) {
        let Some(other) = self.instances.get(holder).filter(|i| i.powered) else { return };
        if let Some(node) = other.fact.tags.get(tags::NODE) {
            let node = NodeId(node.clone());
            self.settle(holder);
            self.truth.two_writers_of_a_volume(self.now, &node, id, (holder, next));
        }
    }

    pub(crate) fn attached(&mut self, id: &VolumeId, to: &InstanceId) {
        let still = self.volumes.get(id).is_some_and(|v| {
            !v.detaching
                && !v.fact.attachment_settled
                && v.fact.attached_to.as_ref().is_some_and(|(holder, _)| holder == to)
        });
        if still && let Some(volume) = self.volume_mut(id) {
            volume.fact.attachment_settled = true;
        }
    }

    pub(crate) fn detach_volume(&mut self, id: &VolumeId, from: &InstanceId) -> Answer {
        let volume = self.known_volume(id)?;
        let Some((holder, device)) = volume.fact.attached_to.clone() else {
            return self.showing(&[id.as_str()]);
        };
        if &holder != from {
            let message = format!("{id} is attached to {holder}, not to {from}");
            return Err(refused("IncorrectState", message));
        }
        if volume.detaching {
            return self.showing(&[id.as_str()]);
        }
        let is_root = self.instances.get(from).is_some_and(|i| i.fact.root_device == device);
        if is_root {
            let message = format!("{id} is the root of {from}; terminate the instance");
            return Err(refused("OperationNotPermitted", message));
        }
        if !self.config.detaches_by_force {
            self.unmount(from, id);
        }
        if let Some(volume) = self.volume_mut(id) {
            volume.detaching = true;
            volume.fact.attachment_settled = false;
        }
        let detached_at = self.slowly(
            Class::SlowDetach,
            Latency::Detaching,
            &self.attachment(id, from),
            id.as_str(),
        );
        self.events.add(detached_at, Event::Detached(id.clone(), from.clone()));
        self.showing(&[id.as_str()])
    }

    pub(crate) fn detached(&mut self, id: &VolumeId, from: &InstanceId) {
        let still = self.volumes.get(id).is_some_and(|v| {
            v.detaching && v.fact.attached_to.as_ref().is_some_and(|(holder, _)| holder == from)
        });
        if !still {
            return;
        }
        if let Some(volume) = self.volume_mut(id) {
            volume.detaching = false;
            volume.fact.attached_to = None;
            volume.fact.state = VolumeState::Available;
        }
        if let Some(instance) = self.instance_mut(from) {
            instance.fact.attachments.retain(|a| &a.volume != id);
        }
    }

    pub(crate) fn delete_volume(&mut self, id: &VolumeId) -> Answer {
        if self.veil.hides(id.as_str(), self.now) {
            self.known_volume(id)?;
        }
        let Some(volume) = self.volumes.get(id) else { return gone(id.as_str()) };
        match volume.fact.state {
            VolumeState::Deleting => return gone(id.as_str()),
            VolumeState::Available | VolumeState::Error => {}
            VolumeState::Creating => {
                return Err(conflict("IncorrectState", format!("{id} is still being made")));
            }
            VolumeState::InUse => {
                return Err(conflict("VolumeInUse", format!("{id} is in use; detach it first")));
            }
        }
        self.remove_volume(id, true);
        gone(id.as_str())
    }

    /// Deletes a volume. `ours`: by a call of Holdfast's, so that the ground truth asks whether
    /// it was the last copy.
    pub(crate) fn remove_volume(&mut self, id: &VolumeId, ours: bool) {
        let Some(volume) = self.volumes.get(id) else { return };
        let content = volume.content.clone();
        self.drop_copy(id.as_str(), &content, ours);
        if let Some(volume) = self.volume_mut(id) {
            volume.fact.state = VolumeState::Deleting;
        }
        let gone_at = self.ends(Latency::Deleting, id.as_str());
        self.events.add(gone_at, Event::VolumeGone(id.clone()));
    }

    /// Somebody else deletes a resource.
    pub(crate) fn delete_behind(&mut self, id: &str) {
        use holdfast_model::facts::ResourceKind as R;
        match R::of_id(id) {
            Some(R::Instance) => {
                self.power_cut(&InstanceId::from(id), "Client.UserInitiatedShutdown: from outside");
            }
            Some(R::Volume) => self.remove_volume(&VolumeId::from(id), false),
            Some(R::Snapshot) => self.remove_snapshot(&id.into(), false),
            Some(R::Image) => self.remove_image(&id.into()),
            Some(R::Interface) => {
                let id = id.into();
                if let Some(interface) = self.interfaces.get(&id) {
                    self.truth.interface_deleted(&interface.fact.mac);
                }
                self.remove_interface(&id);
            }
            None => {}
        }
    }
}
