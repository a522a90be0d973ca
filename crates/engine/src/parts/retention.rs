//! What is kept, for how long, and what may go.

use crate::parts::standing_by;
use holdfast_model::record::{
    DataHead, DataVolume, Due, FinalSnapshot, PendingDeletion, Record, RootHead, SnapshotSet,
};

/// Final snapshots that are kept for the root and for each device: those of the last generations.
pub const FINALS_KEPT: usize = 3;

/// Why a volume goes that its user has deleted.
pub const ASKED_FOR: &str = "its user deleted it";

/// Of generations that never became ready and gave way to a person's word, so many are kept beside
/// those: the word can be taken back.
pub const SET_ASIDE_KEPT: usize = 1;

/// Snapshots taken while a node runs that are kept: so many of all its volumes together.
pub const SETS_KEPT: usize = 3;

/// Moves final snapshots beyond the last [`FINALS_KEPT`] generations that became ready (and
/// [`SET_ASIDE_KEPT`]) to what is superseded. What a generation wrote that never became ready lives
/// on in the next one, so it goes.
pub fn expire(record: &mut Record) {
    let mut kept: Vec<FinalSnapshot> = Vec::new();
    let mut expired = Vec::new();
    for last in std::mem::take(&mut record.kept.final_snapshots).into_iter().rev() {
        let most = match (last.ready, last.set_aside) {
            (true, _) => FINALS_KEPT,
            (false, true) => SET_ASIDE_KEPT,
            (false, false) => 0,
        };
        let newer = kept.iter().filter(|k| k.of == last.of && k.ready == last.ready).count();
        let is_head = match &record.identity.root {
            RootHead::Captured { snapshot, .. } => snapshot == &last.snapshot,
            // It may still be the way back of a launch that comes to nothing.
            RootHead::Live { from: Some((snapshot, _, _)), .. } => snapshot == &last.snapshot,
            RootHead::Live { .. } | RootHead::Fresh => false,
        };
        let begins = |d: &DataVolume| d.restore.as_ref() == Some(&last.snapshot);
        // Nothing has been launched since it was taken: it is as new as its volume.
        let is_head = is_head
            || last.generation == record.generations.number()
            || record.identity.data.iter().any(begins);
        if newer < most || is_head { kept.push(last) } else { expired.push(last) }
    }
    kept.reverse();
    record.kept.final_snapshots = kept;
    for old in expired {
        let why = if old.ready {
            format!("{FINALS_KEPT} newer generations of {} are kept", old.of)
        } else {
            format!("generation {} never became ready", old.generation)
        };
        if let Some(image) = old.image {
            supersede(record, image.as_str(), &why, 0);
        }
        supersede(record, old.snapshot.as_str(), &why, 0);
    }
}

/// Notes that a resource is no longer needed. Twice is once.
pub fn supersede(record: &mut Record, id: &str, why: &str, grace_ms: u64) {
    let due = Due::after(grace_ms);
    if !record.kept.pending_deletion.iter().any(|s| s.id == id) {
        record.kept.pending_deletion.push(PendingDeletion {
            id: id.to_owned(),
            reason: why.to_owned(),
            due,
        });
    }
}

/// Whether the record still needs a resource: then it is never deleted, whatever list it is on.
#[must_use]
pub fn is_needed(record: &Record, id: &str) -> bool {
    let is_given_up = record.lifecycle.deallocation().is_some() && record.instance.is_none();
    !is_given_up && speaks_of(record, id)
}

/// Whether the record names a resource as something of the node's.
pub(crate) fn speaks_of(record: &Record, id: &str) -> bool {
    let root = match &record.identity.root {
        RootHead::Fresh => false,
        RootHead::Captured { snapshot, image, .. } => {
            snapshot.as_str() == id || image.as_str() == id
        }
        RootHead::Live { volume, from, .. } => {
            volume.as_ref().is_some_and(|v| v.as_str() == id)
                || from.as_ref().is_some_and(|(s, i, _)| s.as_str() == id || i.as_str() == id)
        }
    };
    let returns_to = record.identity.rollback.as_ref().is_some_and(|r| {
        r.data.values().any(|s| s.as_str() == id)
            || r.root.as_ref().is_some_and(|p| {
                p.snapshot.as_str() == id || p.image.as_ref().is_some_and(|i| i.as_str() == id)
            })
    });
    let in_set = |set: &SnapshotSet| set.snapshots.values().any(|s| s.as_str() == id);
    root || returns_to
        || record.upkeep.sets.iter().any(in_set)
        || record.identity.data.iter().any(|d| d.restore.as_ref().is_some_and(|s| s.as_str() == id))
        || record.instance.as_ref().is_some_and(|h| h.id.as_str() == id)
        || standing_by::instance(record) == Some(id)
        || record.identity.interfaces().any(|i| i.id.as_str() == id)
        || record.kept.final_snapshots.iter().any(|f| {
            f.snapshot.as_str() == id || f.image.as_ref().is_some_and(|i| i.as_str() == id)
        })
        || record.identity.data.iter().any(
            |d| matches!(&d.head, DataHead::Volume { id: volume, .. } if volume.as_str() == id),
        )
}
