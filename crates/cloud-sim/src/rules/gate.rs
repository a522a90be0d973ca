//! What the agent inside a node does: it drains the workload, and it holds the gate.

use super::Answer;
use crate::events::Event;
use crate::latency::Latency;
use crate::refusal::{conflict, refused};
use crate::truth::Shown;
use crate::world::World;
use holdfast_model::command::Mount;
use holdfast_model::facts::InstanceState;
use holdfast_model::{CloudError, InstanceId, InterfaceId, NodeId, Reply, Time, VolumeId, tags};

impl World {
    /// Runs the shutdown script, once. The answer comes when it ends or its time is over, and
    /// carries no facts: by then the instance may be gone.
    pub(crate) fn drain(&mut self, id: &InstanceId, timeout_ms: u64) -> (Answer, Option<Time>) {
        let (running, has_script, draining) = match self.known_instance(id) {
            Ok(i) => (i.fact.state == InstanceState::Running, i.has_script, i.draining),
            Err(e) => return (Err(e), None),
        };
        if !running {
            let message = format!("{id} does not run; there is nobody to run its shutdown script");
            return (Err(conflict("IncorrectInstanceState", message)), None);
        }
        if !has_script {
            return (self.showing(&[id.as_str()]), None);
        }
        let end = match draining {
            Some((end, _)) => end,
            None => {
                let subject = self.of_instance(id);
                let takes = Latency::Drain.draw(&self.config, self.seed, &subject);
                let end = self.now.plus(takes.min(timeout_ms));
                if let Some(instance) = self.instances.get_mut(id) {
                    instance.draining = Some((end, takes <= timeout_ms));
                }
                self.events.add(end, Event::Drained(id.clone()));
                end
            }
        };
        (Ok(Reply { facts: Vec::new(), gone: Vec::new() }), Some(end))
    }

    pub(crate) fn drained(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get(id) else { return };
        let ended_well = instance.draining.is_some_and(|(_, well)| well);
        if !instance.powered || instance.fact.state != InstanceState::Running {
            return;
        }
        if ended_well {
            self.end_workload(id);
        }
        if let Some(instance) = self.instance_mut(id) {
            instance.fact.drained = true;
        }
    }

    pub(crate) fn open_gate(
        &mut self,
        id: &InstanceId,
        manifest: &[Mount],
        known_by: Option<&InterfaceId>,
    ) -> Answer {
        let instance = self.known_instance(id)?;
        let answers = instance.fact.state == InstanceState::Running
            && instance.powered
            && instance.answers_at.is_some_and(|at| at <= self.now);
        if !answers {
            let message = format!("{id} is {:?}; its agent does not answer", instance.fact.state);
            return Err(conflict("IncorrectInstanceState", message));
        }
        for member in manifest {
            self.check_mount(id, member)?;
        }
        if let Some(interface) = known_by {
            let held = self.interfaces.get(interface).is_some_and(|i| {
                i.fact.attached_to.as_ref() == Some(id) && i.fact.attachment_settled
            });
            if !held {
                let message = format!("{interface} is not attached to {id}; attach it first");
                return Err(conflict("IncorrectState", message));
            }
        }
        let Some(instance) = self.instances.get_mut(id).filter(|i| !i.gate_open) else {
            return self.showing(&[id.as_str()]);
        };
        instance.gate_open = true;
        let root = instance.fact.root_device.clone();
        let root_volume = instance.fact.attachments.iter().find(|a| a.device == root);
        let mut disks: Vec<(String, VolumeId)> =
            root_volume.map(|a| (root.clone(), a.volume.clone())).into_iter().collect();
        disks.extend(manifest.iter().map(|m| (m.device.clone(), m.volume.clone())));
        if let Some(node) = instance.fact.tags.get(tags::NODE) {
            let node = NodeId(node.clone());
            self.check_opened(&node, id, &disks, manifest, known_by);
        }
        self.begin_workload(id, disks);
        let healthy_at = self.ends(Latency::Healthy, &self.of_instance(id));
        self.events.add(healthy_at, Event::Healthy(id.clone()));
        // Where the checks take no time they have passed already.
        self.advance(self.now);
        self.showing(&[id.as_str()])
    }

    fn check_mount(&self, id: &InstanceId, member: &Mount) -> Result<(), CloudError> {
        let volume = self.known_volume(&member.volume)?;
        let held = volume.fact.attachment_settled
            && volume
                .fact
                .attached_to
                .as_ref()
                .is_some_and(|(holder, device)| holder == id && device == &member.device);
        if !held {
            let message = format!(
                "{} is not attached to {id} as {}; attach it first",
                member.volume, member.device
            );
            return Err(conflict("IncorrectState", message));
        }
        if let Some(wanted) = &member.fs_uuid
            && volume.fact.fs_uuid.as_ref() != Some(wanted)
        {
            let message = format!(
                "{} holds another filesystem than {wanted}; attach the right volume",
                member.volume
            );
            return Err(refused("FilesystemMismatch", message));
        }
        Ok(())
    }

    /// The ground truth looks at a generation that is about to serve.
    fn check_opened(
        &mut self,
        node: &NodeId,
        id: &InstanceId,
        disks: &[(String, VolumeId)],
        manifest: &[Mount],
        known_by: Option<&InterfaceId>,
    ) {
        self.settle_node(node);
        let at = self.now;
        self.truth.two_writers(at, node, id);
        let volumes = &self.volumes;
        self.truth.acknowledged_write_lost(at, node, id, |device| {
            let (_, volume) = disks.iter().find(|(d, _)| d == device)?;
            let volume = volumes.get(volume)?;
            let owner = (node.clone(), device.to_owned());
            let ours = volume.content.owner.as_ref() == Some(&owner);
            let writes = if ours { volume.content.writes.clone() } else { <_>::default() };
            Some((volume.fact.id.to_string(), writes))
        });
        let mut shown = Shown::default();
        for (device, volume) in disks {
            let fs_uuid = self.volumes.get(volume).and_then(|v| v.fact.fs_uuid.clone());
            let mount = manifest.iter().find(|m| &m.device == device);
            let target = mount.map_or_else(|| "/".to_owned(), |m| m.target.clone());
            shown.disks.insert(device.clone(), (fs_uuid, target));
        }
        if let Some(instance) = self.instances.get(id) {
            let first = known_by.or(instance.fact.interface.as_ref());
            if let Some(primary) = first.and_then(|i| self.interfaces.get(i)) {
                shown.private_ip = Some(primary.fact.private_ip.clone());
                shown.mac = Some(primary.fact.mac.clone());
                shown.public_ip = primary.fact.association.as_ref().map(|a| a.public_ip.clone());
            }
            let others = instance.secondary.iter().filter(|i| Some(*i) != first);
            for fact in others.filter_map(|i| self.interfaces.get(i)) {
                if let (true, Some(index)) = (fact.fact.attachment_settled, fact.fact.device_index)
                {
                    let address = (fact.fact.private_ip.clone(), fact.fact.mac.clone());
                    shown.interfaces.insert(index, address);
                }
            }
        }
        self.truth.identity_changed(at, node, shown);
    }
}
