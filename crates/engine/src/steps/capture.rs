//! Capture: save what the next market needs, each begun after the fence.

use crate::context::desk::{Asked, Desk};
use crate::context::progress::Progress;
use crate::life::rollback;
use crate::parts::finals::{ROOT_SNAPSHOT, SNAPSHOT, final_of, note, refuse, taken};
use crate::parts::joined;
use crate::parts::retention::supersede;
use holdfast_model::facts::{ImageState, SnapshotState};
use holdfast_model::record::{DataHead, FinalSnapshot, RootHead, RootPoint};
use holdfast_model::spec::BlockDevicesMode;
use holdfast_model::{Command, EventCode, ImageId, Known, Row, SnapshotId, VolumeId};

/// Captures root and data side by side.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    let mut done = root(desk) & joined::tag(desk);
    for device in devices_to_capture(desk) {
        done &= data(desk, &device.0, &device.1);
    }
    done &= stay(desk);
    done = done && rollback::put_in_place(desk);
    if done { Progress::Done } else { Progress::Waiting }
}

/// The root travels as final snapshot and image.
fn root(desk: &mut Desk<'_>) -> bool {
    if !desk.spec.persistence.root {
        return true;
    }
    if let RootHead::Captured { snapshot, image, .. } = desk.record.identity.root.clone() {
        return captured(desk, snapshot, image);
    }
    let RootHead::Live { volume: Some(volume), generation, root_device, origin, .. } =
        desk.record.identity.root.clone()
    else {
        return true;
    };
    let is_gone = desk.scene.world.volume(volume.as_str()).is_absent();
    if is_gone && rollback::returns(&desk.record, "root") {
        // It was deleted from outside, and a person has accepted the loss.
        desk.record.identity.root = RootHead::Fresh;
        return true;
    }
    let root_device = root_device.unwrap_or_else(|| "/dev/xvda".to_owned());
    if is_gone && !is_begun(desk, ROOT_SNAPSHOT) {
        rollback::lost(desk, Row::Capture, volume.as_str(), "root");
        return false;
    }
    let Some(snapshot) = snapshot_of(desk, ROOT_SNAPSHOT, "root", &volume) else {
        return false;
    };
    let like = origin.clone().unwrap_or_else(|| desk.spec.image.clone());
    let (device, source) = (root_device.clone(), snapshot.clone());
    let asked = desk.ask(Row::Capture, "root-image", |desk, token| Command::RegisterImage {
        name: token.0.clone(),
        snapshot: source,
        like,
        root_device: device,
        tags: desk.tags("root", &token),
    });
    let Asked::Done(Some(image)) = asked else { return false };
    match desk.scene.world.image(&image) {
        Known::Present(i) if i.state == ImageState::Available => {}
        Known::Present(i) if i.state == ImageState::Failed => {
            supersede(&mut desk.record, &image, "the image failed", 0);
            refuse(desk, "root-image", &image);
            return false;
        }
        Known::Absent => {
            refuse(desk, "root-image", &image);
            return false;
        }
        _ => {
            desk.watch(&image, format!("the image {image} to be available"));
            return false;
        }
    }
    let image = ImageId(image);
    supersede(&mut desk.record, volume.as_str(), "its content is in the final snapshot", 0);
    let last = taken(desk, generation, "root", &snapshot, &volume);
    note(desk, FinalSnapshot { image: Some(image.clone()), origin, ..last });
    desk.record.identity.root = RootHead::Captured { snapshot, image, root_device };
    true
}

/// A root that was captured earlier (by a pause, say) must still be there. An image that was
/// deleted from outside is registered again from its snapshot.
fn captured(desk: &mut Desk<'_>, snapshot: SnapshotId, image: ImageId) -> bool {
    let world = desk.scene.world;
    if !world.image(image.as_str()).is_absent() || rollback::returns(&desk.record, "root") {
        return true;
    }
    if world.snapshot(snapshot.as_str()).is_absent() {
        rollback::lost(desk, Row::Capture, snapshot.as_str(), "root");
        return false;
    }
    let origin = rollback::origin_of(&desk.record, &snapshot);
    let point = RootPoint { snapshot, image: None, origin, taken_at: desk.scene.now };
    let Some(again) = rollback::image_of(desk, &point) else { return false };
    if let RootHead::Captured { image, .. } = &mut desk.record.identity.root {
        *image = again;
    }
    true
}

/// Devices whose content must travel as a snapshot to where the node goes.
fn devices_to_capture(desk: &Desk<'_>) -> Vec<(String, VolumeId)> {
    let Some(mode) = desk.spec.persistence.data else { return Vec::new() };
    let market = desk.market();
    desk.record
        .identity
        .data
        .iter()
        .filter(|d| {
            d.user_attached.is_some() || desk.spec.data.iter().any(|s| s.device == d.device)
        })
        .filter_map(|d| match &d.head {
            DataHead::Volume { id, zone } => {
                let moves = market.as_ref().is_some_and(|m| &m.zone != zone);
                let returns = desk
                    .record
                    .identity
                    .rollback
                    .as_ref()
                    .is_some_and(|r| r.data.contains_key(&d.device));
                let lost = returns && desk.scene.world.volume(id.as_str()).is_absent();
                // What begins with an older content needs nothing of its volume any more.
                let needed = d.restore.is_none()
                    && !lost
                    && (moves || returns || mode == BlockDevicesMode::OnLaunch);
                needed.then(|| (d.device.clone(), id.clone()))
            }
            DataHead::Fresh => None,
        })
        .collect()
}

/// Volumes that the next instance gets as they are must be there: nothing is launched without them.
/// One that was deleted from outside after it had been saved is made anew from that: nothing has
/// written to it since the fence.
fn stay(desk: &mut Desk<'_>) -> bool {
    let travel = devices_to_capture(desk);
    let mut there = true;
    for data in desk.record.identity.data.clone() {
        let (DataHead::Volume { id, .. }, device) = (&data.head, &data.device) else { continue };
        let wanted = desk.volumes().iter().any(|v| &v.device == device);
        // A volume that joined may not carry our tags: then no sweep shows it.
        let known =
            data.user_attached.is_none() || desk.scene.world.last_seen(id.as_str()).is_some();
        if !wanted
            || !known
            || desk.spec.persistence.data.is_none()
            || travel.iter().any(|(travels, _)| travels == device)
            || rollback::returns(&desk.record, device)
            || data.restore.is_some()
        {
            continue;
        }
        match desk.scene.world.volume(id.as_str()) {
            Known::Present(_) => {}
            Known::Unknown => {
                desk.watch(id.as_str(), format!("a look at the volume {id}"));
                there = false;
            }
            Known::Absent => there &= begin_with_what_was_saved(desk, device, id),
        }
    }
    there
}

/// A data volume is gone: what was saved of it since the fence takes its place, or a person is asked.
fn begin_with_what_was_saved(desk: &mut Desk<'_>, device: &str, gone: &VolumeId) -> bool {
    if !self::data(desk, device, gone) {
        return false;
    }
    let saved = final_of(desk, device, desk.record.generations.number());
    let found = desk.record.identity.data.iter_mut().find(|d| d.device == device);
    if let (Some(data), Some(saved)) = (found, saved) {
        let message = format!(
            "{gone} was deleted from outside; {saved}, taken after everything was written, has all \
             of {device}"
        );
        data.restore = Some(saved);
        desk.tell(EventCode::VolumeAgain, message);
    }
    true
}

/// Saves one data volume. Its content is safe once the snapshot has begun, whatever becomes of the
/// volume.
fn data(desk: &mut Desk<'_>, device: &str, volume: &VolumeId) -> bool {
    let name = format!("{SNAPSHOT}{device}");
    let is_gone = desk.scene.world.volume(volume.as_str()).is_absent();
    // What an earlier replacement saved of a volume that it did not need to save is as old as that:
    // meanwhile a person may have had the volume.
    let travels = desk.spec.persistence.data == Some(BlockDevicesMode::OnLaunch);
    let own = match desk.standing(Row::Capture, &name) {
        Some(Asked::Done(Some(id))) => Some(SnapshotId(id)),
        _ => None,
    };
    let is_own = own.is_some() && own == final_of(desk, device, desk.record.generations.number());
    if travels || is_own || (is_gone && !is_begun(desk, &name)) {
        match earlier(desk, device) {
            Earlier::Whole => return true,
            Earlier::Waiting => return false,
            Earlier::None => {}
        }
    }
    if is_gone && !is_begun(desk, &name) {
        rollback::lost(desk, Row::Capture, volume.as_str(), device);
        return false;
    }
    let role = format!("data:{device}");
    let Some(snapshot) = snapshot_of(desk, &name, &role, volume) else { return false };
    let generation = desk.record.generations.number();
    let last = taken(desk, generation, device, &snapshot, volume);
    note(desk, last);
    true
}

/// Whether a snapshot may have been begun by this call, and has not failed.
fn is_begun(desk: &Desk<'_>, name: &str) -> bool {
    matches!(desk.standing(Row::Capture, name), Some(Asked::Waiting | Asked::Done(Some(_))))
}

/// What an earlier attempt saved of a volume since the fence.
enum Earlier {
    /// All of it.
    Whole,
    /// That is not known yet.
    Waiting,
    /// Nothing that is there.
    None,
}

fn earlier(desk: &mut Desk<'_>, device: &str) -> Earlier {
    let Some(last) = final_of(desk, device, desk.record.generations.number()) else {
        return Earlier::None;
    };
    match desk.scene.world.snapshot(last.as_str()) {
        Known::Present(s) if s.state == SnapshotState::Completed => Earlier::Whole,
        Known::Present(s) if s.state == SnapshotState::Error => {
            desk.record.kept.final_snapshots.retain(|f| f.snapshot != last);
            supersede(&mut desk.record, last.as_str(), "the snapshot failed", 0);
            Earlier::None
        }
        Known::Absent => {
            desk.record.kept.final_snapshots.retain(|f| f.snapshot != last);
            Earlier::None
        }
        _ => {
            desk.watch(last.as_str(), format!("the snapshot {last} to be complete"));
            Earlier::Waiting
        }
    }
}

/// A complete snapshot of a volume, begun in this row.
fn snapshot_of(
    desk: &mut Desk<'_>,
    name: &str,
    role: &str,
    volume: &VolumeId,
) -> Option<SnapshotId> {
    let source = volume.clone();
    let asked = desk.ask(Row::Capture, name, |desk, token| Command::CreateSnapshot {
        volume: source,
        tags: desk.tags(role, &token),
    });
    let Asked::Done(Some(id)) = asked else { return None };
    match desk.scene.world.snapshot(&id) {
        Known::Present(s) if s.state == SnapshotState::Completed => Some(SnapshotId(id)),
        Known::Present(s) if s.state == SnapshotState::Error => {
            supersede(&mut desk.record, &id, "the snapshot failed", 0);
            refuse(desk, name, &id);
            None
        }
        Known::Absent => {
            refuse(desk, name, &id);
            None
        }
        _ => {
            desk.watch(&id, format!("the snapshot {id} of {volume} to be complete"));
            None
        }
    }
}
