//! An instance's life after its launch, to its end.

use super::{Answer, gone};
use crate::events::Event;
use crate::faults::Class;
use crate::latency::{Latency, subject_of};
use crate::refusal::refused;
use crate::world::{MAX_NOTICES, World};
use holdfast_cloud::Notice;
use holdfast_model::facts::{Attachment, InstanceState, VolumeState};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::{CloudError, InstanceId, NodeId, Time, tags};

impl World {
    /// What an instance's latencies are about.
    pub(crate) fn of_instance(&self, id: &InstanceId) -> String {
        let tags = self.instances.get(id).map(|i| &i.fact.tags);
        tags.map_or_else(|| id.to_string(), |tags| subject_of(tags, id.as_str()))
    }

    pub(crate) fn runs(&mut self, id: &InstanceId) {
        let answers_at = self.ends(Latency::Boot, &self.of_instance(id));
        if self.instances.get(id).is_none_or(|i| i.fact.state != InstanceState::Pending) {
            return;
        }
        let Some(instance) = self.instance_mut(id) else { return };
        instance.fact.state = InstanceState::Running;
        instance.answers_at = Some(answers_at);
        let volumes: Vec<_> = instance.fact.attachments.iter().map(|a| a.volume.clone()).collect();
        for volume in volumes {
            self.attached(&volume, id);
        }
        let primary = self.instances.get(id).and_then(|i| i.fact.interface.clone());
        if let Some(interface) = primary {
            self.interface_attached(&interface, id);
        }
    }

    /// The refusal of a request that names an instance which is not known yet.
    pub(crate) fn not_yet(&self, id: &InstanceId) -> Option<CloudError> {
        self.veil.hides(id.as_str(), self.now).then(|| self.known_instance(id).err()).flatten()
    }

    pub(crate) fn terminate(&mut self, id: &InstanceId) -> Answer {
        if self.veil.hides(id.as_str(), self.now) {
            self.known_instance(id)?;
        }
        let Some(instance) = self.instances.get(id) else {
            // It has been terminated for so long that it is no longer shown, or it never was.
            return gone(id.as_str());
        };
        if instance.lives() {
            if self.doomed.get(id) == Some(&false) {
                // It was not set back first.
                self.doomed.remove(id);
            }
            let at = self.slowly(
                Class::SlowTerminate,
                Latency::ShuttingDown,
                &self.of_instance(id),
                id.as_str(),
            );
            self.end(id, "Client.UserInitiatedShutdown: terminated by the user", at);
        }
        self.showing(&[id.as_str()])
    }

    fn end(&mut self, id: &InstanceId, reason: &str, terminated_at: Time) {
        if let Some(instance) = self.instance_mut(id) {
            instance.fact.state = InstanceState::ShuttingDown;
            instance.fact.reason = Some(reason.to_owned());
            self.events.add(terminated_at, Event::Terminated(id.clone()));
        }
    }

    /// Takes an instance back, with notice or without.
    pub(crate) fn interrupt(&mut self, id: &InstanceId, notice: Option<u64>) {
        let Some(notice) = notice else {
            self.power_cut(id, "Server.SpotInstanceTermination: taken back by the cloud");
            return;
        };
        if self.instances.get(id).is_none_or(|i| !i.lives()) {
            return;
        }
        let at = self.now.plus(notice);
        if let Some(instance) = self.instance_mut(id) {
            instance.fact.interruption_at = Some(at);
        }
        self.announce(id, at);
        self.events.add(at, Event::Interrupted(id.clone()));
    }

    /// A notice goes out; it may be lost, late, doubled, and beside one for somebody else.
    fn announce(&mut self, id: &InstanceId, at: Time) {
        let mut heard = self.ends(Latency::Notice, &self.of_instance(id));
        if self.faults.draw(Class::NoticeUnknown) {
            self.hit(Class::NoticeUnknown, id.as_str());
            let nobody = InstanceId(self.new_id("i"));
            self.events.add(heard, Event::Announced(nobody, at));
        }
        if self.faults.draw(Class::NoticeLost) {
            self.hit(Class::NoticeLost, id.as_str());
            return;
        }
        if self.faults.draw(Class::NoticeLate) {
            self.hit(Class::NoticeLate, id.as_str());
            heard = heard.plus(self.faults.between(Class::NoticeLate, SECOND, 4 * MINUTE));
        }
        if self.faults.draw(Class::NoticeDoubled) {
            self.hit(Class::NoticeDoubled, id.as_str());
            let again = self.faults.between(Class::NoticeDoubled, 0, 3 * MINUTE);
            self.events.add(heard.plus(again), Event::Announced(id.clone(), at));
        }
        self.events.add(heard, Event::Announced(id.clone(), at));
    }

    pub(crate) fn announced(&mut self, instance: InstanceId, at: Time) {
        if self.notices.len() < MAX_NOTICES {
            self.notices.push(Notice { instance, interruption_at: Some(at) });
        }
    }

    /// Power is gone from one instant to the next.
    pub(crate) fn power_cut(&mut self, id: &InstanceId, reason: &str) {
        self.cut_power(id);
        let at = self.ends(Latency::Cut, &self.of_instance(id));
        if self.instances.get(id).is_some_and(|i| i.lives()) {
            self.end(id, reason, at);
        }
    }

    pub(crate) fn terminated(&mut self, id: &InstanceId) {
        self.cut_power(id);
        let over = InstanceState::Terminated;
        if self.instances.get(id).is_none_or(|i| i.fact.state == over) {
            return;
        }
        let released_at =
            self.slowly(Class::SlowDetach, Latency::Release, &self.of_instance(id), id.as_str());
        let vanished_at = self.now.plus(self.config.terminated_shown).max(released_at);
        let Some(instance) = self.instance_mut(id) else { return };
        instance.fact.state = over;
        let volumes: Vec<_> = instance.fact.attachments.iter().map(|a| a.volume.clone()).collect();
        for volume in volumes {
            if let Some(volume) = self.volume_mut(&volume) {
                volume.fact.attachment_settled = false;
                volume.detaching = true;
            }
        }
        self.events.add(released_at, Event::Released(id.clone()));
        self.events.add(vanished_at, Event::Vanished(id.clone()));
    }

    /// Volumes and interface are free; what should die with the instance does.
    pub(crate) fn released(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        let secondary = std::mem::take(&mut instance.secondary);
        let attachments = std::mem::take(&mut instance.fact.attachments);
        let (interface, own) = (instance.fact.interface.take(), instance.own_interface);
        instance.fact.private_ip = None;
        let node = instance.fact.tags.get(tags::NODE).map(|node| NodeId(node.clone()));
        self.spared.remove(id);
        let doomed = node.filter(|_| self.doomed.remove(id).is_some());
        for attachment in attachments {
            let held = self.volumes.get(&attachment.volume).is_some_and(|v| {
                v.fact.attached_to.as_ref().is_some_and(|(holder, _)| holder == id)
            });
            if !held {
                continue;
            }
            if let Some(volume) = self.volume_mut(&attachment.volume) {
                volume.fact.attached_to = None;
                volume.detaching = false;
                volume.fact.state = VolumeState::Available;
            }
            if attachment.delete_on_termination {
                self.remove_volume(&attachment.volume, doomed.is_none());
                self.bereft.extend(doomed.clone());
            }
        }
        // An interface that was attached later outlives the instance (EC2 user guide, "Elastic
        // network interfaces": DeleteOnTermination of such an attachment is false).
        for interface in secondary {
            self.free_interface(&interface, id);
        }
        let Some(interface) = interface else { return };
        if own {
            self.remove_interface(&interface);
        } else {
            self.free_interface(&interface, id);
        }
    }

    /// Whether this is an instance that ends, or goes with one that does and has not let go of it
    /// yet: its own interface, a volume that dies with it. No call is needed for that, and none can
    /// hasten it.
    pub(crate) fn dies_by_itself(&self, id: &str) -> bool {
        let mut ending = self.instances.values().filter(|i| !i.lives());
        ending.any(|i| {
            let own =
                i.own_interface && i.fact.interface.as_ref().is_some_and(|e| e.as_str() == id);
            let dying = |a: &Attachment| a.delete_on_termination && a.volume.as_str() == id;
            i.fact.id.as_str() == id || own || i.fact.attachments.iter().any(dying)
        })
    }

    pub(crate) fn set_delete_on_termination(
        &mut self,
        id: &InstanceId,
        devices: &[String],
        value: bool,
    ) -> Answer {
        let instance = self.known_instance(id)?;
        if !instance.lives() {
            let message =
                format!("{id} is {:?}: its volumes can no longer be kept", instance.fact.state);
            return Err(refused("IncorrectInstanceState", message));
        }
        let unknown =
            |device: &&String| instance.fact.attachments.iter().all(|held| &held.device != *device);
        if let Some(device) = devices.iter().find(unknown) {
            let message = format!("{id} has no device {device}");
            return Err(refused("InvalidInstanceAttributeValue", message));
        }
        if !value {
            self.doomed.remove(id);
            self.spared.insert(id.clone());
        }
        if let Some(instance) = self.instance_mut(id) {
            for attachment in &mut instance.fact.attachments {
                if devices.contains(&attachment.device) {
                    attachment.delete_on_termination = value;
                }
            }
        }
        self.showing(&[id.as_str()])
    }
}
