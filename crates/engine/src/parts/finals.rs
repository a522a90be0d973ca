//! Final snapshots: what a generation left, begun after its fence.

use crate::context::desk::Desk;
use crate::parts::retention::supersede;
use holdfast_model::facts::SnapshotState;
use holdfast_model::record::{DataHead, FinalSnapshot, Record, RootHead};
use holdfast_model::replacement::RowState;
use holdfast_model::{CallState, Command, ErrorClass, ImageId, Known, Row, SnapshotId, VolumeId};
use std::collections::BTreeMap;

/// The name of the call that saves the root.
pub(crate) const ROOT_SNAPSHOT: &str = "root-snapshot";
/// How the names of the calls begin that save data; the device follows.
pub(crate) const SNAPSHOT: &str = "snapshot:";

/// A replacement that has launched nothing is given up, or goes on as one that does not need what it
/// has saved: that is kept as what its generation left. Its volume may have been deleted from outside
/// a moment ago, and this be the last copy.
pub(crate) fn keep_saved(desk: &mut Desk<'_>, from: Option<u64>, rows: &BTreeMap<Row, RowState>) {
    let Some(row) = rows.get(&Row::Capture).filter(|_| desk.record.generations.current() == from)
    else {
        return;
    };
    let from = from.unwrap_or_default();
    for (name, call) in &row.calls {
        let (Command::CreateSnapshot { volume, .. }, CallState::Done { id: Some(id) }) =
            (&call.command, &call.state)
        else {
            continue;
        };
        let of = if name == ROOT_SNAPSHOT { "root" } else { name.trim_start_matches(SNAPSHOT) };
        let is_better = match desk.scene.world.snapshot(id) {
            Known::Present(s) if s.state == SnapshotState::Completed => true,
            Known::Present(s) if s.state == SnapshotState::Error => false,
            Known::Absent => false,
            // It may still come to nothing.
            Known::Present(_) | Known::Unknown => final_of(desk, of, from).is_none(),
        };
        let is_known = desk.record.kept.final_snapshots.iter().any(|f| f.snapshot.as_str() == id);
        if is_better && !is_known && is_head(&desk.record, volume) {
            let last = taken(desk, from, of, &SnapshotId::from(id.as_str()), volume);
            note(desk, last);
        }
    }
}

/// Notes a final snapshot, in the place of an earlier one of the same content, unless that is what a
/// person returns to.
pub(crate) fn note(desk: &mut Desk<'_>, last: FinalSnapshot) {
    let record = &mut desk.record;
    let rollback = record.identity.rollback.iter();
    let returns = rollback.flat_map(|r| r.data.values().chain(r.root.iter().map(|p| &p.snapshot)));
    let begins = record.identity.data.iter().filter_map(|d| d.restore.as_ref());
    let chosen: Vec<SnapshotId> = returns.chain(begins).cloned().collect();
    let gives_way = |f: &mut FinalSnapshot| {
        let same = f.of == last.of && f.generation == last.generation;
        same && !f.set_aside && !chosen.contains(&f.snapshot)
    };
    let earlier: Vec<FinalSnapshot> =
        record.kept.final_snapshots.extract_if(.., gives_way).collect();
    record.kept.final_snapshots.push(last);
    for FinalSnapshot { snapshot, image, .. } in earlier {
        let ids = image.iter().map(ImageId::as_str).chain([snapshot.as_str()]);
        ids.for_each(|id| supersede(record, id, "a newer one has its content", 0));
    }
}

/// Whether a volume is where the newest content of the root or of a device is.
pub(crate) fn is_head(record: &Record, volume: &VolumeId) -> bool {
    let root = matches!(&record.identity.root, RootHead::Live { volume: Some(head), .. } if head == volume);
    root || record
        .identity
        .data
        .iter()
        .any(|d| matches!(&d.head, DataHead::Volume { id, .. } if id == volume))
}

/// A final snapshot that has been taken of a volume.
pub(crate) fn taken(
    desk: &Desk<'_>,
    generation: u64,
    of: &str,
    snapshot: &SnapshotId,
    volume: &VolumeId,
) -> FinalSnapshot {
    let world = desk.scene.world;
    let begun = world.snapshot(snapshot.as_str()).present().map(|s| s.started_at);
    FinalSnapshot {
        generation,
        of: of.to_owned(),
        snapshot: snapshot.clone(),
        image: None,
        taken_at: begun.unwrap_or(desk.scene.now),
        size_gib: world.volume(volume.as_str()).present().map(|v| v.size_gib),
        ready: desk.record.generations.has_been_ready(generation),
        set_aside: false,
        origin: None,
    }
}

/// The final snapshot of what a generation wrote, if it has been taken (by a pause, say).
pub(crate) fn final_of(desk: &Desk<'_>, of: &str, generation: u64) -> Option<SnapshotId> {
    let found = desk
        .record
        .kept
        .final_snapshots
        .iter()
        .rfind(|f| f.of == of && f.generation == generation)?;
    Some(found.snapshot.clone())
}

/// A snapshot or image that came to nothing counts as a refusal of its call, so that it is tried again.
pub(crate) fn refuse(desk: &mut Desk<'_>, name: &str, id: &str) {
    let at = desk.scene.now;
    let state = desk.record.work.as_mut().and_then(|r| r.rows.get_mut(&Row::Capture));
    if let Some(call) = state.and_then(|row| row.calls.get_mut(name)) {
        call.state = holdfast_model::CallState::Refused {
            error: holdfast_model::CloudError {
                class: ErrorClass::Refused,
                code: "Client.InvalidState".to_owned(),
                message: format!("{id} failed or was deleted from outside"),
            },
            at,
        };
    }
}
