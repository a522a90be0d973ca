//! Retire: delete what is superseded. The last word on every deletion is
//! [`retention::is_needed`].

use crate::context::desk::{Asked, Desk, MAX_ATTEMPTS, pause};
use crate::context::progress::Progress;
use crate::life::deallocation;
use crate::life::release;
use crate::parts::joined;
use crate::parts::network;
use crate::parts::retention;
use holdfast_model::facts::ResourceKind;
use holdfast_model::record::Due;
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::{
    CallState, Command, EventCode, ImageId, InstanceId, InterfaceId, Kind, Row, SnapshotId,
    VolumeId,
};

/// How long a deletion that was refused again and again is left alone.
const REFUSED_GRACE: u64 = HOUR;
/// How long a deletion may go without a definite answer (it is in use, say).
const PATIENCE: u64 = 5 * MINUTE;
/// The most deletions under way for one node.
const MAX_AT_ONCE: usize = 16;

/// Deletes, images before the snapshots they need.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    if desk.kind() == Some(Kind::Delete) && !desk.record.lifecycle.is_deleted() {
        if !desk.scene.world.is_swept() {
            desk.wait("a whole look at what the node has");
            return Progress::Waiting;
        }
        if desk.lets_instance_go() {
            if !release::is_seen(desk) {
                return Progress::Waiting;
            }
        } else if desk.record.instance.is_some() {
            // It was to be let go, and has ended or been stopped meanwhile: it is ended, and what it
            // held is looked at, before any of that is given up.
            stop_after_all(desk);
            return Progress::Waiting;
        } else if !network::let_address_go(desk) {
            return Progress::Waiting;
        }
        deallocation::give_up(desk);
    }
    settle(desk);
    let mut due: Vec<String> = desk
        .record
        .kept
        .pending_deletion
        .iter()
        .filter(|s| s.is_due())
        .map(|s| s.id.clone())
        .collect();
    due.sort_by_key(|id| order(id));
    let images_left = due.iter().any(|id| id.starts_with("ami-"));
    let mut left = 0;
    for id in due {
        if retention::is_needed(&desk.record, &id) {
            let message = format!("{id} was to be deleted but is needed: it stays");
            desk.tell(EventCode::Kept, message);
            desk.record.kept.pending_deletion.retain(|s| s.id != id);
            continue;
        }
        let Some(command) = deletion(&id) else {
            desk.record.kept.pending_deletion.retain(|s| s.id != id);
            continue;
        };
        left += 1;
        if (images_left && id.starts_with("snap-")) || left > MAX_AT_ONCE {
            continue;
        }
        delete(desk, &id, command);
    }
    if !joined::untag(desk) {
        left += 1;
    }
    if !release::untag(desk) {
        left += 1;
    }
    if left == 0 { Progress::Done } else { Progress::Waiting }
}

/// The rows that end the instance were done because it was to be let go: they run after all.
fn stop_after_all(desk: &mut Desk<'_>) {
    if let Some(r) = desk.record.work.as_mut() {
        for row in [Row::Drain, Row::Stop, Row::Fence] {
            if let Some(state) = r.rows.get_mut(&row) {
                (state.started_at, state.done_at) = (None, None);
            }
        }
    }
    desk.wait("the instance to be ended, which cannot be let go any more");
}

/// Asks for a deletion; a refusal is tried again after a pause, and at last left to later.
fn delete(desk: &mut Desk<'_>, id: &str, command: Command) {
    let name = format!("delete:{id}");
    desk.wait(format!("{id} to be deleted"));
    match desk.standing(Row::Retire, &name) {
        None => desk.start(Row::Retire, &name, |_, _| command),
        Some(Asked::Refused { error, at, attempt }) if attempt < MAX_ATTEMPTS => {
            let next = at.plus(pause(desk.scene.tuning.retry_base, attempt));
            if desk.scene.now >= next {
                desk.start(Row::Retire, &name, |_, _| command);
            } else {
                desk.wake_at(next);
                desk.wait(format!("{id} to be deleted: {error}"));
            }
        }
        Some(Asked::Refused { error, .. }) => later(desk, id, &error.to_string()),
        Some(Asked::Waiting) => {
            let asked = desk.row(Row::Retire).and_then(|row| row.calls.get(&name)).map(|c| c.at);
            let end = asked.unwrap_or(desk.scene.now).plus(PATIENCE);
            if desk.scene.now >= end {
                later(desk, id, "the cloud gives no definite answer");
            } else {
                desk.wake_at(end);
            }
        }
        Some(Asked::Done(_)) => {}
    }
}

/// Leaves a deletion to a later replacement, and says so.
fn later(desk: &mut Desk<'_>, id: &str, why: &str) {
    let message = format!("{id} could not be deleted: {why}; it is tried again later");
    desk.tell(EventCode::NotDeleted, message);
    deallocation::count_now(&mut desk.record, desk.scene.now);
    for kept in desk.record.kept.pending_deletion.iter_mut().filter(|s| s.id == id) {
        kept.due = Due::after(REFUSED_GRACE);
    }
}

/// Forgets what has been deleted.
fn settle(desk: &mut Desk<'_>) {
    let Some(state) = desk.row(Row::Retire) else { return };
    let done: Vec<String> = state
        .calls
        .iter()
        .filter(|(_, call)| matches!(call.state, CallState::Done { .. }))
        .filter_map(|(name, _)| name.strip_prefix("delete:").map(str::to_owned))
        .collect();
    for id in done {
        desk.record.kept.pending_deletion.retain(|s| s.id != id);
    }
}

/// Images go before snapshots, for EC2 keeps a snapshot that an image needs.
fn order(id: &str) -> u8 {
    match ResourceKind::of_id(id) {
        Some(ResourceKind::Image) => 0,
        Some(ResourceKind::Instance) => 1,
        _ => 2,
    }
}

fn deletion(id: &str) -> Option<Command> {
    Some(match ResourceKind::of_id(id)? {
        ResourceKind::Instance => Command::TerminateInstances { instance: InstanceId::from(id) },
        ResourceKind::Volume => Command::DeleteVolume { volume: VolumeId::from(id) },
        ResourceKind::Snapshot => Command::DeleteSnapshot { snapshot: SnapshotId::from(id) },
        ResourceKind::Image => Command::DeregisterImage { image: ImageId::from(id) },
        ResourceKind::Interface => {
            Command::DeleteNetworkInterface { interface: InterfaceId::from(id) }
        }
    })
}
