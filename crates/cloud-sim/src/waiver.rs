//! What a user has knowingly given up, and exactly how much of it: a return to an earlier content,
//! a deletion that selects some kinds of resources, another address. Beyond that the ground truth
//! asks for everything, as ever.

use crate::cloud::SimCloud;
use crate::resources::Lineage;
use crate::writes::Writes;
use holdfast_model::time::HOUR;
use holdfast_model::user::Deallocation;
use holdfast_model::{ImageId, NodeId, SnapshotId, Time, VolumeId};
use std::collections::BTreeMap;

/// The most that one count takes off the time of grace (ARCHITECTURE.md, "What was not selected
/// outlives its grace"): a clock that jumps costs so much of it, and no more.
const COUNTED_AT_ONCE: u64 = HOUR;

/// A content that a device may begin with again.
#[derive(Debug, Clone)]
struct Return {
    why: &'static str,
    /// What must be there at least.
    least: Writes,
    /// Whether it stands in the place of the newest, so that the next gate opens on it.
    placed: bool,
}

/// What a deletion lets go.
#[derive(Debug, Clone)]
struct Deletion {
    flags: Deallocation,
    /// From when on the rest may go too, once that is known.
    rest_from: Option<Time>,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waivers {
    returns: BTreeMap<Lineage, Vec<Return>>,
    deletions: BTreeMap<NodeId, Deletion>,
    /// Private addresses that nodes may change to, oldest first: an interface may be made with each.
    addresses: BTreeMap<NodeId, Vec<String>>,
}

impl Waivers {
    /// Whether a user accepts that a gate opens without these writes of a device.
    pub(crate) fn may_lack(&self, lineage: &Lineage, lost: &Writes) -> bool {
        let returns = self.returns.get(lineage).into_iter().flatten();
        // All of what the chosen content holds must be there.
        returns.filter(|r| r.placed).any(|r| r.least.without(lost) == r.least)
    }

    /// A gate has opened: what was chosen is the newest content from here on. Returns the devices
    /// that may have another filesystem by that.
    pub(crate) fn opened(&mut self, node: &NodeId) -> Vec<String> {
        let mut devices = Vec::new();
        for ((owner, device), returns) in &mut self.returns {
            if owner == node && returns.iter().any(|r| r.placed) {
                returns.retain(|r| !r.placed);
                devices.push(device.clone());
            }
        }
        self.returns.retain(|_, returns| !returns.is_empty());
        devices
    }

    /// Whether a deletion that its user asked for lets this copy go.
    pub(crate) fn lets_go(&self, lineage: &Lineage, id: &str, at: Time) -> bool {
        let Some(deletion) = self.deletions.get(&lineage.0) else { return false };
        let selected = if id.starts_with("snap-") {
            deletion.flags.should_delete_snapshots
        } else {
            deletion.flags.should_delete_volumes
        };
        selected || deletion.rest_from.is_some_and(|from| at >= from)
    }

    /// Whether the node may have this private address from now on.
    pub(crate) fn may_move(&mut self, node: &NodeId, address: Option<&String>) -> bool {
        let Some(chosen) = self.addresses.get_mut(node) else { return false };
        let Some(at) = chosen.iter().position(|one| Some(one) == address) else { return false };
        // It never goes back to one before.
        chosen.drain(..=at);
        true
    }

    fn end(&mut self, node: &NodeId) {
        self.returns.retain(|(owner, _), _| owner != node);
        self.deletions.remove(node);
        self.addresses.remove(node);
    }
}

impl SimCloud {
    /// The writes of a device that a volume, a snapshot or the snapshot of an image holds.
    fn held_of(&self, lineage: &Lineage, id: &str) -> Option<&Writes> {
        let world = &self.world;
        let image = world.images.get(&ImageId::from(id)).and_then(|i| i.fact.snapshot.clone());
        let snapshot = image.unwrap_or_else(|| SnapshotId::from(id));
        let volume = world.volumes.get(&VolumeId::from(id)).map(|v| &v.content);
        let content = volume.or_else(|| world.snapshots.get(&snapshot).map(|s| &s.content))?;
        (content.owner.as_ref() == Some(lineage)).then_some(&content.writes)
    }

    /// The user accepts that a device begins with the content of this snapshot, image or volume again,
    /// or with nothing, once it stands in the place of the newest ([`SimCloud::has_returned`]).
    pub fn may_return(&mut self, node: &NodeId, device: &str, to: Option<&str>, why: &'static str) {
        let lineage = (node.clone(), device.to_owned());
        let held = to.and_then(|id| self.held_of(&lineage, id));
        let least = held.cloned().unwrap_or_default();
        let returns = self.world.truth.waivers.returns.entry(lineage).or_default();
        returns.push(Return { why, least, placed: false });
    }

    /// What was chosen for this reason stands in the place of the newest content.
    pub fn has_returned(&mut self, node: &NodeId, why: &str) {
        for ((owner, _), returns) in &mut self.world.truth.waivers.returns {
            let chosen = returns.iter_mut().filter(|r| owner == node && r.why == why);
            chosen.for_each(|r| r.placed = true);
        }
    }

    /// The user no longer wants what was chosen for this reason and is not in its place.
    pub fn returns_no_more(&mut self, node: &NodeId, why: &str) {
        for ((owner, _), returns) in &mut self.world.truth.waivers.returns {
            returns.retain(|r| owner != node || r.why != why || r.placed);
        }
    }

    /// The user deletes one volume of a node, with what is on it: nothing acknowledged on that
    /// device until now is asked for any more.
    pub fn gives_up_device(&mut self, now: Time, node: &NodeId, device: &str) {
        self.settle(now, node);
        self.world.truth.forget_device(node, device);
    }

    /// The user gives a node up: what the flags select may go at once.
    pub fn gives_up_node(&mut self, node: &NodeId, flags: Deallocation) {
        let deletion = Deletion { flags, rest_from: None };
        self.world.truth.waivers.deletions.insert(node.clone(), deletion);
    }

    /// A node's deletion has been carried out: the rest may go when its grace is over.
    pub fn keeps_rest_until(&mut self, node: &NodeId, end: Time) {
        if let Some(deletion) = self.world.truth.waivers.deletions.get_mut(node) {
            deletion.rest_from.get_or_insert(end);
        }
    }

    /// The controller's clock has jumped: that may cost everything that waits some of its grace.
    pub fn clock_has_jumped(&mut self) {
        for deletion in self.world.truth.waivers.deletions.values_mut() {
            let from = &mut deletion.rest_from;
            *from = from.map(|at| Time(at.0.saturating_sub(COUNTED_AT_ONCE)));
        }
    }

    /// The user takes a deletion back.
    pub fn takes_node_back(&mut self, node: &NodeId) {
        self.world.truth.waivers.deletions.remove(node);
    }

    /// The user chooses another private address, which the node has from its next replacement on.
    pub fn may_move_to(&mut self, node: &NodeId, address: &str) {
        let addresses = &mut self.world.truth.waivers.addresses;
        addresses.entry(node.clone()).or_default().push(address.to_owned());
    }

    /// Nothing of a node is asked for any more.
    pub fn is_nobodys(&mut self, node: &NodeId) {
        self.world.truth.release(node);
        self.world.truth.waivers.end(node);
    }

    /// What of the writes that are asked for of a device a snapshot, an image or a volume lacks; `None` if it
    /// holds nothing of that device.
    #[must_use]
    pub fn lacks(&self, node: &NodeId, device: &str, id: &str) -> Option<u64> {
        let lineage = (node.clone(), device.to_owned());
        let held = self.held_of(&lineage, id)?;
        Some(self.world.truth.asked_for(&lineage).without(held).count())
    }
}
