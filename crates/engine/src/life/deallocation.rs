//! What becomes of a node that is given up: what its user selected goes at once, the rest is kept for
//! a time of grace and then removed; or a living instance is left to its user with all that it holds
//! ([`crate::life::release`]). Until the grace is over the node can be brought back ([`crate::life::undelete`]).

use crate::context::desk::Desk;
use crate::life::release;
use crate::parts::retention;
use holdfast_model::facts::{Fact, InstanceState, ResourceKind};
use holdfast_model::record::{DataHead, RootHead, Tombstone};
use holdfast_model::replacement::RowState;
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::{CallState, Record, Row, Time};
use std::collections::BTreeMap;

/// How often the time of grace is counted down at least.
const GRACE_STEP: u64 = 10 * MINUTE;
/// The most that one count takes off: a clock that jumps deletes nothing, and time in which no
/// server ran counts for an hour at most.
const GRACE_MOST: u64 = HOUR;

/// Counts down the time of grace of what is kept.
pub(crate) fn count_grace(desk: &mut Desk<'_>) {
    let left = desk.record.kept.pending_deletion.iter().filter_map(|s| s.due.grace_left()).min();
    let Some(left) = left else { return };
    let now = desk.scene.now;
    if now.since(desk.record.kept.grace_counted_at) >= left.min(GRACE_STEP) {
        count_now(&mut desk.record, now);
    }
    let left = desk.record.kept.pending_deletion.iter().filter_map(|s| s.due.grace_left()).min();
    if let Some(left) = left {
        desk.wake_at(desk.record.kept.grace_counted_at.plus(left.min(GRACE_STEP)));
    }
}

/// Counts what has passed since the last count: to be called before another grace begins, so that
/// it is not charged for time before.
pub(crate) fn count_now(record: &mut Record, now: Time) {
    let passed = now.since(record.kept.grace_counted_at).min(GRACE_MOST);
    for kept in &mut record.kept.pending_deletion {
        kept.due = kept.due.less(passed);
    }
    record.kept.grace_counted_at = now;
}

/// Whether nothing is left of a deallocated node: then its tombstone may go.
pub(crate) fn is_over(desk: &Desk<'_>) -> bool {
    let record = &desk.record;
    if !record.lifecycle.is_deleted()
        || !record.kept.pending_deletion.is_empty()
        || record.work.is_some()
    {
        return false;
    }
    if record.upkeep.row.calls.values().any(|c| c.state == CallState::Started) {
        return false;
    }
    // What was made shortly before may have been in no look yet, and nobody would look again.
    let ended = record.memory.history.last().map_or(Time(0), |last| last.finished_at);
    let certain = ended.plus(desk.scene.tuning.consistency_window);
    let looked = |kind| desk.scene.world.swept(kind).is_some_and(|asked| asked > certain);
    if !ResourceKind::ALL.into_iter().all(looked) {
        return false;
    }
    if record.lifecycle.is_handed_over() {
        return record.lifecycle.untag().is_empty();
    }
    desk.scene.world.ours(&record.id, desk.scene.installation).all(|fact| match fact {
        Fact::Instance(i) => i.state == InstanceState::Terminated,
        _ => false,
    })
}

/// Everything of a node's identity, onto the list of what goes: at once or after its grace. What it
/// was is remembered until then.
pub(crate) fn give_up(desk: &mut Desk<'_>) {
    let Some(flags) = desk.record.lifecycle.deallocation() else { return };
    count_now(&mut desk.record, desk.scene.now);
    let grace = desk.scene.tuning.deallocation_grace;
    let after = |selected: bool| if selected { 0 } else { grace };
    let mut going: Vec<(String, u64)> = Vec::new();
    if let RootHead::Live { volume: Some(volume), .. } = &desk.record.identity.root {
        going.push((volume.0.clone(), after(flags.should_delete_volumes)));
    }
    for data in &desk.record.identity.data {
        if let DataHead::Volume { id, .. } = &data.head {
            going.push((id.0.clone(), after(flags.should_delete_volumes)));
        }
    }
    for last in &desk.record.kept.final_snapshots {
        if let Some(image) = &last.image {
            going.push((image.0.clone(), after(flags.should_delete_images)));
        }
        // A snapshot cannot go while an image needs it.
        let with_image = last.image.is_none() || flags.should_delete_images;
        let snapshot = flags.should_delete_snapshots && with_image;
        going.push((last.snapshot.0.clone(), after(snapshot)));
    }
    let sets = std::mem::take(&mut desk.record.upkeep.sets);
    for snapshot in sets.iter().flat_map(|set| set.snapshots.values()) {
        going.push((snapshot.0.clone(), after(flags.should_delete_snapshots)));
    }
    let expired = std::mem::take(&mut desk.record.upkeep.expired);
    going.extend(expired.into_iter().map(|id| (id, 0)));
    for interface in desk.record.identity.interfaces() {
        let at_once = flags.should_delete_network_interfaces;
        going.push((interface.id.0.clone(), after(at_once)));
    }
    for (id, at_once) in unknown_leftovers(desk) {
        if !going.iter().any(|(known, _)| known == &id) {
            going.push((id, after(at_once)));
        }
    }
    let let_go = desk.lets_instance_go();
    let untag = if let_go { release::left_to_the_user(desk) } else { Vec::new() };
    for (id, grace_ms) in going {
        if !let_go || id.starts_with("snap-") || id.starts_with("ami-") {
            retention::supersede(&mut desk.record, &id, "the node was given up", grace_ms);
        }
    }
    let record = &mut desk.record;
    let tombstone = Box::new(Tombstone {
        root: std::mem::replace(&mut record.identity.root, RootHead::Fresh),
        data: std::mem::take(&mut record.identity.data),
        interface: record.identity.interface.take(),
        secondary: std::mem::take(&mut record.identity.secondary),
        final_snapshots: std::mem::take(&mut record.kept.final_snapshots),
        sets,
    });
    record.lifecycle.note_deleted(let_go, tombstone, untag);
    record.instance = None;
}

/// What calls have made and the record does not speak of, when the rows of those calls are given
/// up: it was made for nothing, and must not be forgotten. Where the node is given up too, it goes as
/// its user has selected; an instance always goes.
pub(crate) fn supersede_unrecorded(desk: &mut Desk<'_>, rows: &BTreeMap<Row, RowState>) {
    let made: Vec<(String, ResourceKind)> = rows
        .values()
        .flat_map(|row| row.calls.values())
        .filter_map(|call| match &call.state {
            CallState::Done { id } => Some((id.clone()?, call.command.makes()?)),
            CallState::Started | CallState::Refused { .. } => None,
        })
        .filter(|(id, _)| !retention::speaks_of(&desk.record, id))
        .collect();
    let flags = desk.record.lifecycle.deallocation();
    let at_once =
        |kind| kind == ResourceKind::Instance || flags.is_none_or(|flags| flags.selects(kind));
    let grace = desk.scene.tuning.deallocation_grace;
    if !made.iter().all(|(_, kind)| at_once(*kind)) {
        count_now(&mut desk.record, desk.scene.now);
    }
    for (id, kind) in made {
        let grace_ms = if at_once(kind) { 0 } else { grace };
        let why = "it was made for a replacement that was overtaken";
        retention::supersede(&mut desk.record, &id, why, grace_ms);
    }
}

/// What carries the node's tag and our own, and is not known by name (an earlier attempt's
/// duplicate, say), with whether the deallocation selects it. What is another installation's is
/// never touched.
fn unknown_leftovers(desk: &Desk<'_>) -> Vec<(String, bool)> {
    let flags = desk.record.lifecycle.deallocation().unwrap_or_default();
    desk.scene
        .world
        .ours(&desk.record.id, desk.scene.installation)
        .filter(|fact| {
            desk.record.identity.detached_by_user.iter().all(|left| left.as_str() != fact.id())
        })
        .filter(|fact| fact.kind() != ResourceKind::Instance)
        .map(|fact| (fact.id().to_owned(), flags.selects(fact.kind())))
        .collect()
}

/// What became visible only after the deallocation.
pub(crate) fn sweep_up(desk: &mut Desk<'_>) {
    if !desk.record.lifecycle.is_deleted()
        || desk.record.lifecycle.is_handed_over()
        || desk.record.work.is_some()
    {
        return;
    }
    let found = unknown_leftovers(desk);
    let is_new = |id: &str| desk.record.kept.pending_deletion.iter().all(|s| s.id != id);
    if !found.iter().any(|(id, _)| is_new(id)) {
        return;
    }
    count_now(&mut desk.record, desk.scene.now);
    let grace = desk.scene.tuning.deallocation_grace;
    for (id, at_once) in found {
        let grace_ms = if at_once { 0 } else { grace };
        retention::supersede(&mut desk.record, &id, "it was left over", grace_ms);
    }
}
