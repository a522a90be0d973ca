//! What is kept, for how long, and what may go.

use holdfast_model::record::{DataHead, Record, RootHead, Superseded};
use holdfast_model::replacement::RowState;
use holdfast_model::{CallState, Row};
use std::collections::BTreeMap;

/// Final snapshots that are kept for the root and for each device: those of the last generations.
pub const FINALS_KEPT: usize = 3;

/// Moves final snapshots beyond [`FINALS_KEPT`] to what is superseded.
pub fn expire(record: &mut Record) {
    let mut kept: Vec<holdfast_model::record::Final> = Vec::new();
    let mut expired = Vec::new();
    for last in record.finals.drain(..).rev() {
        let newer = kept.iter().filter(|k| k.of == last.of).count();
        if newer < FINALS_KEPT { kept.push(last) } else { expired.push(last) }
    }
    kept.reverse();
    record.finals = kept;
    for old in expired {
        let why = format!("{FINALS_KEPT} newer generations of {} are kept", old.of);
        if let Some(image) = old.image {
            supersede(record, image.as_str(), &why, 0);
        }
        supersede(record, old.snapshot.as_str(), &why, 0);
    }
}

/// Notes that a resource is no longer needed. Twice is once.
pub fn supersede(record: &mut Record, id: &str, why: &str, grace_ms: u64) {
    if !record.superseded.iter().any(|s| s.id == id) {
        record.superseded.push(Superseded { id: id.to_owned(), reason: why.to_owned(), grace_ms });
    }
}

/// What calls have made and the record does not speak of, when the rows of those calls are given
/// up: it was made for nothing, and must not be forgotten.
pub fn supersede_unrecorded(record: &mut Record, rows: &BTreeMap<Row, RowState>) {
    let made: Vec<String> = rows
        .values()
        .flat_map(|row| row.calls.values())
        .filter(|call| call.command.makes().is_some())
        .filter_map(|call| match &call.state {
            CallState::Done { id } => id.clone(),
            CallState::Started | CallState::Refused { .. } => None,
        })
        .collect();
    for id in made {
        if !is_needed(record, &id) {
            supersede(record, &id, "it was made for a replacement that was overtaken", 0);
        }
    }
}

/// Whether the record still needs a resource: then it is never deleted, whatever list it is on.
#[must_use]
pub fn is_needed(record: &Record, id: &str) -> bool {
    if record.deallocation.is_some() && record.holder.is_none() {
        return false;
    }
    let root = match &record.root {
        RootHead::Fresh => false,
        RootHead::Captured { snapshot, image, .. } => {
            snapshot.as_str() == id || image.as_str() == id
        }
        RootHead::Live { volume, from, .. } => {
            volume.as_ref().is_some_and(|v| v.as_str() == id)
                || from.as_ref().is_some_and(|(s, i, _)| s.as_str() == id || i.as_str() == id)
        }
    };
    root || record.holder.as_ref().is_some_and(|h| h.id.as_str() == id)
        || record.interfaces().any(|i| i.id.as_str() == id)
        || record.finals.iter().any(|f| {
            f.snapshot.as_str() == id || f.image.as_ref().is_some_and(|i| i.as_str() == id)
        })
        || record.data.iter().any(
            |d| matches!(&d.head, DataHead::Volume { id: volume, .. } if volume.as_str() == id),
        )
}
