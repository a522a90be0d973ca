//! The workload: a node whose gate is open writes to every volume of its manifest and to its root,
//! all the time. Nothing happens write by write: what was written by an instant is worked out when
//! somebody looks.

use crate::resources::{Content, Volume};
use crate::rng::SplitMix64;
use crate::truth::Truth;
use crate::world::World;
use crate::writes::Writes;
use holdfast_model::facts::VolumeState;
use holdfast_model::{InstanceId, NodeId, Time, VolumeId, tags};

/// A workload that runs.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub node: NodeId,
    /// Up to when its writes have been worked out.
    pub since: Time,
    /// Device names and the volumes behind them.
    pub disks: Vec<(String, VolumeId)>,
}

impl Content {
    /// Writes `first..=last`; everything up to `synced` is acknowledged thereby. Returns what is.
    fn write(&mut self, first: u64, last: u64, synced: u64) -> Writes {
        self.writes.add(first, last);
        self.tail.add(first, last);
        self.tail.take_up_to(synced)
    }

    /// Power is cut: of what was not acknowledged, only a beginning survives.
    pub(crate) fn cut(&mut self, rng: &mut SplitMix64) {
        let survives = rng.between(0, self.tail.count());
        let mut lost = std::mem::take(&mut self.tail);
        lost.take_first(survives);
        self.writes.remove_all(&lost);
    }

    /// What a snapshot begun now holds: as after a power cut.
    pub(crate) fn captured(&self, rng: &mut SplitMix64) -> Content {
        let mut content = self.clone();
        content.cut(rng);
        content
    }

    /// Everything reaches the volume; returns what is acknowledged thereby.
    fn flush(&mut self) -> Writes {
        std::mem::take(&mut self.tail)
    }
}

impl Volume {
    /// Whether what that instance writes reaches this volume.
    fn is_written_by(&self, id: &InstanceId) -> bool {
        self.fact.state == VolumeState::InUse
            && !self.detaching
            && self.fact.attached_to.as_ref().is_some_and(|(holder, _)| holder == id)
    }
}

impl World {
    /// Works out what an instance has written by now.
    pub(crate) fn settle(&mut self, id: &InstanceId) {
        let Some(workload) = self.instances.get_mut(id).and_then(|i| i.workload.as_mut()) else {
            return;
        };
        let interval = self.config.write_interval.max(1);
        let writes = self.now.since(workload.since) / interval;
        if writes == 0 {
            return;
        }
        workload.since = workload.since.plus(writes * interval);
        let (first, last) = self.truth.number(&workload.node, writes);
        let synced = last - last % self.config.ack_every.max(1);
        for (device, volume) in &workload.disks {
            let Some(volume) = self.volumes.get_mut(volume) else { continue };
            if volume.is_written_by(id) {
                let acknowledged = volume.content.write(first, last, synced);
                self.truth.acknowledge(&workload.node, device, &acknowledged);
            } else if self.config.detaches_by_force {
                // The workload does not know that its volume is no longer there.
                let mut acknowledged = crate::writes::Writes::default();
                acknowledged.add(first, synced);
                self.truth.acknowledge(&workload.node, device, &acknowledged);
            }
        }
    }

    /// How many writes of a node have been acknowledged by now, over all its devices; changes
    /// nothing.
    pub(crate) fn acknowledged_by_now(&self, node: &NodeId) -> u64 {
        let mut total = self.truth.acknowledged_of(node);
        let mut last = self.truth.last_number(node);
        for id in self.truth.serving(node) {
            let Some(workload) = self.instances.get(&id).and_then(|i| i.workload.as_ref()) else {
                continue;
            };
            let first = last + 1;
            last += self.now.since(workload.since) / self.config.write_interval.max(1);
            let synced = last - last % self.config.ack_every.max(1);
            for volume in workload.disks.iter().filter_map(|(_, v)| self.volumes.get(v)) {
                if volume.is_written_by(&id) {
                    let mut content = volume.content.clone();
                    total += content.write(first, last, synced).count();
                }
            }
        }
        total
    }

    /// Works out what every serving instance of a node has written by now.
    pub(crate) fn settle_node(&mut self, node: &NodeId) {
        for id in self.truth.serving(node) {
            self.settle(&id);
        }
    }

    /// The gate opens: the workload begins to write on its root and its manifest's volumes.
    pub(crate) fn begin_workload(&mut self, id: &InstanceId, disks: Vec<(String, VolumeId)>) {
        let now = self.now;
        let Some(instance) = self.instances.get_mut(id) else { return };
        let Some(node) = instance.fact.tags.get(tags::NODE) else { return };
        let node = NodeId(node.clone());
        for (device, volume) in &disks {
            let Some(volume) = self.volumes.get_mut(volume) else { continue };
            let lineage = (node.clone(), device.clone());
            if volume.content.owner.as_ref() != Some(&lineage) {
                // Another's content (a copy of another node, say) counts as none of this one's.
                if let Some(other) = volume.content.owner.take() {
                    self.truth.drop_holder(&other, volume.fact.id.as_str());
                }
                self.truth.add_holder(&lineage, volume.fact.id.as_str());
                volume.content = Content { owner: Some(lineage), ..Content::default() };
            }
        }
        instance.workload = Some(Workload { node: node.clone(), since: now, disks });
        self.truth.begins_to_serve(&node, id);
    }

    /// The shutdown script has ended well: everything is synced, nothing more is written.
    pub(crate) fn end_workload(&mut self, id: &InstanceId) {
        self.settle(id);
        let Some(workload) = self.instances.get_mut(id).and_then(|i| i.workload.take()) else {
            return;
        };
        for (device, volume) in &workload.disks {
            if let Some(volume) = self.volumes.get_mut(volume) {
                flush(&mut self.truth, &workload.node, device, &mut volume.content);
            }
        }
        self.truth.ends_to_serve(&workload.node, id);
    }

    /// The instance can run nothing any more; what was not acknowledged may be lost.
    pub(crate) fn cut_power(&mut self, id: &InstanceId) {
        self.settle(id);
        let Some(instance) = self.instances.get_mut(id) else { return };
        instance.powered = false;
        let Some(workload) = instance.workload.take() else { return };
        for (_, volume) in &workload.disks {
            if let Some(volume) = self.volumes.get_mut(volume) {
                volume.content.cut(&mut self.rng);
                if self.config.lies_about_syncing {
                    let last = volume.content.writes.highest().unwrap_or_default();
                    let kept = last.saturating_sub(self.config.ack_every);
                    volume.content.writes = volume.content.writes.take_up_to(kept);
                }
            }
        }
        self.truth.ends_to_serve(&workload.node, id);
    }

    /// A volume is taken out of a running system, which syncs it first.
    pub(crate) fn unmount(&mut self, id: &InstanceId, volume: &VolumeId) {
        self.settle(id);
        let workload = self.instances.get_mut(id).and_then(|i| i.workload.as_mut());
        let Some(workload) = workload else { return };
        let Some(at) = workload.disks.iter().position(|(_, v)| v == volume) else { return };
        let (device, _) = workload.disks.remove(at);
        if let Some(volume) = self.volumes.get_mut(volume) {
            flush(&mut self.truth, &workload.node, &device, &mut volume.content);
        }
    }
}

fn flush(truth: &mut Truth, node: &NodeId, device: &str, content: &mut Content) {
    let synced = content.flush();
    truth.acknowledge(node, device, &synced);
}
