//! Invariants that only the driver can see, checked as things happen: on every call, on every
//! commit, and on every node from time to time. What the cloud alone can see stands in
//! `cloud-sim`'s `truth`.

mod endings;
mod graces;
mod launches;
mod losses;
mod questions;

use crate::tally::Durable;
use holdfast_cloud_sim::SimCloud;
use holdfast_controller::{Fleet, Unreadable};
use holdfast_engine::parts::retention::{FINALS_KEPT, SET_ASIDE_KEPT, SETS_KEPT};
use holdfast_engine::tables::replacement::TABLE;
use holdfast_model::facts::{Fact, InstanceState, ResourceKind};
use holdfast_model::record::{DataHead, FinalSnapshot, Goal, RootHead};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::{
    CallState, CloudError, Command, Event, Invariant, Kind, NodeId, Record, Reply, SnapshotId,
    Time, tags,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How often every node is asked whether it says what it waits for.
const LOOK_EVERY: u64 = 2 * MINUTE;
/// How long a node may be quiet before it must say what it waits for.
const QUIET: u64 = 5 * MINUTE;
/// How much later than a row's patience a person must have been asked.
const SLACK: u64 = 10 * MINUTE;
/// The most mutating calls of one node in a minute, whatever goes wrong: a replacement of a node
/// with two data volumes takes 14, and what is refused is repeated with pauses that grow. The first
/// deletion of each resource does not count.
pub const CALLS_A_MINUTE: usize = 90;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    /// What is durable.
    pub durable: Durable,
    /// When each record was last written.
    written: BTreeMap<NodeId, Time>,
    /// Calls of the last minute.
    recent: BTreeMap<NodeId, VecDeque<Time>>,
    /// What was asked to be deleted at least once.
    removed: BTreeSet<String>,
    looked: Time,
    /// How far the controller's clock is off, and since when.
    skew: (i64, Time),
    /// When the fleet was last seen frozen.
    frozen: Option<Time>,
    /// Nodes that a person has had adopted: what was not chosen is neither deleted nor forgotten,
    /// but shown as unaccounted for (`engine/src/adopt.rs`), and no record speaks of it.
    adopted: BTreeSet<NodeId>,
    /// Whether another controller makes things for the same nodes.
    pub is_shared: bool,
    /// What has been told already: each wrong of a node once.
    told: BTreeSet<(Invariant, NodeId)>,
    launches: launches::Launches,
    graces: graces::Graces,
    endings: endings::Endings,
    /// Nodes that have begun to ask a person.
    asking: BTreeSet<NodeId>,
}

impl Watch {
    /// The watch over a second controller of the same nodes.
    pub(crate) fn shared() -> Watch {
        Watch { is_shared: true, ..Watch::default() }
    }

    /// Writes what of it decides what it will find broken; what is durable stands in the store.
    pub(crate) fn write_likeness(&self, out: &mut impl std::fmt::Write) -> std::fmt::Result {
        write!(out, "{:?} {:?} {:?} ", self.written, self.recent, self.removed)?;
        write!(out, "{:?} {:?} {:?} {:?} ", self.looked, self.skew, self.frozen, self.told)?;
        write!(out, "{:?} {:?} {:?} ", self.launches, self.graces, self.endings)?;
        write!(out, "{:?} {:?} {:?} ", self.asking, self.adopted, self.is_shared)
    }

    /// A controller starts: these are the records in its store.
    pub(crate) fn stored(&mut self, records: &[(NodeId, Result<Record, Unreadable>)]) {
        self.durable.clear();
        self.graces.started();
        for (node, record) in records {
            if let Ok(record) = record {
                self.launches.stored(record);
                self.durable.insert(node.clone(), Arc::new(record.clone()));
            }
        }
    }

    /// A call leaves: is it committed, and are there not too many?
    pub(crate) fn call(
        &mut self,
        now: Time,
        node: &NodeId,
        command: &Command,
        cloud: &mut SimCloud,
    ) {
        let committed = self.durable.get(node).is_some_and(|record| {
            let mut calls = record.rows().flat_map(|(_, row)| row.calls.values());
            calls.any(|c| c.state == CallState::Started && &c.command == command)
        });
        if !committed {
            let what = format!("{} left, and no durable record speaks of it", command.action());
            cloud.truth_mut().broken(Invariant::CommitBeforeAct, now, node, what);
        }
        if let Command::DeleteSnapshot { snapshot } = command
            && self.durable.get(node).is_some_and(|record| keeps(record, snapshot))
        {
            let what = format!("{snapshot} is deleted, to which its node can return");
            self.tell(Invariant::LastCopyKept, now, node, what, cloud);
        }
        self.leaves(now, node, command, cloud);
        // To delete what many launches in a row have left takes a call for each, at any pace that the
        // buckets allow; the same one again is a repetition like any other.
        let removal =
            ["Delete", "Deregister"].iter().any(|verb| command.action().starts_with(verb));
        let ids = command.touches().into_iter().map(str::to_owned);
        if removal && ids.filter(|id| self.removed.insert(id.clone())).count() > 0 {
            return;
        }
        let recent = self.recent.entry(node.clone()).or_default();
        recent.push_back(now);
        while recent.front().is_some_and(|at| now.since(*at) > MINUTE) {
            recent.pop_front();
        }
        if recent.len() > CALLS_A_MINUTE {
            let what = format!("{} calls in a minute, the last is {command:?}", recent.len());
            self.tell(Invariant::WithinLimits, now, node, what, cloud);
        }
    }

    /// What the parts of the watch say of a call that leaves.
    fn leaves(&mut self, now: Time, node: &NodeId, command: &Command, cloud: &mut SimCloud) {
        if self.is_shared {
            return;
        }
        let mut wrong = Vec::new();
        if let Command::RunInstances(launch) = command {
            wrong = self.launches.leaves(node, launch);
        }
        let record = self.durable.get(node);
        let early = record.and_then(|record| self.graces.leaves(now, record, command));
        wrong.extend(early.map(|what| (Invariant::GraceKept, what)));
        let dies = record.and_then(|record| self.endings.leaves(now, record, command, cloud));
        wrong.extend(dies.map(|what| (Invariant::VolumesOutlive, what)));
        for (which, what) in wrong {
            self.tell(which, now, node, what, cloud);
        }
    }

    /// A call was answered.
    pub(crate) fn answered(
        &mut self,
        now: Time,
        node: &NodeId,
        command: &Command,
        result: &Result<Reply, CloudError>,
    ) {
        if let Command::RunInstances(launch) = command {
            self.launches.answered(node, launch, result);
        }
        if result.is_ok() {
            self.endings.done(now, node, command);
        }
    }

    /// A word was accepted: the record is durable.
    pub(crate) fn heard(&mut self, record: &Record) {
        self.launches.heard(record);
    }

    /// A record is durable: what it no longer speaks of, nobody will ever delete.
    pub(crate) fn committed(
        &mut self,
        now: Time,
        node: &NodeId,
        record: Option<Arc<Record>>,
        events: &[Event],
        cloud: &mut SimCloud,
    ) {
        let broken = events.iter().filter(|e| e.code == "invariant-broken" && !self.is_shared);
        for event in broken {
            let named = |i: &Invariant| event.message.starts_with(i.name());
            let which = Invariant::ALL.into_iter().find(named);
            let which = which.unwrap_or(Invariant::UserTold);
            let what = format!("the controller itself says: {}", event.message);
            cloud.truth_mut().broken(which, now, node, what);
        }
        if events.iter().any(|e| e.code == "adopted") {
            self.adopted.insert(node.clone());
        }
        self.written.insert(node.clone(), now);
        self.graces.committed(now, node, record.as_deref());
        match record {
            Some(record) => {
                self.compare(now, &record, events, cloud);
                if record.work.is_none() {
                    self.rests(now, node, &record, cloud);
                }
                self.durable.insert(node.clone(), record);
            }
            None => {
                self.durable.remove(node);
                self.written.remove(node);
                self.recent.remove(node);
                self.launches.forget(node);
                self.endings.forget(node);
            }
        }
    }

    /// What is wrong between what was durable of a node, and what is now.
    fn compare(&mut self, now: Time, after: &Record, events: &[Event], cloud: &mut SimCloud) {
        let Some(before) = self.durable.get(&after.id).cloned().filter(|_| !self.is_shared) else {
            return;
        };
        for what in losses::unnamed(&before, after, events, &self.removed, cloud) {
            self.tell(Invariant::LossesNamed, now, &after.id, what, cloud);
        }
        let asks = |r: &Record| r.blocked.decision().is_some_and(|s| s.is_asked());
        if asks(after) && before.blocked.decision() != after.blocked.decision() {
            self.asking.insert(after.id.clone());
        }
    }

    /// Who has begun to ask a person: can every choice be made?
    fn questions(&mut self, now: Time, clock: Time, fleet: &Fleet, cloud: &mut SimCloud) {
        for node in std::mem::take(&mut self.asking) {
            let Some(record) = fleet.record(&node) else { continue };
            if !fleet.rests(&node) {
                self.asking.insert(node);
                continue;
            }
            for what in questions::dead_ends(&record, fleet, clock) {
                self.tell(Invariant::ChoicesWork, now, &node, what, cloud);
            }
        }
    }

    /// Nothing is in flight: the record must speak of everything that there is.
    fn rests(&mut self, now: Time, node: &NodeId, record: &Record, cloud: &mut SimCloud) {
        let adopted = self.adopted.contains(node);
        if record.lifecycle.is_handed_over()
            || record.blocked.quarantine().is_some()
            || self.is_shared
            || adopted
        {
            return;
        }
        let mut known = known(record, cloud);
        known.extend(record.kept.pending_deletion.iter().map(|s| s.id.clone()));
        known.extend(record.kept.pending_deletion.iter().flat_map(|s| dies_with(&s.id, cloud)));
        let there = cloud.resources(node);
        let forgotten: Vec<String> = there
            .iter()
            .filter(|fact| !known.contains(fact.id()) && !dies_by_itself(fact, cloud))
            .filter(|fact| !is_root_to_be_found(fact, record))
            .map(|fact| fact.id().to_owned())
            .collect();
        if !forgotten.is_empty() {
            let what = format!("no record speaks of {}", forgotten.join(", "));
            self.tell(Invariant::NothingForgotten, now, node, what, cloud);
        }
        let sets = record.upkeep.sets.len();
        if sets > SETS_KEPT {
            let what = format!("{sets} snapshots while it ran are kept");
            self.tell(Invariant::WithinLimits, now, node, what, cloud);
        }
        // A tidy makes nothing ready: the replacement before it may have come to nothing.
        let replaced = record.memory.history.iter().rfind(|h| h.kind != Kind::Tidy);
        let ready = record.instance.is_some()
            && replaced.is_some_and(|h| h.completed && h.to_generation.is_some());
        for of in record.kept.final_snapshots.iter().map(|f| &f.of).collect::<BTreeSet<_>>() {
            // What the node began with is kept beside those, as the way back of a launch that comes
            // to nothing.
            let counts = |f: &&FinalSnapshot| &f.of == of && !begins_with(record, &f.snapshot);
            let kept = record.kept.final_snapshots.iter().filter(counts).count();
            if ready && kept > FINALS_KEPT + SET_ASIDE_KEPT {
                let what = format!("{kept} final snapshots of {of} are kept");
                self.tell(Invariant::WithinLimits, now, node, what, cloud);
            }
        }
    }

    /// Looks at every node from time to time: who waits must say for what, and who has waited too
    /// long must have asked.
    pub(crate) fn look(&mut self, now: Time, skew: i64, fleet: &Fleet, cloud: &mut SimCloud) {
        let clock = Time(now.0.saturating_add_signed(skew));
        if !self.asking.is_empty() && !self.is_shared {
            self.questions(now, clock, fleet, cloud);
        }
        if now.since(self.looked) < LOOK_EVERY {
            return;
        }
        self.looked = now;
        if skew != self.skew.0 {
            self.skew = (skew, now);
        }
        if fleet.frozen().is_some() {
            self.frozen = Some(now);
        }
        // A clock that has just jumped makes every wait seem long: the controller needs time to ask.
        // And a fleet that is frozen has told a person so, who alone can go on.
        let thawed = self.frozen.is_none_or(|at| now.since(at) > SLACK);
        let fair = now.since(self.skew.1) > SLACK && thawed;
        let nodes: Vec<NodeId> = self.durable.keys().cloned().collect();
        for node in nodes {
            if let Some(what) = fleet.overlooked(&node, clock) {
                self.tell(Invariant::NoLostWake, now, &node, what, cloud);
            }
            let Some(record) = self.durable.get(&node).cloned() else { continue };
            if fleet.stopped(&node).is_some() {
                // It has said why, by an event: see `committed`.
                continue;
            }
            let quiet = self.written.get(&node).is_some_and(|at| now.since(*at) > QUIET);
            let busy = record.work.is_some()
                || (record.lifecycle.goal() == Goal::Running && record.instance.is_none());
            let asks = record.blocked.decision().is_some() || record.blocked.quarantine().is_some();
            if !quiet || !busy || asks {
                continue;
            }
            let says = fleet.view(&node).and_then(|v| v.waits_for).is_some_and(|w| !w.is_empty());
            if !says {
                let what = format!("it is {} and does not say why", record.status());
                self.tell(Invariant::UserTold, now, &node, what, cloud);
            }
            let Some(replacement) = &record.work else { continue };
            for spec in TABLE {
                let Some(patience) = spec.patience_minutes.filter(|_| fair) else { continue };
                let Some(state) = replacement.rows.get(&spec.row) else { continue };
                let Some(started) = state.started_at.filter(|_| state.done_at.is_none()) else {
                    continue;
                };
                if clock.since(started) > patience * MINUTE + SLACK {
                    let minutes = clock.since(started) / (60 * SECOND);
                    let what = format!("{} waits for {minutes} min unasked", spec.row.name());
                    self.tell(Invariant::UserTold, now, &node, what, cloud);
                }
            }
        }
    }

    fn tell(
        &mut self,
        which: Invariant,
        now: Time,
        node: &NodeId,
        what: String,
        cloud: &mut SimCloud,
    ) {
        if self.told.insert((which, node.clone())) {
            cloud.truth_mut().broken(which, now, node, what);
        }
    }
}

/// Every resource that a record needs, with what its instance holds.
#[must_use]
pub fn known(record: &Record, cloud: &SimCloud) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = record.instance.iter().map(|h| h.id.0.clone()).collect();
    if let RootHead::Live { volume: Some(volume), .. } = &record.identity.root {
        known.insert(volume.0.clone());
    }
    known.extend(record.identity.interfaces().map(|i| i.id.0.clone()));
    known.extend(record.identity.detached_by_user.iter().map(|v| v.0.clone()));
    // Without a kept address the instance has an interface of its own.
    let instance = record.instance.as_ref().and_then(|h| cloud.truly(h.id.as_str()));
    if let Some(Fact::Instance(i)) = instance {
        known.extend(i.interface.iter().map(|e| e.0.clone()));
        known.extend(i.attachments.iter().map(|a| a.volume.0.clone()));
    }
    for data in &record.identity.data {
        if let DataHead::Volume { id, .. } = &data.head {
            known.insert(id.0.clone());
        }
    }
    for last in &record.kept.final_snapshots {
        known.insert(last.snapshot.0.clone());
        known.extend(last.image.iter().map(|i| i.0.clone()));
    }
    known.extend(record.upkeep.expired.iter().cloned());
    // What a call that was given up has made is found by its token. Nearly always there is none, and
    // to look through everything costs more than all the rest.
    if !record.upkeep.unseen.is_empty() {
        let of_unseen = |f: &Fact| {
            let token = f.tags().get(tags::TOKEN);
            record.upkeep.unseen.iter().any(|unseen| token == Some(&unseen.0))
        };
        let there = cloud.resources(&record.id);
        known.extend(there.iter().filter(|f| of_unseen(f)).map(|f| f.id().to_owned()));
    }
    for set in &record.upkeep.sets {
        known.extend(set.snapshots.values().map(|s| s.0.clone()));
    }
    // What is being taken is known by the token of its call.
    for call in record.upkeep.row.calls.values() {
        let taken = cloud.resources(&record.id).into_iter().filter(|fact| {
            fact.kind() == ResourceKind::Snapshot
                && fact.tags().get(tags::TOKEN) == Some(&call.token.0)
        });
        known.extend(taken.map(|fact| fact.id().to_owned()));
    }
    known
}

/// Whether a record names a snapshot among those that its node can return to. With a deallocation
/// they are all let go.
fn keeps(record: &Record, snapshot: &SnapshotId) -> bool {
    let of_sets = record.upkeep.sets.iter().flat_map(|set| set.snapshots.values());
    let of_finals = record.kept.final_snapshots.iter().map(|last| &last.snapshot);
    record.lifecycle.deallocation().is_none()
        && of_sets.chain(of_finals).any(|kept| kept == snapshot)
}

/// Whether a volume is the root of a launch that was over before anybody saw what it had made. The
/// record says that there may be one of that generation, and the fence of whatever comes next looks
/// for it by these tags: it is not forgotten.
fn is_root_to_be_found(fact: &Fact, record: &Record) -> bool {
    let RootHead::Live { volume: None, generation, .. } = &record.identity.root else {
        return false;
    };
    let Fact::Volume(volume) = fact else { return false };
    let data = volume.tags.get(tags::ROLE).is_some_and(|role| role.starts_with("data:"));
    !data && volume.tags.get(tags::GENERATION) == Some(&generation.to_string())
}

/// What the cloud deletes together with an instance: its own interface, and its root.
fn dies_with(instance: &str, cloud: &SimCloud) -> Vec<String> {
    let Some(Fact::Instance(i)) = cloud.truly(instance) else { return Vec::new() };
    let volumes = i.attachments.iter().filter(|a| a.delete_on_termination);
    let volumes = volumes.map(|a| a.volume.0.clone());
    volumes.chain(i.interface.iter().map(|e| e.0.clone())).collect()
}

/// Whether a resource goes by itself with an instance whose time is over.
fn dies_by_itself(fact: &Fact, cloud: &SimCloud) -> bool {
    let over = |id: &str| match cloud.truly(id) {
        Some(Fact::Instance(i)) => i.state > InstanceState::Running,
        _ => true,
    };
    match fact {
        Fact::Instance(i) => i.state > InstanceState::Running,
        Fact::Volume(v) => v.attached_to.as_ref().is_some_and(|(id, _)| over(id.as_str())),
        Fact::Interface(e) => e.attached_to.as_ref().is_some_and(|id| over(id.as_str())),
        Fact::Snapshot(_) | Fact::Image(_) => false,
    }
}

/// Whether the node's root, or a volume that is to be restored, begins with this snapshot.
fn begins_with(record: &Record, snapshot: &SnapshotId) -> bool {
    let root = match &record.identity.root {
        RootHead::Captured { snapshot, .. }
        | RootHead::Live { from: Some((snapshot, _, _)), .. } => Some(snapshot),
        RootHead::Live { .. } | RootHead::Fresh => None,
    };
    root == Some(snapshot)
        || record.identity.data.iter().any(|d| d.restore.as_ref() == Some(snapshot))
}
