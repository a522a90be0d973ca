//! Attach: give the instance its data volumes, its further interfaces and its Elastic IP.

use crate::context::desk::Desk;
use crate::context::progress::Progress;
use crate::parts::network;
use holdfast_model::record::DataHead;
use holdfast_model::{Command, Known, Row};

/// Attaches every device and interface of the spec, side by side.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    let Some(holder) = desk.record.instance.clone() else { return Progress::Waiting };
    let mut complete = network::attach(desk, &holder) & network::associate(desk, &holder);
    for wanted in desk.volumes() {
        let head = desk.record.identity.data.iter().find(|d| d.device == wanted.device);
        let Some(DataHead::Volume { id, .. }) = head.map(|d| d.head.clone()) else {
            desk.wait(format!("a volume for {}", wanted.device));
            complete = false;
            continue;
        };
        if let Known::Present(volume) = desk.scene.world.volume(id.as_str()) {
            if let Some((instance, device)) = &volume.attached_to
                && instance == &holder.id
                && device == &wanted.device
                && volume.attachment_settled
            {
                continue;
            }
            if let Some((other, _)) = volume.attached_to.clone()
                && other != holder.id
            {
                desk.ask_whose(id.as_str(), other.as_str());
                complete = false;
                continue;
            }
        }
        complete = false;
        let (volume, instance, device) = (id.clone(), holder.id.clone(), wanted.device.clone());
        desk.ask(Row::Attach, &format!("attach:{}", wanted.device), |_, _| Command::AttachVolume {
            volume,
            instance,
            device,
        });
        desk.watch(id.as_str(), format!("{id} to be attached as {}", wanted.device));
    }
    if complete { Progress::Done } else { Progress::Waiting }
}
