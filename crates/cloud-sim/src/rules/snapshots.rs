//! Snapshots: each holds what its volume held when it was begun.

use super::{Answer, gone};
use crate::events::Event;
use crate::faults::Class;
use crate::latency::{Latency, subject_of};
use crate::refusal::{conflict, error, refused};
use crate::resources::{Content, Snapshot};
use crate::world::World;
use holdfast_model::facts::{InstanceState, SnapshotFact, SnapshotState, VolumeState};
use holdfast_model::tags::Tags;
use holdfast_model::time::HOUR;
use holdfast_model::{CloudError, ErrorClass, InstanceId, Reply, SnapshotId, VolumeId};
use std::collections::BTreeSet;

/// How long a snapshot hangs that is stuck, in milliseconds.
const STUCK: (u64, u64) = (HOUR, 3 * HOUR);

impl World {
    /// Of an instance's volumes, at one instant: all or none. Takes no token.
    pub(crate) fn create_snapshots(
        &mut self,
        of: &InstanceId,
        exclude_boot: bool,
        exclude: &[VolumeId],
        tags: &Tags,
    ) -> Answer {
        let fact = &self.known_instance(of)?.fact;
        if fact.state != InstanceState::Running {
            let message = format!("{of} is {:?}, not running", fact.state);
            return Err(refused("IncorrectInstanceState", message));
        }
        let root = fact.root_device.clone();
        let volumes: Vec<VolumeId> = fact
            .attachments
            .iter()
            .filter(|a| !(exclude_boot && a.device == root))
            .filter(|a| !exclude.contains(&a.volume))
            .map(|a| a.volume.clone())
            .collect();
        if volumes.is_empty() {
            let message = format!("{of} has no volume that is not left out");
            return Err(refused("InvalidParameterValue", message));
        }
        self.has_room(volumes.len())?;
        for volume in &volumes {
            self.may_snapshot(volume)?;
        }
        let mut facts = Vec::new();
        for volume in &volumes {
            facts.extend(self.create_snapshot(volume, tags)?.facts);
        }
        Ok(Reply { facts, gone: Vec::new() })
    }

    /// Takes no token: repeated, it makes a second one.
    pub(crate) fn create_snapshot(&mut self, of: &VolumeId, tags: &Tags) -> Answer {
        self.may_snapshot(of)?;
        self.has_room(1)?;
        let volume = self.known_volume(of)?;
        if let Some((holder, _)) = volume.fact.attached_to.clone() {
            self.settle(&holder);
        }
        self.begin_snapshot(of, tags)
    }

    fn may_snapshot(&self, of: &VolumeId) -> Result<(), CloudError> {
        let volume = self.known_volume(of)?;
        if !matches!(volume.fact.state, VolumeState::Available | VolumeState::InUse) {
            let message = format!("{of} is {:?}", volume.fact.state);
            return Err(conflict("IncorrectState", message));
        }
        // EBS quotas: pending snapshots of a volume, and 15 s between two of them.
        let pending = volume.snapshots_pending;
        if pending >= self.config.snapshots_pending {
            let message = format!("{of} has {pending} snapshots under way; wait for one");
            return Err(conflict("ConcurrentSnapshotLimitExceeded", message));
        }
        let last = volume.last_snapshot;
        if last.is_some_and(|at| self.now.since(at) < self.config.snapshot_interval) {
            let message = format!("{of} had a snapshot just now; wait a little");
            let code = "SnapshotCreationPerVolumeRateExceeded";
            return Err(error(ErrorClass::Throttled, code, message));
        }
        Ok(())
    }

    /// EBS quotas: snapshots of an account in a region.
    fn has_room(&self, more: usize) -> Result<(), CloudError> {
        let most = self.config.snapshots_at_most;
        if self.snapshots.len().saturating_add(more) <= most {
            return Ok(());
        }
        let message = format!("{most} snapshots are all that this region may hold; delete some");
        Err(error(ErrorClass::Storage, "SnapshotLimitExceeded", message))
    }

    fn begin_snapshot(&mut self, of: &VolumeId, tags: &Tags) -> Answer {
        let id = SnapshotId(self.new_id("snap"));
        let fact = SnapshotFact {
            id: id.clone(),
            state: SnapshotState::Pending,
            volume: of.clone(),
            started_at: self.now,
            tags: tags.clone(),
        };
        let Some(volume) = self.volumes.get_mut(of) else { return self.showing(&[]) };
        volume.last_snapshot = Some(self.now);
        volume.snapshots_pending += 1;
        let content = volume.content.captured(&mut self.rng);
        let (size_gib, fs_uuid) = (volume.fact.size_gib, volume.fact.fs_uuid.clone());
        if let Some(owner) = &content.owner {
            self.truth.add_holder(owner, id.as_str());
        }
        self.snapshots
            .insert(id.clone(), Snapshot { fact: fact.into(), size_gib, fs_uuid, content });
        self.born(id.as_str());
        let mut made_at = self.slowly(
            Class::SlowSnapshot,
            Latency::Snapshot,
            &subject_of(tags, id.as_str()),
            id.as_str(),
        );
        // One that is taken of a volume which nobody holds is needed before anything goes on.
        let needed = self.volumes.get(of).is_some_and(|v| v.fact.attached_to.is_none());
        if needed && self.faults.draw(Class::StuckSnapshot) {
            let hangs = self.faults.between(Class::StuckSnapshot, STUCK.0, STUCK.1);
            made_at = self.now.plus(hangs);
            self.hit(Class::StuckSnapshot, id.as_str());
        }
        self.events.add(made_at, Event::SnapshotMade(id.clone()));
        self.showing(&[id.as_str()])
    }

    pub(crate) fn delete_snapshot(&mut self, id: &SnapshotId) -> Answer {
        if self.veil.hides(id.as_str(), self.now) {
            self.known_snapshot(id)?;
        }
        if let Some(image) = self.image_users.get(id).and_then(BTreeSet::first) {
            let message = format!("{id} is used by the image {image}; deregister that first");
            return Err(conflict("InvalidSnapshot.InUse", message));
        }
        self.remove_snapshot(id, true);
        gone(id.as_str())
    }

    pub(crate) fn remove_snapshot(&mut self, id: &SnapshotId, ours: bool) {
        let Some(snapshot) = self.snapshots.get(id) else { return };
        let complete = snapshot.fact.state == SnapshotState::Completed;
        let under_way = snapshot.fact.state == SnapshotState::Pending;
        let content = snapshot.content.clone();
        // One that is under way was no copy yet.
        self.drop_copy(id.as_str(), &content, ours && complete);
        if under_way {
            self.snapshot_ends(id);
        }
        self.snapshot_mut(id);
        self.snapshots.remove(id);
    }

    pub(crate) fn snapshot_made(&mut self, id: &SnapshotId) {
        self.snapshot_ends(id);
        let fails = self.snapshots.contains_key(id)
            && (self.faults.was_to_fail(id.as_str()) || self.faults.draw(Class::FailedSnapshot));
        if fails {
            self.hit(Class::FailedSnapshot, id.as_str());
        }
        if let Some(snapshot) = self.snapshot_mut(id) {
            snapshot.fact.state =
                if fails { SnapshotState::Error } else { SnapshotState::Completed };
        }
    }

    /// A snapshot is no longer under way.
    fn snapshot_ends(&mut self, id: &SnapshotId) {
        let volume = self.snapshots.get(id).map(|s| &s.fact.volume);
        if let Some(volume) = volume.and_then(|v| self.volumes.get_mut(v)) {
            volume.snapshots_pending = volume.snapshots_pending.saturating_sub(1);
        }
    }

    /// A copy of somebody's content goes.
    pub(crate) fn drop_copy(&mut self, id: &str, content: &Content, ours: bool) {
        let Some(lineage) = &content.owner else { return };
        self.settle_node(&lineage.0);
        self.truth.drop_holder(lineage, id);
        if !ours {
            return;
        }
        let holders: Vec<String> = self.truth.holders(lineage).map(str::to_owned).collect();
        let (volumes, snapshots) = (&self.volumes, &self.snapshots);
        let others = holders.iter().filter_map(|holder| {
            if let Some(volume) = volumes.get(&VolumeId::from(holder.as_str())) {
                return Some(&volume.content.writes);
            }
            let snapshot = snapshots.get(&SnapshotId::from(holder.as_str()))?;
            (snapshot.fact.state == SnapshotState::Completed).then_some(&snapshot.content.writes)
        });
        self.truth.last_copy_deleted(self.now, lineage, (id, &content.writes), others);
    }
}
