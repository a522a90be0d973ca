//! Retire: delete what is superseded. The last word on every deletion is
//! [`retention::is_needed`].

use crate::begin;
use crate::desk::Desk;
use crate::replacement::Progress;
use crate::retention;
use holdfast_model::facts::ResourceKind;
use holdfast_model::time::HOUR;
use holdfast_model::{
    CallState, Command, ImageId, InstanceId, InterfaceId, Kind, Row, Severity, SnapshotId, VolumeId,
};

/// How long a deletion that was refused waits for the next replacement to try it again.
const REFUSED_GRACE: u64 = HOUR;
/// The most deletions under way for one node.
const MAX_AT_ONCE: usize = 16;

/// Deletes, images before the snapshots they need.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    if desk.kind() == Some(Kind::Delete) && !desk.record.deallocated {
        begin::give_up(desk);
        desk.record.deallocated = true;
    }
    settle(desk);
    let mut due: Vec<String> =
        desk.record.superseded.iter().filter(|s| s.grace_ms == 0).map(|s| s.id.clone()).collect();
    due.sort_by_key(|id| order(id));
    let images_left = due.iter().any(|id| id.starts_with("ami-"));
    let mut left = 0;
    for id in due {
        if retention::is_needed(&desk.record, &id) {
            let message = format!("{id} was to be deleted but is needed: it stays");
            desk.tell(Severity::Warn, "kept", message);
            desk.record.superseded.retain(|s| s.id != id);
            continue;
        }
        let Some(command) = deletion(&id) else {
            desk.record.superseded.retain(|s| s.id != id);
            continue;
        };
        left += 1;
        if (images_left && id.starts_with("snap-")) || left > MAX_AT_ONCE {
            continue;
        }
        let name = format!("delete:{id}");
        if desk.standing(Row::Retire, &name).is_none() {
            desk.start(Row::Retire, &name, |_, _| command);
        }
        desk.wait(format!("{id} to be deleted"));
    }
    if left == 0 { Progress::Done } else { Progress::Waiting }
}

/// Draws the consequences of deletions that were answered.
fn settle(desk: &mut Desk<'_>) {
    let Some(state) = desk.row(Row::Retire) else { return };
    let mut done = Vec::new();
    let mut refused = Vec::new();
    for (name, call) in &state.calls {
        let Some(id) = name.strip_prefix("delete:") else { continue };
        match &call.state {
            CallState::Started => {}
            CallState::Done { .. } => done.push(id.to_owned()),
            CallState::Refused { error, .. } => refused.push((id.to_owned(), error.to_string())),
        }
    }
    for id in done {
        desk.record.superseded.retain(|s| s.id != id);
    }
    for (id, error) in refused {
        let mut told = false;
        for kept in desk.record.superseded.iter_mut().filter(|s| s.id == id && s.grace_ms == 0) {
            kept.grace_ms = REFUSED_GRACE;
            told = true;
        }
        if told {
            let message = format!("{id} could not be deleted: {error}; it is tried again later");
            desk.tell(Severity::Warn, "not-deleted", message);
        }
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
