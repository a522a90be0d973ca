//! Back to an earlier content, on a person's word: what can be returned to, and how it takes the
//! place of the newest. Nothing is lost by it: what gives way is captured first and kept, so that
//! the word can be taken back. Another image in the spec is such a word, too.

use crate::context::desk::{Asked, Desk};
use crate::context::refusal::NotDone;
use crate::parts::finals::refuse;
use holdfast_model::facts::{ImageState, SnapshotState};
use holdfast_model::record::{
    FinalSnapshot, Question, Record, Rollback, RootHead, RootPoint, SnapshotSet,
};
use holdfast_model::spec::{BlockDevicesMode, ROOT_DEVICES};
use holdfast_model::time::MINUTE;
use holdfast_model::user::{Choice, Target};
use holdfast_model::{Command, EventCode, ImageId, Kind, Known, Row, SnapshotId};
use std::collections::{BTreeMap, BTreeSet};

/// Takes a user's word for a rollback; everything that can be refused is refused here.
pub(crate) fn hear(record: &mut Record, to: &Target, data: Option<bool>) -> Result<(), NotDone> {
    let spec = record.document.spec().map_err(NotDone::Invalid)?;
    let generation = match to {
        Target::Generation(generation) => *generation,
        Target::Snapshot(id) => record
            .kept
            .final_snapshots
            .iter()
            .find(|f| &f.snapshot == id)
            .map(|f| f.generation)
            .or_else(|| set_with(record, id).map(|set| set.generation))
            .ok_or_else(|| nothing_there(record, &format!("{id} is not kept of this node")))?,
    };
    let set = match to {
        Target::Snapshot(id) => set_with(record, id),
        Target::Generation(_)
            if record.kept.final_snapshots.iter().any(|f| f.generation == generation) =>
        {
            None
        }
        Target::Generation(_) => {
            record.upkeep.sets.iter().rev().find(|s| s.generation == generation)
        }
    };
    let of = |what: &str| -> Option<RootPoint> {
        if let Some(set) = set {
            return Some(RootPoint {
                snapshot: set.snapshots.get(what)?.clone(),
                image: None,
                origin: set.origin.clone(),
                taken_at: set.begun_at,
            });
        }
        let last = record
            .kept
            .final_snapshots
            .iter()
            .rev()
            .find(|f| f.generation == generation && f.of == what)?;
        Some(RootPoint {
            snapshot: last.snapshot.clone(),
            image: last.image.clone(),
            origin: last.origin.clone(),
            taken_at: last.taken_at,
        })
    };
    let root = of("root").filter(|_| spec.persistence.root);
    if spec.persistence.root && root.is_none() {
        let why = format!("no root of generation {generation} is kept");
        return Err(nothing_there(record, &why));
    }
    let mut returning = BTreeMap::new();
    let mut staying = Vec::new();
    if data.unwrap_or(spec.persistence.data == Some(BlockDevicesMode::OnLaunch)) {
        for wanted in &spec.data {
            match of(&wanted.device) {
                Some(f) => drop(returning.insert(wanted.device.clone(), f.snapshot)),
                None if data == Some(true) => {
                    let why = format!(
                        "no snapshot of {} of generation {generation} is kept",
                        wanted.device
                    );
                    return Err(nothing_there(record, &why));
                }
                None => staying.push(wanted.device.clone()),
            }
        }
        for volume in &record.identity.data {
            let Some(joined) = &volume.user_attached else { continue };
            if spec.data.iter().any(|wanted| wanted.device == volume.device) {
                continue;
            }
            // Before it joined, the device was another volume's, or nobody's.
            match of(&volume.device).filter(|point| point.taken_at >= joined.since) {
                Some(f) => drop(returning.insert(volume.device.clone(), f.snapshot)),
                None => staying.push(volume.device.clone()),
            }
        }
    } else {
        staying.extend(spec.data.iter().map(|wanted| wanted.device.clone()));
        staying.extend(
            record
                .identity
                .data
                .iter()
                .filter(|d| d.user_attached.is_some())
                .map(|d| d.device.clone()),
        );
    }
    if root.is_none() && returning.is_empty() {
        let why = format!("generation {generation} left nothing that the node keeps");
        return Err(nothing_there(record, &why));
    }
    let is_there = root.as_ref().is_none_or(|point| {
        matches!(&record.identity.root, RootHead::Captured { snapshot, .. } if snapshot == &point.snapshot)
    });
    if is_there && returning.is_empty() {
        let why = format!("the node is where generation {generation} left it");
        return Err(NotDone::Conflict(why));
    }
    let mut parts: Vec<&str> = root.iter().map(|_| "root").collect();
    parts.extend(returning.keys().map(String::as_str));
    let mut reason = format!("the user returns to generation {generation} ({})", parts.join(", "));
    staying.sort();
    staying.dedup();
    if !staying.is_empty() {
        let newest = if staying.len() == 1 { "stays at its" } else { "stay at their" };
        reason.push_str(&format!("; {} {newest} newest content", staying.join(", ")));
    }
    record.lifecycle.run();
    record.lifecycle.set_recycle(false);
    record.identity.rollback = Some(Rollback { generation, root, data: returning, reason });
    Ok(())
}

fn set_with<'a>(record: &'a Record, id: &SnapshotId) -> Option<&'a SnapshotSet> {
    record.upkeep.sets.iter().find(|set| set.snapshots.values().any(|s| s == id))
}

/// A person accepts that what was lost begins with what is kept of it. Nothing else gives way.
pub(crate) fn restore(record: &mut Record) -> Result<(), NotDone> {
    let lost = record.blocked.asked().map(|s| s.restore()).unwrap_or_default();
    let mut rollback = Rollback {
        generation: 0,
        root: None,
        data: BTreeMap::new(),
        reason: "the user restores what was lost".to_owned(),
    };
    for (of, snapshot) in lost {
        let saved = kept_of(record, &of).into_iter().find(|s| s.point.snapshot == snapshot);
        let Some(saved) = saved else { continue };
        rollback.generation = rollback.generation.max(saved.generation);
        rollback.reason.push_str(&format!("; {of} from {snapshot}"));
        if of == "root" {
            rollback.root = Some(saved.point);
        } else {
            rollback.data.insert(of, snapshot);
        }
    }
    if rollback.root.is_none() && rollback.data.is_empty() {
        return Err(NotDone::Conflict("there is nothing to restore from".to_owned()));
    }
    record.identity.rollback = Some(rollback);
    Ok(())
}

/// Something that is kept of a volume.
pub(crate) struct Saved {
    /// The generation that it is of.
    pub(crate) generation: u64,
    /// Whether it was taken after that generation's fence, and not while it ran.
    pub(crate) is_final: bool,
    /// Where it is.
    pub(crate) point: RootPoint,
}

/// All that is kept of a volume, newest first.
pub(crate) fn kept_of(record: &Record, of: &str) -> Vec<Saved> {
    let of_sets = record.upkeep.sets.iter().filter_map(|set| {
        let point = RootPoint {
            snapshot: set.snapshots.get(of)?.clone(),
            image: None,
            origin: set.origin.clone(),
            taken_at: set.begun_at,
        };
        Some(Saved { generation: set.generation, is_final: false, point })
    });
    let finals = record.kept.final_snapshots.iter().filter(|f| f.of == of).map(|f| {
        let point = RootPoint {
            snapshot: f.snapshot.clone(),
            image: f.image.clone(),
            origin: f.origin.clone(),
            taken_at: f.taken_at,
        };
        Saved { generation: f.generation, is_final: true, point }
    });
    let mut all: Vec<Saved> = of_sets.chain(finals).collect();
    // A final snapshot is the last of its generation. Of two that are alike, the later one counts.
    all.sort_by_key(|s| (s.generation, s.is_final, s.point.taken_at));
    all.reverse();
    all
}

/// What holds a volume's newest content was deleted from outside: a person is asked, and is told
/// what is left of it and how old that is.
pub(crate) fn lost(desk: &mut Desk<'_>, row: Row, id: &str, of: &str) {
    let world = desk.scene.world;
    let good = |s: &Saved| match world.snapshot(s.point.snapshot.as_str()) {
        Known::Absent => false,
        Known::Present(seen) => seen.state == SnapshotState::Completed,
        Known::Unknown => true,
    };
    let saved = kept_of(&desk.record, of).into_iter().find(good);
    let what = format!("{id}, which holds the content of {of}, was deleted from outside");
    desk.need_decision(row, what.clone());
    desk.wait(what.clone());
    let asked = desk.record.blocked.asked_mut(row);
    let Some(stuck) = asked else { return };
    let Question::Asked { choices, restore } = &mut stuck.question else { return };
    let Some(Saved { point, .. }) = saved else {
        restore.remove(of);
        return;
    };
    if restore.get(of) == Some(&point.snapshot) {
        return;
    }
    let minutes = stuck.since.since(point.taken_at) / MINUTE;
    let told = format!(
        "; restore brings {of} back from {}, of {minutes} minutes before, and accepts the loss of \
         what was written since",
        point.snapshot
    );
    // Whatever was asked before, this is why.
    if restore.is_empty() {
        stuck.why = what;
    }
    stuck.why.push_str(&told);
    restore.insert(of.to_owned(), point.snapshot);
    if !choices.contains(&Choice::Restore) {
        choices.push(Choice::Restore);
    }
    let message = stuck.why.clone();
    desk.tell(EventCode::CanBeRestored, message);
}

/// Whether a person has accepted that this volume begins with an earlier content.
pub(crate) fn returns(record: &Record, of: &str) -> bool {
    record
        .identity
        .rollback
        .as_ref()
        .is_some_and(|r| if of == "root" { r.root.is_some() } else { r.data.contains_key(of) })
}

fn nothing_there(record: &Record, why: &str) -> NotDone {
    let finals = record.kept.final_snapshots.iter().map(|f| f.generation);
    let sets = record.upkeep.sets.iter().map(|s| s.generation);
    let kept: BTreeSet<u64> = finals.chain(sets).collect();
    let kept: Vec<String> = kept.iter().map(u64::to_string).collect();
    let there = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
    NotDone::Conflict(format!("{why}; generations that are kept: {there}"))
}

/// The replacement in flight, which has launched nothing yet, goes on as a rollback.
pub(crate) fn join(desk: &mut Desk<'_>) {
    let Some(reason) = desk.record.identity.rollback.as_ref().map(|r| r.reason.clone()) else {
        return;
    };
    let Some(r) = desk.record.work.as_mut() else { return };
    let again = r.rows.get_mut(&Row::Capture).and_then(|row| row.done_at.take()).is_some();
    if r.kind == Kind::Rollback && !again {
        return;
    }
    r.kind = Kind::Rollback;
    r.reason.clone_from(&reason);
    desk.record.blocked.goes_on();
    desk.tell(EventCode::Begun(Kind::Rollback), reason);
}

/// Puts the chosen content in the place of the newest, which has been captured. True once it is.
pub(crate) fn put_in_place(desk: &mut Desk<'_>) -> bool {
    let chosen =
        desk.record.identity.rollback.clone().filter(|_| desk.kind() == Some(Kind::Rollback));
    let Some(rollback) = chosen else { return true };
    let mut head = None;
    if let Some(point) = &rollback.root {
        let Some(image) = image_of(desk, point) else { return false };
        let Known::Present(seen) = desk.scene.world.image(image.as_str()) else {
            desk.watch(image.as_str(), format!("a look at the image {image}"));
            return false;
        };
        let root_device = seen.root_device.clone();
        head = Some(RootHead::Captured { snapshot: point.snapshot.clone(), image, root_device });
    }
    let (last, first) = (desk.record.generations.number(), rollback.root.is_some());
    for gives_way in desk.record.kept.final_snapshots.iter_mut().filter(|f| f.generation == last) {
        let returns = rollback.data.contains_key(&gives_way.of);
        gives_way.set_aside |= returns || (first && gives_way.of == "root");
    }
    if let Some(head) = head {
        desk.record.identity.root = head;
    }
    for data in &mut desk.record.identity.data {
        if let Some(snapshot) = rollback.data.get(&data.device) {
            data.restore = Some(snapshot.clone());
        }
    }
    // What the spec's image was until now, the user knew; only the next change of it counts.
    desk.record.identity.image_followed = Some(desk.spec.image.clone());
    desk.record.identity.rollback = None;
    let message = format!(
        "generation {} is next's beginning; what generation {last} left is kept",
        rollback.generation
    );
    desk.tell(EventCode::RolledBack, message);
    true
}

/// The image of a root to return to: registered now, where there is none.
pub(crate) fn image_of(desk: &mut Desk<'_>, point: &RootPoint) -> Option<ImageId> {
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
            crate::parts::retention::supersede(&mut desk.record, &id, "the image failed", 0);
            refuse(desk, &name, &id);
            return None;
        }
        _ => {
            desk.watch(&id, format!("the image {id} to be available"));
            return None;
        }
    }
    let image = ImageId(id);
    for set in &mut desk.record.upkeep.sets {
        // From here on it is kept like a final one.
        set.snapshots.retain(|_, s| s != &point.snapshot);
    }
    match desk.record.kept.final_snapshots.iter_mut().find(|f| f.snapshot == point.snapshot) {
        Some(known) => known.image = Some(image.clone()),
        None => {
            let generation = desk.record.identity.rollback.as_ref().map_or(0, |r| r.generation);
            desk.record.kept.final_snapshots.insert(
                0,
                FinalSnapshot {
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
    match &record.identity.root {
        RootHead::Captured { root_device, .. }
        | RootHead::Live { root_device: Some(root_device), .. } => root_device.clone(),
        RootHead::Live { from: Some((_, _, device)), .. } => device.clone(),
        RootHead::Live { .. } | RootHead::Fresh => ROOT_DEVICES[0].to_owned(),
    }
}

/// The image that the root in a final snapshot began with.
pub(crate) fn origin_of(record: &Record, snapshot: &SnapshotId) -> Option<ImageId> {
    let last = record.kept.final_snapshots.iter().find(|f| &f.snapshot == snapshot);
    last.and_then(|f| f.origin.clone()).or_else(|| record.identity.image_followed.clone())
}

/// Whether the next instance boots from another image because the spec names one that the newest
/// launch did not know. The root that gives way is kept, and people are told how to return to it.
pub(crate) fn changes_image(desk: &mut Desk<'_>, old: &SnapshotId) -> bool {
    let wanted = desk.spec.image.clone();
    if desk.record.identity.image_followed.as_ref().is_none_or(|followed| followed == &wanted) {
        return false;
    }
    let mut generation = 0;
    for gives_way in desk.record.kept.final_snapshots.iter_mut().filter(|f| &f.snapshot == old) {
        gives_way.set_aside = true;
        generation = gives_way.generation;
    }
    let message = format!(
        "the spec names another image: the root begins anew with {wanted}; the one before is kept \
         as generation {generation}, to roll back to"
    );
    desk.tell(EventCode::ImageChanged, message);
    true
}
