//! Back to an earlier content, on a person's word: what can be returned to, and how it takes the
//! place of the newest. Nothing is lost by it: what gives way is captured first and kept, so that
//! the word can be taken back. Another image in the spec is such a word, too.

use crate::desk::{Asked, Desk};
use crate::steps::capture::refuse;
use crate::words::NotDone;
use holdfast_model::facts::ImageState;
use holdfast_model::record::{Final, Goal, Record, Rollback, RootHead, RootPoint};
use holdfast_model::spec::{BlockDevicesMode, ROOT_DEVICES};
use holdfast_model::user::Target;
use holdfast_model::{Command, ImageId, Kind, Known, Row, Severity, SnapshotId};
use std::collections::{BTreeMap, BTreeSet};

/// Takes a user's word for a rollback; everything that can be refused is refused here.
pub(crate) fn hear(record: &mut Record, to: &Target, data: Option<bool>) -> Result<(), NotDone> {
    let spec = record.document.spec().map_err(NotDone::Invalid)?;
    let generation = match to {
        Target::Generation(generation) => *generation,
        Target::Snapshot(id) => record
            .finals
            .iter()
            .find(|f| &f.snapshot == id)
            .map(|f| f.generation)
            .ok_or_else(|| nothing_there(record, &format!("no generation left {id} behind")))?,
    };
    let of = |what: &str| {
        record.finals.iter().rev().find(|f| f.generation == generation && f.of == what)
    };
    let root = of("root").filter(|_| spec.persistence.root).map(|f| RootPoint {
        snapshot: f.snapshot.clone(),
        image: f.image.clone(),
        origin: f.origin.clone(),
        taken_at: f.taken_at,
    });
    if spec.persistence.root && root.is_none() {
        let why = format!("no root of generation {generation} is kept");
        return Err(nothing_there(record, &why));
    }
    let mut returning = BTreeMap::new();
    if data.unwrap_or(spec.persistence.data == Some(BlockDevicesMode::OnLaunch)) {
        for wanted in &spec.data {
            match of(&wanted.device) {
                Some(f) => drop(returning.insert(wanted.device.clone(), f.snapshot.clone())),
                None if data == Some(true) => {
                    let why = format!(
                        "no snapshot of {} of generation {generation} is kept",
                        wanted.device
                    );
                    return Err(nothing_there(record, &why));
                }
                None => {}
            }
        }
    }
    if root.is_none() && returning.is_empty() {
        let why = format!("generation {generation} left nothing that the node keeps");
        return Err(nothing_there(record, &why));
    }
    let is_there = root.as_ref().is_none_or(|point| {
        matches!(&record.root, RootHead::Captured { snapshot, .. } if snapshot == &point.snapshot)
    });
    if is_there && returning.is_empty() {
        let why = format!("the node is where generation {generation} left it");
        return Err(NotDone::Conflict(why));
    }
    let mut parts: Vec<&str> = root.iter().map(|_| "root").collect();
    parts.extend(returning.keys().map(String::as_str));
    let reason = format!("the user returns to generation {generation} ({})", parts.join(", "));
    record.goal = Goal::Running;
    record.recycle_wanted = false;
    record.rollback = Some(Rollback { generation, root, data: returning, reason });
    Ok(())
}

fn nothing_there(record: &Record, why: &str) -> NotDone {
    let kept: BTreeSet<u64> = record.finals.iter().map(|f| f.generation).collect();
    let kept: Vec<String> = kept.iter().map(u64::to_string).collect();
    let there = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
    NotDone::Conflict(format!("{why}; generations that are kept: {there}"))
}

/// The replacement in flight, which has launched nothing yet, goes on as a rollback.
pub(crate) fn join(desk: &mut Desk<'_>) {
    let Some(reason) = desk.record.rollback.as_ref().map(|r| r.reason.clone()) else { return };
    let Some(r) = desk.record.replacement.as_mut() else { return };
    let again = r.rows.get_mut(&Row::Capture).and_then(|row| row.done_at.take()).is_some();
    if r.kind == Kind::Rollback && !again {
        return;
    }
    r.kind = Kind::Rollback;
    r.reason.clone_from(&reason);
    desk.record.stuck = None;
    desk.tell(Severity::Info, Kind::Rollback.name(), reason);
}

/// Puts the chosen content in the place of the newest, which has been captured. True once it is.
pub(crate) fn put_in_place(desk: &mut Desk<'_>) -> bool {
    let chosen = desk.record.rollback.clone().filter(|_| desk.kind() == Some(Kind::Rollback));
    let Some(rollback) = chosen else { return true };
    let mut head = None;
    if let Some(point) = &rollback.root {
        let Some(image) = image_of(desk, point) else { return false };
        let seen = desk.scene.world.image(image.as_str()).present();
        let root_device = seen.map_or_else(|| device_of(&desk.record), |i| i.root_device.clone());
        head = Some(RootHead::Captured { snapshot: point.snapshot.clone(), image, root_device });
    }
    let (last, first) = (desk.record.generation, rollback.root.is_some());
    for gives_way in desk.record.finals.iter_mut().filter(|f| f.generation == last) {
        let returns = rollback.data.contains_key(&gives_way.of);
        gives_way.set_aside |= returns || (first && gives_way.of == "root");
    }
    if let Some(head) = head {
        desk.record.root = head;
    }
    for data in &mut desk.record.data {
        if let Some(snapshot) = rollback.data.get(&data.device) {
            data.restore = Some(snapshot.clone());
        }
    }
    // What the spec's image was until now, the user knew; only the next change of it counts.
    desk.record.image_followed = Some(desk.spec.image.clone());
    desk.record.rollback = None;
    let message = format!(
        "generation {} is next's beginning; what generation {last} left is kept",
        rollback.generation
    );
    desk.tell(Severity::Warn, "rolled-back", message);
    true
}

/// The image of a root to return to: registered now, where there is none.
fn image_of(desk: &mut Desk<'_>, point: &RootPoint) -> Option<ImageId> {
    if let Some(image) = &point.image
        && !desk.scene.world.image(image.as_str()).is_absent()
    {
        return Some(image.clone());
    }
    let source = point.snapshot.clone();
    let root_device = device_of(&desk.record);
    let like = point.origin.clone().unwrap_or_else(|| desk.spec.image.clone());
    let name = format!("image-of:{source}");
    let asked = desk.ask(Row::Capture, &name, |desk, token| Command::RegisterImage {
        name: token.0.clone(),
        snapshot: source,
        like,
        root_device,
        tags: desk.tags("root", &token),
    });
    let Asked::Done(Some(id)) = asked else { return None };
    match desk.scene.world.image(&id) {
        Known::Present(i) if i.state == ImageState::Available => {}
        Known::Absent => {
            refuse(desk, &name, &id);
            return None;
        }
        Known::Present(i) if i.state == ImageState::Failed => {
            crate::retention::supersede(&mut desk.record, &id, "the image failed", 0);
            refuse(desk, &name, &id);
            return None;
        }
        _ => {
            desk.watch(&id, format!("the image {id} to be available"));
            return None;
        }
    }
    let image = ImageId(id);
    match desk.record.finals.iter_mut().find(|f| f.snapshot == point.snapshot) {
        Some(known) => known.image = Some(image.clone()),
        None => {
            let generation = desk.record.rollback.as_ref().map_or(0, |r| r.generation);
            desk.record.finals.insert(
                0,
                Final {
                    generation,
                    of: "root".to_owned(),
                    snapshot: point.snapshot.clone(),
                    image: Some(image.clone()),
                    taken_at: point.taken_at,
                    size_gib: None,
                    ready: true,
                    set_aside: false,
                    origin: point.origin.clone(),
                },
            );
        }
    }
    Some(image)
}

fn device_of(record: &Record) -> String {
    match &record.root {
        RootHead::Captured { root_device, .. }
        | RootHead::Live { root_device: Some(root_device), .. } => root_device.clone(),
        RootHead::Live { from: Some((_, _, device)), .. } => device.clone(),
        RootHead::Live { .. } | RootHead::Fresh => ROOT_DEVICES[0].to_owned(),
    }
}

/// The image that the root in a final snapshot began with.
pub(crate) fn origin_of(record: &Record, snapshot: &SnapshotId) -> Option<ImageId> {
    let last = record.finals.iter().find(|f| &f.snapshot == snapshot);
    last.and_then(|f| f.origin.clone()).or_else(|| record.image_followed.clone())
}

/// Whether the next instance boots from another image because the spec names one that the newest
/// launch did not know. The root that gives way is kept, and people are told how to return to it.
pub(crate) fn changes_image(desk: &mut Desk<'_>, old: &SnapshotId) -> bool {
    let wanted = desk.spec.image.clone();
    if desk.record.image_followed.as_ref().is_none_or(|followed| followed == &wanted) {
        return false;
    }
    let mut generation = 0;
    for gives_way in desk.record.finals.iter_mut().filter(|f| &f.snapshot == old) {
        gives_way.set_aside = true;
        generation = gives_way.generation;
    }
    let message = format!(
        "the spec names another image: the root begins anew with {wanted}; the one before is kept \
         as generation {generation}, to roll back to"
    );
    desk.tell(Severity::Warn, "image-changed", message);
    true
}
