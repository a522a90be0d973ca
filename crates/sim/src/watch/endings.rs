//! Ends of instances: when the termination of a node's instance leaves, no volume that is kept
//! would die with it.
//!
//! EC2 has no request that sets this and ends the instance at once, so somebody who sets it back in
//! between wins. That is no fault of the controller's if its own request was carried out for that
//! volume shortly before: [`JUST_NOW`], twice as long for each attempt of it that came too late.

use holdfast_cloud_sim::SimCloud;
use holdfast_model::facts::{Attachment, Fact, InstanceState};
use holdfast_model::record::{DataHead, RootHead};
use holdfast_model::time::SECOND;
use holdfast_model::{Command, InstanceId, NodeId, Record, Row, Time};
use std::collections::BTreeMap;

/// How long before a termination it may have been set that volumes outlive the instance: ten seconds
/// until that is answered, and two until the termination leaves.
pub const JUST_NOW: u64 = 12 * SECOND;
/// How many times that doubles at most.
const DOUBLINGS: u32 = 6;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Endings {
    /// When the controller last set that volumes outlive an instance, and for which devices.
    set: BTreeMap<NodeId, (InstanceId, Vec<String>, Time)>,
}

impl Endings {
    /// A call was carried out.
    pub(super) fn done(&mut self, now: Time, node: &NodeId, command: &Command) {
        if let Command::SetDeleteOnTermination { instance, devices, value: false } = command {
            self.set.insert(node.clone(), (instance.clone(), devices.clone(), now));
        }
    }

    /// A call leaves: what is wrong with that.
    pub(super) fn leaves(
        &self,
        now: Time,
        record: &Record,
        command: &Command,
        cloud: &SimCloud,
    ) -> Option<String> {
        let Command::TerminateInstances { instance } = command else { return None };
        if record.instance.as_ref().is_none_or(|holder| &holder.id != instance) {
            return None;
        }
        let Some(Fact::Instance(seen)) = cloud.truly(instance.as_str()) else { return None };
        if seen.state > InstanceState::Running {
            return None;
        }
        let attempt =
            record.row(Row::Stop).and_then(|row| row.calls.get("keep")).map(|c| c.attempt);
        let most = JUST_NOW << attempt.unwrap_or(1).saturating_sub(1).min(DOUBLINGS);
        let was_set = |held: &Attachment| {
            self.set.get(&record.id).is_some_and(|(of, devices, at)| {
                of == instance && devices.contains(&held.device) && now.since(*at) <= most
            })
        };
        let mut dies = seen.attachments.iter().filter(|a| a.delete_on_termination);
        let dies = dies.find(|held| is_kept(record, held) && !was_set(held))?;
        Some(format!("{instance} is ended, and {} ({}) dies with it", dies.volume, dies.device))
    }

    /// The node is gone.
    pub(super) fn forget(&mut self, node: &NodeId) {
        self.set.remove(node);
    }
}

/// Whether a volume is the node's to keep.
fn is_kept(record: &Record, held: &Attachment) -> bool {
    let is_root = matches!(
        &record.identity.root,
        RootHead::Live { kept: true, volume: Some(volume), .. } if volume == &held.volume
    );
    let document = record.work.as_ref().map_or(&record.document, |r| &r.document);
    let keeps_data = document.spec().is_ok_and(|spec| spec.persistence.data.is_some());
    let is_it = |head: &DataHead| matches!(head, DataHead::Volume { id, .. } if id == &held.volume);
    is_root
        || record
            .identity
            .data
            .iter()
            .any(|d| is_it(&d.head) && (keeps_data || d.user_attached.is_some()))
}
