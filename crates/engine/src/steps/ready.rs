//! Ready: open the gate, check health.

use crate::context::desk::{Asked, Desk};
use crate::context::progress::Progress;
use crate::parts::network;
use crate::parts::retention;
use holdfast_model::command::Mount;
use holdfast_model::facts::Health;
use holdfast_model::record::DataHead;
use holdfast_model::{Command, Known, Row};

/// Opens the gate for the generation's manifest, and waits for the status checks.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    let Some(holder) = desk.record.instance.clone() else { return Progress::Waiting };
    let Some(manifest) = manifest(desk) else { return Progress::Waiting };
    let instance = holder.id.clone();
    let mut interface = None;
    if let Some(kept) = desk.record.identity.interface.as_ref().map(|i| i.id.clone()) {
        match network::is_beside(desk, &holder, &kept) {
            Some(beside) => interface = beside.then_some(kept),
            None => {
                // A gate that opens without it would have the node known by another address.
                network::watch_primary(desk, &holder);
                return Progress::Waiting;
            }
        }
    }
    let asked =
        desk.ask(Row::Ready, "gate", |_, _| Command::OpenGate { instance, manifest, interface });
    if !matches!(asked, Asked::Done(_)) {
        return Progress::Waiting;
    }
    match desk.scene.world.instance(holder.id.as_str()) {
        Known::Present(i) if i.health == Health::Ok => {
            // Only what reached this point is a generation that retention counts.
            desk.record.generations.note_ready();
            retention::expire(&mut desk.record);
            Progress::Done
        }
        _ => {
            desk.watch(holder.id.as_str(), format!("the status checks of {}", holder.id));
            Progress::Waiting
        }
    }
}

/// What must be mounted: every device of the spec, by its filesystem, which never changes.
fn manifest(desk: &mut Desk<'_>) -> Option<Vec<Mount>> {
    let mut manifest = Vec::new();
    for wanted in desk.volumes() {
        let data = desk.record.identity.data.iter().find(|d| d.device == wanted.device)?.clone();
        let DataHead::Volume { id, .. } = data.head else { return None };
        let seen = match desk.scene.world.volume(id.as_str()) {
            Known::Present(v) => v.fs_uuid.clone(),
            // The node mounts what has the filesystem that is known, and nothing else.
            _ if data.fs_uuid.is_some() => None,
            _ => {
                desk.watch(id.as_str(), format!("a look at the filesystem of {id}"));
                return None;
            }
        };
        if let (Some(known), Some(seen)) = (&data.fs_uuid, &seen)
            && known != seen
        {
            let what = format!(
                "{id} holds the filesystem {seen}, but {} of this node is {known}; nothing was \
                 mounted",
                wanted.device
            );
            desk.need_decision(Row::Ready, what.clone());
            desk.wait(what);
            return None;
        }
        let fs_uuid = data.fs_uuid.or(seen);
        if let Some(d) = desk.record.identity.data.iter_mut().find(|d| d.device == wanted.device) {
            d.fs_uuid.clone_from(&fs_uuid);
        }
        manifest.push(Mount { volume: id, device: wanted.device, fs_uuid, target: wanted.mount });
    }
    Some(manifest)
}
