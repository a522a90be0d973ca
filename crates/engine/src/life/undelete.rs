//! Bringing back a node that was given up, and giving up one volume of a node that is paused: the two
//! words about what a deallocation keeps and deletes.

use crate::context::refusal::NotDone;
use crate::life::rollback::{self, Saved};
use crate::parts::retention;
use holdfast_model::record::{DataHead, GivenUp, Goal, Record, Rollback, RootHead};
use holdfast_model::{CallState, Kind, Row, VolumeId};
use std::collections::{BTreeMap, BTreeSet};

/// Takes a deletion back: the node is paused, with all of it that is still there. What is gone makes
/// this a refusal, unless its loss is accepted.
pub(crate) fn hear(record: &mut Record, accept_loss: bool) -> Result<(), NotDone> {
    let conflict = |why: &str| Err(NotDone::Conflict(why.to_owned()));
    if record.goal != Goal::Deleted {
        return conflict("the node has not been deleted");
    }
    if record.let_go {
        return conflict(
            "its instance was let go: it runs on without Holdfast, with its volumes and its address",
        );
    }
    if !record.deallocated {
        back(record);
        return Ok(());
    }
    let Some(was) = record.given_up.clone() else {
        return conflict(
            "it was deleted by an older version, which did not note what the node was made of; \
             make a new node from what is kept",
        );
    };
    let kept = kept(record);
    let mut lost = Vec::new();
    let found = put_together(record, &was, &kept, &mut lost);
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
        .superseded
        .iter()
        .map(|s| s.id.clone())
        .filter(|id| retention::is_needed(record, id))
        .collect();
    record.superseded.retain(|s| !needed.contains(&s.id));
    Ok(())
}

/// What an undelete would not bring back, in words for people.
pub(crate) fn losses(record: &Record) -> Vec<String> {
    let mut lost = Vec::new();
    if let Some(was) = record.given_up.as_deref().filter(|_| record.deallocated) {
        put_together(record, was, &kept(record), &mut lost);
    }
    lost
}

fn back(record: &mut Record) {
    record.goal = Goal::Paused;
    record.deallocation = None;
    record.deallocated = false;
    record.given_up = None;
    record.stuck = None;
}

/// What waits for its grace, and whose deletion has not left.
fn kept(record: &Record) -> BTreeSet<String> {
    let retire = record.replacement.as_ref().and_then(|r| r.rows.get(&Row::Retire));
    let leaves = |id: &str| {
        retire
            .and_then(|row| row.calls.get(&format!("delete:{id}")))
            .is_some_and(|call| !matches!(call.state, CallState::Refused { .. }))
    };
    record.superseded.iter().map(|s| s.id.clone()).filter(|id| !leaves(id)).collect()
}

/// The record with what is kept of the node in its place; what is gone is named in `lost`.
fn put_together(
    record: &Record,
    was: &GivenUp,
    kept: &BTreeSet<String>,
    lost: &mut Vec<String>,
) -> Record {
    let mut next = record.clone();
    next.finals = was.finals.clone();
    next.finals.retain(|f| kept.contains(f.snapshot.as_str()));
    for last in &mut next.finals {
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
        let has_all = |s: &Saved| s.is_final && s.generation == record.generation;
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
    next.data = volumes;
    for held in was.interface.iter().chain(&was.secondary) {
        if !kept.contains(held.id.as_str()) {
            lost.push(format!("the interface {} with its address {}", held.id, held.private_ip));
        }
    }
    next.interface = was.interface.clone().filter(|i| kept.contains(i.id.as_str()));
    next.secondary = was.secondary.clone();
    next.secondary.retain(|i| kept.contains(i.id.as_str()));
    next
}

/// The newest that is kept of a volume, whether it was taken at an end or while the node ran.
fn newest(record: &Record, of: &str) -> Option<Saved> {
    rollback::kept_of(record, of).into_iter().next()
}

fn root(next: &mut Record, was: &GivenUp, kept: &BTreeSet<String>, lost: &mut Vec<String>) {
    next.root = was.root.clone();
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
        next.root = RootHead::Fresh;
    }
    // The way of a rollback: where the image is gone, it registers another of the same snapshot.
    next.rollback = point.or(newest).map(|s| Rollback {
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
    let busy = record.replacement.as_ref().is_some_and(|r| r.kind != Kind::Tidy);
    if record.goal != Goal::Paused {
        return conflict("a volume can only be deleted while the node is paused".to_owned());
    }
    if record.holder.is_some() || busy {
        return conflict("the node is not paused yet; wait until it is".to_owned());
    }
    if matches!(&record.root, RootHead::Live { volume: Some(root), .. } if root == volume) {
        let why =
            format!("{volume} is the node's root: return to an earlier one, or name another image");
        return conflict(why);
    }
    let is_it = |head: &DataHead| matches!(head, DataHead::Volume { id, .. } if id == volume);
    let Some(index) = record.data.iter().position(|d| is_it(&d.head)) else {
        let there: Vec<String> = record
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
    let data = &mut record.data[index];
    data.head = DataHead::Fresh;
    data.fs_uuid = None;
    data.restore = None;
    if data.joined.is_some() {
        record.data.remove(index);
    }
    retention::supersede(record, volume.as_str(), retention::ASKED_FOR, 0);
    Ok(())
}
