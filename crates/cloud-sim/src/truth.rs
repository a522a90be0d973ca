//! The ground truth: what was acknowledged to whom, where its copies are, and the checks of what
//! may never happen. Each check is a function, and names the invariant that it found broken.

use crate::resources::Lineage;
use crate::waiver::Waivers;
use crate::writes::Writes;
use holdfast_model::{InstanceId, Invariant, NodeId, Time, VolumeId};
use std::collections::{BTreeMap, BTreeSet};

/// The most violations that are kept; the first ones tell the story.
pub const MAX_VIOLATIONS: usize = 1_000;

/// Something that may never happen, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant.
    pub name: Invariant,
    /// When.
    pub at: Time,
    /// To which node.
    pub node: NodeId,
    /// What was seen.
    pub sentence: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {} of {}: {}", self.name, self.at.0, self.node, self.sentence)
    }
}

/// What a node shows of itself while it serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Shown {
    pub private_ip: Option<String>,
    pub mac: Option<String>,
    /// The Elastic IP that leads to the primary interface.
    pub public_ip: Option<String>,
    /// Private IP and MAC of the further interfaces, by device index.
    pub interfaces: BTreeMap<u32, (String, String)>,
    /// By device name: the filesystem and where it is mounted.
    pub disks: BTreeMap<String, (Option<String>, String)>,
}

#[derive(Debug, Clone, Default)]
struct Expectation {
    devices: BTreeSet<String>,
    address: bool,
    elastic_ip: bool,
    interfaces: BTreeSet<u32>,
    first: Option<Shown>,
}

/// The ground truth.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    expected: BTreeMap<NodeId, Expectation>,
    numbers: BTreeMap<NodeId, u64>,
    acknowledged: BTreeMap<Lineage, Writes>,
    /// Volumes and snapshots with content of a lineage.
    holders: BTreeMap<Lineage, BTreeSet<String>>,
    serving: BTreeMap<NodeId, BTreeSet<InstanceId>>,
    /// Nodes whose user wants an earlier content back: what the next gate lacks is no loss.
    returning: BTreeSet<NodeId>,
    /// What users have given up, and exactly how much.
    pub(crate) waivers: Waivers,
    violations: Vec<Violation>,
}

impl Truth {
    /// From now on the content of these devices of the node (by device name, the root's too) must
    /// never be lost, and their filesystems and mounts never change.
    pub fn expect<'a>(&mut self, node: &NodeId, devices: impl IntoIterator<Item = &'a str>) {
        let expectation = self.expected.entry(node.clone()).or_default();
        expectation.devices = devices.into_iter().map(str::to_owned).collect();
    }

    /// From now on the node's private IP and MAC must never change.
    pub fn expect_address(&mut self, node: &NodeId) {
        self.expected.entry(node.clone()).or_default().address = true;
    }

    /// From now on the node's Elastic IP must never change.
    pub fn expect_elastic_ip(&mut self, node: &NodeId) {
        self.expected.entry(node.clone()).or_default().elastic_ip = true;
    }

    /// From now on the interfaces with these device indices must never be missing, and their
    /// private IP and MAC never change.
    pub fn expect_interfaces(&mut self, node: &NodeId, indices: impl IntoIterator<Item = u32>) {
        self.expected.entry(node.clone()).or_default().interfaces = indices.into_iter().collect();
    }

    /// The user wants an earlier content of the node back: what the next gate opens on lacks is
    /// not lost but was given up.
    pub fn returns(&mut self, node: &NodeId) {
        self.returning.insert(node.clone());
        // Another content is another filesystem, perhaps.
        let first = self.expected.get_mut(node).and_then(|e| e.first.as_mut());
        if let Some(shown) = first {
            shown.disks.clear();
        }
    }

    /// From now on this device too must never be lost.
    pub fn expect_device(&mut self, node: &NodeId, device: &str) {
        if let Some(expectation) = self.expected.get_mut(node) {
            expectation.devices.insert(device.to_owned());
        }
    }

    /// This device is its user's own again, or nobody's.
    pub fn expect_no_device(&mut self, node: &NodeId, device: &str) {
        if let Some(expectation) = self.expected.get_mut(node) {
            expectation.devices.remove(device);
            if let Some(shown) = expectation.first.as_mut() {
                shown.disks.remove(device);
            }
        }
    }

    /// The user has accepted that an interface is lost, with its address: the next one is the
    /// node's from then on. Index 0 is the primary one.
    pub fn interface_given_up(&mut self, node: &NodeId, index: u32) {
        let Some(shown) = self.expected.get_mut(node).and_then(|e| e.first.as_mut()) else {
            return;
        };
        if index == 0 {
            (shown.private_ip, shown.mac) = (None, None);
        } else {
            shown.interfaces.remove(&index);
        }
    }

    /// Nothing of a device is asked for any more, until it is written to again.
    pub(crate) fn forget_device(&mut self, node: &NodeId, device: &str) {
        self.acknowledged.remove(&(node.clone(), device.to_owned()));
        if let Some(shown) = self.expected.get_mut(node).and_then(|e| e.first.as_mut()) {
            shown.disks.remove(device);
        }
    }

    /// What was acknowledged on a device and has not been given up.
    pub(crate) fn asked_for(&self, lineage: &Lineage) -> Writes {
        self.acknowledged.get(lineage).cloned().unwrap_or_default()
    }

    /// Somebody deleted an interface: what is made in its place has its private IP and another MAC.
    pub(crate) fn interface_deleted(&mut self, mac: &str) {
        for shown in self.expected.values_mut().filter_map(|e| e.first.as_mut()) {
            shown.mac.take_if(|known| known == mac);
            for (_, known) in shown.interfaces.values_mut().filter(|(_, known)| known == mac) {
                known.clear();
            }
        }
    }

    /// The user gave the node up: nothing of it need be kept any more.
    pub fn release(&mut self, node: &NodeId) {
        self.expected.remove(node);
    }

    /// What was broken so far, in order; at most [`MAX_VIOLATIONS`].
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How many writes of a node, over all its devices, were acknowledged, as far as they have been
    /// worked out.
    pub(crate) fn acknowledged_of(&self, node: &NodeId) -> u64 {
        let from = (node.clone(), String::new());
        let ours = self.acknowledged.range(from..).take_while(|((owner, _), _)| owner == node);
        ours.map(|(_, writes)| writes.count()).sum()
    }

    /// Whether any write was acknowledged on a device of the node that is to persist.
    #[must_use]
    pub fn has_kept(&self, node: &NodeId) -> bool {
        let Some(expectation) = self.expected.get(node) else { return false };
        expectation.devices.iter().any(|device| self.acknowledged(node, device) > 0)
    }

    /// What was acknowledged to a node, by device.
    pub(crate) fn acknowledged_ranges(&self, node: &NodeId) -> BTreeMap<String, Vec<(u64, u64)>> {
        let from = (node.clone(), String::new());
        let ours = self.acknowledged.range(from..).take_while(|((owner, _), _)| owner == node);
        ours.map(|((_, device), writes)| (device.clone(), writes.ranges().collect())).collect()
    }

    /// The number of a node's last write.
    pub(crate) fn last_number(&self, node: &NodeId) -> u64 {
        self.numbers.get(node).copied().unwrap_or_default()
    }

    /// How many writes of a device were acknowledged, as far as they have been worked out.
    #[must_use]
    pub fn acknowledged(&self, node: &NodeId, device: &str) -> u64 {
        let lineage = (node.clone(), device.to_owned());
        self.acknowledged.get(&lineage).map_or(0, Writes::count)
    }

    /// Whether these are all writes that were acknowledged on a device, as far as they have been
    /// worked out.
    pub(crate) fn is_held(&self, node: &NodeId, device: &str, writes: &Writes) -> bool {
        let lineage = (node.clone(), device.to_owned());
        self.acknowledged.get(&lineage).is_none_or(|acknowledged| writes.holds(acknowledged))
    }

    /// The instances whose gates are open and whose workloads write, in the order of their ids.
    #[must_use]
    pub fn serving(&self, node: &NodeId) -> Vec<InstanceId> {
        self.serving.get(node).into_iter().flatten().cloned().collect()
    }

    pub(crate) fn number(&mut self, node: &NodeId, writes: u64) -> (u64, u64) {
        let last = self.numbers.entry(node.clone()).or_default();
        let first = *last + 1;
        *last += writes;
        (first, *last)
    }

    pub(crate) fn acknowledge(&mut self, node: &NodeId, device: &str, writes: &Writes) {
        if !writes.is_empty() {
            let lineage = (node.clone(), device.to_owned());
            self.acknowledged.entry(lineage).or_default().add_all(writes);
        }
    }

    pub(crate) fn add_holder(&mut self, lineage: &Lineage, id: &str) {
        self.holders.entry(lineage.clone()).or_default().insert(id.to_owned());
    }

    pub(crate) fn drop_holder(&mut self, lineage: &Lineage, id: &str) {
        if let Some(ids) = self.holders.get_mut(lineage) {
            ids.remove(id);
        }
    }

    /// Ids of volumes and snapshots that hold content of a lineage.
    pub(crate) fn holders(&self, lineage: &Lineage) -> impl Iterator<Item = &str> {
        self.holders.get(lineage).into_iter().flatten().map(String::as_str)
    }

    pub(crate) fn begins_to_serve(&mut self, node: &NodeId, id: &InstanceId) {
        self.serving.entry(node.clone()).or_default().insert(id.clone());
    }

    pub(crate) fn ends_to_serve(&mut self, node: &NodeId, id: &InstanceId) {
        if let Some(ids) = self.serving.get_mut(node) {
            ids.remove(id);
        }
    }

    /// Something that may never happen was seen; also for what only a driver can see.
    pub fn broken(&mut self, name: Invariant, at: Time, node: &NodeId, sentence: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { name, at, node: node.clone(), sentence });
        }
    }

    /// Two generations of one node serve at once: asked when a gate opens.
    pub(crate) fn two_writers(&mut self, at: Time, node: &NodeId, opened: &InstanceId) {
        for other in self.serving(node) {
            if &other != opened {
                let sentence = format!("the gate of {opened} opened while {other} still serves");
                self.broken(Invariant::OneWriter, at, node, sentence);
            }
        }
    }

    /// A volume is given to an instance while another that still has power holds it: asked when a
    /// volume is attached.
    pub(crate) fn two_writers_of_a_volume(
        &mut self,
        at: Time,
        node: &NodeId,
        volume: &VolumeId,
        (holder, next): (&InstanceId, &InstanceId),
    ) {
        let sentence = format!("{volume} was attached to {next} while {holder} can write to it");
        self.broken(Invariant::OneWriter, at, node, sentence);
    }

    /// A newly opened gate serves from a volume that lacks writes acknowledged earlier on that
    /// device. `held` is the volume's id and content if it is of this lineage.
    pub(crate) fn acknowledged_write_lost(
        &mut self,
        at: Time,
        node: &NodeId,
        opened: &InstanceId,
        held: impl Fn(&str) -> Option<(String, Writes)>,
    ) {
        let given_up = self.returning.remove(node);
        let Some(expectation) = self.expected.get(node) else { return };
        for device in expectation.devices.clone() {
            let lineage = (node.clone(), device.clone());
            let Some(acknowledged) = self.acknowledged.get_mut(&lineage) else { continue };
            let (volume, content) =
                held(&device).unwrap_or_else(|| ("nothing".into(), <_>::default()));
            let lost = acknowledged.without(&content);
            if lost.is_empty() {
                continue;
            }
            // Told once: what is lost is no longer asked for.
            acknowledged.remove_all(&lost);
            if given_up || self.waivers.may_lack(&lineage, &lost) {
                continue;
            }
            let sentence = format!(
                "{opened} serves {device} from {volume}, which lacks {} acknowledged writes ({lost})",
                lost.count()
            );
            self.broken(Invariant::NoWriteLost, at, node, sentence);
        }
        let returned = self.waivers.opened(node);
        if let Some(shown) = self.expected.get_mut(node).and_then(|e| e.first.as_mut()) {
            // Another content is another filesystem, perhaps.
            shown.disks.retain(|device, _| !returned.contains(device));
        }
    }

    /// A deletion removes the only copy of the newest acknowledged content of a device that is to
    /// persist. `others` are the contents that are left.
    pub(crate) fn last_copy_deleted<'a>(
        &mut self,
        at: Time,
        lineage: &Lineage,
        deleted: (&str, &Writes),
        mut others: impl Iterator<Item = &'a Writes>,
    ) {
        let (node, device) = lineage;
        let persists = self.expected.get(node).is_some_and(|e| e.devices.contains(device));
        let Some(acknowledged) = self.acknowledged.get(lineage).filter(|a| !a.is_empty()) else {
            return;
        };
        let (id, content) = deleted;
        if self.waivers.lets_go(lineage, id, at) {
            return;
        }
        if persists && content.holds(acknowledged) && !others.any(|c| c.holds(acknowledged)) {
            let sentence = format!(
                "{id} was deleted, the only copy of all {} acknowledged writes of {device}",
                acknowledged.count()
            );
            self.broken(Invariant::LastCopyKept, at, node, sentence);
        }
    }

    /// The private IP, MAC, filesystem, device or mount of a node that is to keep them changed.
    pub(crate) fn identity_changed(&mut self, at: Time, node: &NodeId, now: Shown) {
        let Some(expectation) = self.expected.get_mut(node) else { return };
        let first = expectation.first.get_or_insert_with(|| now.clone());
        let mut changes = Vec::new();
        // An interface that was deleted from outside has no MAC that could be kept.
        if first.mac.is_none() {
            first.mac = now.mac.clone();
        }
        for (index, (_, mac)) in first.interfaces.iter_mut().filter(|(_, (_, mac))| mac.is_empty())
        {
            if let Some((_, new)) = now.interfaces.get(index) {
                mac.clone_from(new);
            }
        }
        if expectation.address {
            let given_up = first.private_ip.is_none();
            if given_up || self.waivers.may_move(node, now.private_ip.as_ref()) {
                first.private_ip.clone_from(&now.private_ip);
                first.mac.clone_from(&now.mac);
            }
            if first.private_ip != now.private_ip {
                changes
                    .push(format!("private IP {:?} became {:?}", first.private_ip, now.private_ip));
            }
            if first.mac != now.mac {
                changes.push(format!("MAC {:?} became {:?}", first.mac, now.mac));
            }
        }
        if expectation.elastic_ip && first.public_ip != now.public_ip {
            changes.push(format!("Elastic IP {:?} became {:?}", first.public_ip, now.public_ip));
        }
        for index in &expectation.interfaces {
            match (first.interfaces.get(index), now.interfaces.get(index)) {
                (Some(before), Some(after)) if before != after => {
                    changes.push(format!("interface {index}: {before:?} became {after:?}"));
                }
                (_, None) => changes.push(format!("interface {index} is missing")),
                // An interface that the spec got later is part of the identity from then on.
                (None, Some(after)) => {
                    first.interfaces.insert(*index, after.clone());
                }
                _ => {}
            }
        }
        for device in &expectation.devices {
            let (before, after) = (first.disks.get(device), now.disks.get(device));
            match (before, after) {
                (Some(before), Some(after)) if before != after => {
                    changes.push(format!("{device}: {before:?} became {after:?}"));
                }
                (Some(_), None) => changes.push(format!("{device} is missing")),
                // A device that the spec got later is part of the identity from then on.
                (None, Some(after)) => {
                    first.disks.insert(device.clone(), after.clone());
                }
                _ => {}
            }
        }
        for sentence in changes {
            self.broken(Invariant::IdentityKept, at, node, sentence);
        }
    }

    /// Resources of a node beyond those that it is allowed to have: asked at the end of a test.
    pub(crate) fn leaked(&mut self, at: Time, node: &NodeId, ids: &[String]) {
        for id in ids {
            self.broken(Invariant::NothingForgotten, at, node, format!("{id} was left behind"));
        }
    }
}
