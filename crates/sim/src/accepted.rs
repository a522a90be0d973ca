//! What users said that lets something of a node go, and what became of it: the ground truth hears
//! of it when it is committed, and hears exactly how much may be lost. What nobody said lets nothing
//! go.

use holdfast_cloud_sim::SimCloud;
use holdfast_cloud_sim::config::ROOT_DEVICE;
use holdfast_model::adoption::FRESH;
use holdfast_model::facts::Fact;
use holdfast_model::record::{DataHead, DataVolume, Goal, Record, Rollback, RootHead, SnapshotSet};
use holdfast_model::user::{Choice, Target, UserCommand};
use holdfast_model::{Event, ImageId, Invariant, NodeId, SnapshotId, Time, VolumeId};
use std::collections::{BTreeMap, BTreeSet};

/// Reasons for which a device begins with another content.
const ROLLBACK: &str = "rollback";
const IMAGE: &str = "image";
const UNDELETE: &str = "undelete";
const ADOPT: &str = "adopt";
/// How many of a node's last words are remembered.
const WORDS: usize = 40;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accepted {
    /// The words that may let something go, by node, oldest first.
    said: BTreeMap<NodeId, Vec<UserCommand>>,
    /// Volumes that their user has taken away, or wanted to.
    taken: BTreeSet<VolumeId>,
}

impl Accepted {
    /// A user says something.
    pub fn said(&mut self, word: &UserCommand) {
        let said = self.said.entry(word.node().clone()).or_default();
        said.push(word.clone());
        if said.len() > WORDS {
            said.remove(0);
        }
    }

    /// A user takes a volume away.
    pub fn taken(&mut self, volume: VolumeId) {
        self.taken.insert(volume);
    }

    fn has_said(&self, node: &NodeId, what: impl Fn(&UserCommand) -> bool) -> bool {
        self.said.get(node).is_some_and(|words| words.iter().any(what))
    }

    /// A record is durable.
    pub fn committed(
        &self,
        now: Time,
        (before, after): (Option<&Record>, Option<&Record>),
        events: &[Event],
        grace: u64,
        cloud: &mut SimCloud,
    ) {
        let (Some(after), before) = (after, before) else {
            if let Some(before) = before {
                cloud.is_nobodys(&before.id);
            }
            return;
        };
        let node = &after.id;
        let happened = |code: &str| events.iter().any(|e| e.code == code);
        if let Some(before) = before {
            self.returns(now, before, after, happened("rolled-back"), cloud);
            self.image(before, after, happened("image-changed"), cloud);
            self.deletion(now, before, after, grace, cloud);
            self.volumes(now, before, after, cloud);
            address(before, after, cloud);
        }
        if happened("adopted") {
            self.adopted(node, cloud);
        }
    }

    /// An earlier content was chosen, or stands in its place, or is not wanted any more.
    fn returns(
        &self,
        now: Time,
        before: &Record,
        after: &Record,
        placed: bool,
        cloud: &mut SimCloud,
    ) {
        let node = &after.id;
        if placed && before.identity.rollback.is_none() {
            // It was heard and put in its place at once.
            self.at_once(now, before, after, cloud);
        }
        if placed {
            cloud.has_returned(node, ROLLBACK);
        }
        let same = |a: &Option<Rollback>, b: &Option<Rollback>| match (a, b) {
            (Some(a), Some(b)) => {
                let of = |r: &Rollback| r.root.as_ref().map(|p| p.snapshot.clone());
                of(a) == of(b) && a.data == b.data
            }
            (None, None) => true,
            _ => false,
        };
        if same(&before.identity.rollback, &after.identity.rollback) {
            return;
        }
        cloud.returns_no_more(node, ROLLBACK);
        let Some(rollback) = &after.identity.rollback else { return };
        if before.lifecycle.goal() == Goal::Deleted && after.lifecycle.goal() == Goal::Paused {
            // It says how the root comes back; what may be lacking is a matter of the word's.
            return;
        }
        let snapshots = rollback.root.iter().map(|p| &p.snapshot).chain(rollback.data.values());
        let chosen = |word: &UserCommand| match word {
            UserCommand::Rollback { to: Target::Generation(to), .. } => to == &rollback.generation,
            // Whatever was taken together with it is of its generation.
            UserCommand::Rollback { to: Target::Snapshot(id), .. } => {
                let kept = before.kept.final_snapshots.iter().map(|f| (f.generation, &f.snapshot));
                let sets = before.upkeep.sets.iter();
                let of_sets =
                    sets.flat_map(|s| s.snapshots.values().map(move |id| (s.generation, id)));
                kept.chain(of_sets).any(|of| of == (rollback.generation, id))
            }
            UserCommand::Decide { choice: Choice::Restore, .. } => true,
            _ => false,
        };
        if !self.has_said(node, chosen) {
            let what = format!(
                "it returns to {snapshots:?}, which nobody chose",
                snapshots = snapshots.collect::<Vec<_>>()
            );
            cloud.truth_mut().broken(Invariant::NoWriteLost, now, node, what);
            return;
        }
        if let Some(point) = &rollback.root {
            cloud.may_return(node, ROOT_DEVICE, Some(point.snapshot.as_str()), ROLLBACK);
        }
        for (device, snapshot) in &rollback.data {
            cloud.may_return(node, device, Some(snapshot.as_str()), ROLLBACK);
        }
    }

    /// What was chosen, by what it has changed.
    fn at_once(&self, now: Time, before: &Record, after: &Record, cloud: &mut SimCloud) {
        let node = &after.id;
        let generation_of = |id: &SnapshotId| {
            let finals = before.kept.final_snapshots.iter().chain(&after.kept.final_snapshots);
            let of_sets = before.upkeep.sets.iter();
            let in_set = |s: &&SnapshotSet| s.snapshots.values().any(|of| of == id);
            let set = of_sets.clone().find(in_set).map(|s| s.generation);
            finals.clone().find(|f| &f.snapshot == id).map(|f| f.generation).or(set)
        };
        let mut chosen: Vec<(&str, &SnapshotId)> = Vec::new();
        let newest = after
            .kept
            .final_snapshots
            .iter()
            .filter(|f| f.of == "root")
            .map(|f| f.generation)
            .max();
        // The launch may have left already.
        if let RootHead::Captured { snapshot, .. }
        | RootHead::Live { from: Some((snapshot, _, _)), .. } = &after.identity.root
            && before.identity.root != after.identity.root
            && (generation_of(snapshot) < newest || newest < Some(before.generations.number()))
        {
            chosen.push((ROOT_DEVICE, snapshot));
        }
        for data in &after.identity.data {
            let was = before.identity.data.iter().find(|d| d.device == data.device);
            if let Some(snapshot) = &data.restore
                && was.is_none_or(|d| d.restore.as_ref() != Some(snapshot))
            {
                chosen.push((&data.device, snapshot));
            }
        }
        for (device, snapshot) in chosen {
            let said = |word: &UserCommand| match word {
                UserCommand::Rollback { to: Target::Generation(to), .. } => {
                    generation_of(snapshot) == Some(*to)
                }
                UserCommand::Rollback { to: Target::Snapshot(id), .. } => {
                    id == snapshot || generation_of(id) == generation_of(snapshot)
                }
                UserCommand::Decide { choice: Choice::Restore, .. } => true,
                _ => false,
            };
            if self.has_said(node, said) {
                cloud.may_return(node, device, Some(snapshot.as_str()), ROLLBACK);
            } else if device != ROOT_DEVICE {
                let what = format!("{device} returns to {snapshot}, which nobody chose");
                cloud.truth_mut().broken(Invariant::NoWriteLost, now, node, what);
            }
        }
    }

    /// Another image in the spec is another root: the one before gives way at the next launch.
    fn image(&self, before: &Record, after: &Record, changed: bool, cloud: &mut SimCloud) {
        let node = &after.id;
        if changed {
            cloud.has_returned(node, IMAGE);
        }
        // A replacement follows the spec of its beginning to its end.
        let pending = |record: &Record| -> Vec<ImageId> {
            let Some(followed) = record.identity.image_followed.as_ref() else { return Vec::new() };
            let in_flight = record.work.as_ref().map(|r| &r.document);
            let specs = in_flight.into_iter().chain([&record.document]);
            let specs = specs.filter_map(|d| d.spec().ok()).filter(|s| s.persistence.root);
            specs.map(|s| s.image.clone()).filter(|image| image != followed).collect()
        };
        let revision = |record: &Record| record.work.as_ref().map(|r| r.spec_revision);
        let same = before.document == after.document
            && before.identity.image_followed == after.identity.image_followed
            && revision(before) == revision(after);
        if same {
            return;
        }
        let (was, is) = (pending(before), pending(after));
        if was == is {
            return;
        }
        cloud.returns_no_more(node, IMAGE);
        if !is.is_empty() && self.has_said(node, |w| matches!(w, UserCommand::Update { .. })) {
            cloud.may_return(node, ROOT_DEVICE, None, IMAGE);
        }
    }

    fn deletion(
        &self,
        now: Time,
        before: &Record,
        after: &Record,
        grace: u64,
        cloud: &mut SimCloud,
    ) {
        let node = &after.id;
        if before.lifecycle.goal() != Goal::Deleted && after.lifecycle.goal() == Goal::Deleted {
            let said = |word: &UserCommand| match word {
                UserCommand::Delete { deallocation, .. } => {
                    after.lifecycle.deallocation() == Some(*deallocation)
                }
                _ => false,
            };
            if self.has_said(node, said) {
                cloud.gives_up_node(node, after.lifecycle.deallocation().unwrap_or_default());
            }
        }
        if after.lifecycle.is_deleted() && !before.lifecycle.is_deleted() {
            cloud.keeps_rest_until(node, now.plus(grace));
        }
        if after.lifecycle.is_handed_over() && !before.lifecycle.is_handed_over() {
            cloud.is_nobodys(node);
        }
        if before.lifecycle.goal() != Goal::Deleted || after.lifecycle.goal() == Goal::Deleted {
            return;
        }
        cloud.takes_node_back(node);
        let accepts =
            |w: &UserCommand| matches!(w, UserCommand::Undelete { accept_loss: true, .. });
        if !before.lifecycle.is_deleted() || !self.has_said(node, accepts) {
            return;
        }
        // What the answer named is lost, and no more.
        for data in &after.identity.data {
            if data.head == DataHead::Fresh {
                let from = data.restore.as_ref().map(|s| s.as_str());
                cloud.may_return(node, &data.device, from, UNDELETE);
            }
        }
        let root = after.identity.rollback.as_ref().and_then(|r| r.root.as_ref());
        if let (RootHead::Fresh, from) = (&after.identity.root, root) {
            cloud.may_return(node, ROOT_DEVICE, from.map(|p| p.snapshot.as_str()), UNDELETE);
        }
        cloud.has_returned(node, UNDELETE);
        let Some(was) = &before.lifecycle.tombstone() else { return };
        for held in was.interface.iter().chain(&was.secondary) {
            if after.identity.interfaces().all(|i| i.id != held.id) {
                cloud.truth_mut().interface_given_up(node, held.device_index);
            }
        }
    }

    /// A volume joins, leaves, or is deleted by its user.
    fn volumes(&self, now: Time, before: &Record, after: &Record, cloud: &mut SimCloud) {
        if before.identity.data == after.identity.data
            || after.lifecycle.goal() == Goal::Deleted
            || before.lifecycle.goal() == Goal::Deleted
        {
            return;
        }
        let node = &after.id;
        let id_of = |data: &DataVolume| match &data.head {
            DataHead::Volume { id, .. } => Some(id.clone()),
            DataHead::Fresh => None,
        };
        for was in &before.identity.data {
            let now_is = after.identity.data.iter().find(|d| d.device == was.device);
            let Some(id) = id_of(was) else { continue };
            let deleted = |w: &UserCommand| matches!(w, UserCommand::DeleteVolume { volume, .. } if volume == &id);
            if now_is.and_then(id_of).is_none() && self.has_said(node, deleted) {
                cloud.gives_up_device(now, node, &was.device);
            }
            if now_is.is_none() && was.user_attached.is_some() {
                cloud.truth_mut().expect_no_device(node, &was.device);
                let gone = cloud.truly(id.as_str()).is_none_or(|f| {
                    matches!(f, Fact::Volume(v) if v.state == holdfast_model::facts::VolumeState::Deleting)
                });
                let adopted = after.memory.replacements > before.memory.replacements + 1;
                if !self.taken.contains(&id) && !gone && !adopted && !self.has_said(node, deleted) {
                    let what = format!("{id} had joined it, left it, and nobody took it away");
                    cloud.truth_mut().broken(Invariant::NothingForgotten, now, node, what);
                }
            }
        }
        for is in &after.identity.data {
            let is_new = before.identity.data.iter().all(|d| d.device != is.device);
            if is_new && is.user_attached.is_some() {
                cloud.truth_mut().expect_device(node, &is.device);
            }
        }
    }

    /// A person chose what stands for which part.
    fn adopted(&self, node: &NodeId, cloud: &mut SimCloud) {
        let words = self.said.get(node).into_iter().flatten().rev();
        let heads = words.filter_map(|word| match word {
            UserCommand::Adopt { heads, .. } => Some(heads),
            _ => None,
        });
        let Some(heads) = heads.into_iter().next() else { return };
        for (part, id) in heads {
            let chosen = Some(id.as_str()).filter(|id| *id != FRESH);
            if let Some(index) = index_of(part) {
                cloud.truth_mut().interface_given_up(node, index);
            } else if part != "instance" {
                let device = if part == "root" { ROOT_DEVICE } else { part };
                cloud.may_return(node, device, chosen, ADOPT);
            }
        }
        cloud.has_returned(node, ADOPT);
    }
}

/// The device index of a part that is an interface.
fn index_of(part: &str) -> Option<u32> {
    match part.strip_prefix("interface")? {
        "" => Some(0),
        index => index.strip_prefix(':')?.parse().ok(),
    }
}

/// Another private address was chosen in the spec.
fn address(before: &Record, after: &Record, cloud: &mut SimCloud) {
    if before.document == after.document {
        return;
    }
    let of = |record: &Record| record.document.spec().ok().and_then(|s| s.private_ip.clone());
    if let Some(chosen) = of(after).filter(|_| of(before) != of(after)) {
        cloud.may_move_to(&after.id, &chosen);
    }
}
