//! Bringing back a node that was given up, and giving up one volume of a node that is paused: the two
//! words about what a deallocation keeps and deletes.

use crate::context::refusal::NotDone;
use crate::life::rollback::{self, Saved};
use crate::parts::retention;
use holdfast_model::record::{
    DataHead, Goal, NodeLifecycle, Record, Rollback, RootHead, Tombstone,
};
use holdfast_model::{CallState, Kind, Row, VolumeId};
use std::collections::{BTreeMap, BTreeSet};

/// Takes a deletion back: the node is paused, with all of it that is still there. What is gone makes
/// this a refusal, unless its loss is accepted.
pub(crate) fn hear(record: &mut Record, accept_loss: bool) -> Result<(), NotDone> {
    let conflict = |why: &str| Err(NotDone::Conflict(why.to_owned()));
    if record.lifecycle.goal() != Goal::Deleted {
        return conflict("the node has not been deleted");
    }
    if record.lifecycle.is_handed_over() {
        return conflict(
            "its instance was let go: it runs on without Holdfast, with its volumes and its address",
        );
    }
    if !record.lifecycle.is_deleted() {
        back(record);
        return Ok(());
    }
    let Some(was) = record.lifecycle.tombstone() else {
        return conflict(
            "it was deleted by an older version, which did not note what the node was made of; \
             make a new node from what is kept",
        );
    };
    let kept = kept(record);
    let mut lost = Vec::new();
    let found = put_together(record, was, &kept, &mut lost);
    if !lost.is_empty() && !accept_loss {
        return Err(NotDone::Conflict(format!(
            "the deletion took what cannot be brought back: {}; accept that loss \
             (--accept-loss), or leave the node deleted",
            lost.join("; ")
        )));
    }
    *record = found;
    back(record);
    let needed: BTreeSet<String> = record
        .kept
        .pending_deletion
        .iter()
        .map(|s| s.id.clone())
        .filter(|id| retention::is_needed(record, id))
        .collect();
    record.kept.pending_deletion.retain(|s| !needed.contains(&s.id));
    Ok(())
}

/// What an undelete would not bring back, in words for people.
pub(crate) fn losses(record: &Record) -> Vec<String> {
    let mut lost = Vec::new();
    if let Some(was) = record.lifecycle.tombstone().filter(|_| record.lifecycle.is_deleted()) {
        put_together(record, was, &kept(record), &mut lost);
    }
    lost
}

fn back(record: &mut Record) {
    record.lifecycle = NodeLifecycle::Paused;
    record.blocked.goes_on();
}

/// What waits for its grace, and whose deletion has not left.
fn kept(record: &Record) -> BTreeSet<String> {
    let retire = record.work.as_ref().and_then(|r| r.rows.get(&Row::Retire));
    let leaves = |id: &str| {
        retire
            .and_then(|row| row.calls.get(&format!("delete:{id}")))
            .is_some_and(|call| !matches!(call.state, CallState::Refused { .. }))
    };
    record.kept.pending_deletion.iter().map(|s| s.id.clone()).filter(|id| !leaves(id)).collect()
}

/// The record with what is kept of the node in its place; what is gone is named in `lost`.
fn put_together(
    record: &Record,
    was: &Tombstone,
    kept: &BTreeSet<String>,
    lost: &mut Vec<String>,
) -> Record {
    let mut next = record.clone();
    next.kept.final_snapshots = was.final_snapshots.clone();
    next.kept.final_snapshots.retain(|f| kept.contains(f.snapshot.as_str()));
    for last in &mut next.kept.final_snapshots {
        last.image.take_if(|image| !kept.contains(image.as_str()));
    }
    next.upkeep.sets = was.sets.clone();
    next.upkeep.sets.retain(|set| set.snapshots.values().all(|s| kept.contains(s.as_str())));
    root(&mut next, was, kept, lost);
    let mut volumes = was.data.clone();
    for data in &mut volumes {
        let DataHead::Volume { id, .. } = &data.head else { continue };
        if kept.contains(id.as_str()) {
            continue;
        }
        let newest = newest(&next, &data.device);
        // A final snapshot of the last generation is begun after its fence: nothing is newer. What
        // was saved while that generation ran is older than what was on the volume.
        let has_all = |s: &Saved| s.is_final && s.generation == record.generations.number();
        if !newest.as_ref().is_some_and(has_all) {
            lost.push(match &newest {
                Some(s) => format!(
                    "{id} ({}), of which a snapshot of generation {} is kept",
                    data.device, s.generation
                ),
                None => format!("{id} ({}) with all that was on it", data.device),
            });
        }
        data.restore = newest.map(|s| s.point.snapshot);
        data.head = DataHead::Fresh;
        data.fs_uuid = None;
    }
    next.identity.data = volumes;
    for held in was.interface.iter().chain(&was.secondary) {
        if !kept.contains(held.id.as_str()) {
            lost.push(format!("the interface {} with its address {}", held.id, held.private_ip));
        }
    }
    next.identity.interface = was.interface.clone().filter(|i| kept.contains(i.id.as_str()));
    next.identity.secondary = was.secondary.clone();
    next.identity.secondary.retain(|i| kept.contains(i.id.as_str()));
    next
}

/// The newest that is kept of a volume, whether it was taken at an end or while the node ran.
fn newest(record: &Record, of: &str) -> Option<Saved> {
    rollback::kept_of(record, of).into_iter().next()
}

fn root(next: &mut Record, was: &Tombstone, kept: &BTreeSet<String>, lost: &mut Vec<String>) {
    next.identity.root = was.root.clone();
    let point = match &was.root {
        RootHead::Fresh => return,
        RootHead::Live { volume: Some(volume), .. } if kept.contains(volume.as_str()) => return,
        RootHead::Captured { snapshot, image, .. } => {
            if kept.contains(snapshot.as_str()) && kept.contains(image.as_str()) {
                return;
            }
            let is_it = |s: &Saved| &s.point.snapshot == snapshot;
            rollback::kept_of(next, "root").into_iter().find(is_it)
        }
        RootHead::Live { .. } => None,
    };
    let newest = newest(next, "root");
    if point.is_none() {
        let older =
            newest.as_ref().map(|s| format!(", of which generation {} is kept", s.generation));
        lost.push(format!("the root{}", older.unwrap_or_default()));
        next.identity.root = RootHead::Fresh;
    }
    // The way of a rollback: where the image is gone, it registers another of the same snapshot.
    next.identity.rollback = point.or(newest).map(|s| Rollback {
        generation: s.generation,
        root: Some(s.point),
        data: BTreeMap::new(),
        reason: "the root is made from its snapshot, for the deletion was taken back".to_owned(),
    });
}

/// Gives up one data volume of a paused node, with what is on it. A volume of the spec is made anew
/// at the next resume; one that its user attached is forgotten.
pub(crate) fn delete_volume(record: &mut Record, volume: &VolumeId) -> Result<(), NotDone> {
    let conflict = |why: String| Err(NotDone::Conflict(why));
    let busy = record.work.as_ref().is_some_and(|r| r.kind != Kind::Tidy);
    if record.lifecycle.goal() != Goal::Paused {
        return conflict("a volume can only be deleted while the node is paused".to_owned());
    }
    if record.instance.is_some() || busy {
        return conflict("the node is not paused yet; wait until it is".to_owned());
    }
    if matches!(&record.identity.root, RootHead::Live { volume: Some(root), .. } if root == volume)
    {
        let why =
            format!("{volume} is the node's root: return to an earlier one, or name another image");
        return conflict(why);
    }
    let is_it = |head: &DataHead| matches!(head, DataHead::Volume { id, .. } if id == volume);
    let Some(index) = record.identity.data.iter().position(|d| is_it(&d.head)) else {
        let there: Vec<String> = record
            .identity
            .data
            .iter()
            .filter_map(|d| match &d.head {
                DataHead::Volume { id, .. } => Some(format!("{id} ({})", d.device)),
                DataHead::Fresh => None,
            })
            .collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        return conflict(format!("{volume} is no data volume of the node; its volumes: {there}"));
    };
    let data = &mut record.identity.data[index];
    data.head = DataHead::Fresh;
    data.fs_uuid = None;
    data.restore = None;
    if data.user_attached.is_some() {
        record.identity.data.remove(index);
    }
    retention::supersede(record, volume.as_str(), retention::ASKED_FOR, 0);
    Ok(())
}
