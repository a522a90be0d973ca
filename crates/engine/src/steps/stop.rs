//! Stop: terminate the instance, once it is certain that nothing kept would die with it.

use crate::canary::Canary;
use crate::desk::{Asked, Desk};
use crate::joined;
use crate::replacement::Progress;
use crate::retention;
use crate::steps::standby;
use holdfast_model::facts::InstanceState;
use holdfast_model::record::RootHead;
use holdfast_model::{Command, Kind, Known, Row};

/// Terminates the holder. A `stopped` one-time spot instance counts as lost, and is terminated too.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    if desk.lets_instance_go() {
        return Progress::Done;
    }
    standby::look_elsewhere(desk);
    let Some(holder) = desk.record.holder.clone() else { return Progress::Done };
    let instance = match desk.scene.world.instance(holder.id.as_str()) {
        Known::Absent => return Progress::Done,
        Known::Unknown => {
            desk.watch(holder.id.as_str(), format!("{} to be visible", holder.id));
            return Progress::Waiting;
        }
        Known::Present(instance) => instance.clone(),
    };
    learn_root(desk, &instance);
    match instance.state {
        InstanceState::Terminated => return Progress::Done,
        InstanceState::ShuttingDown => {
            if desk.planted(Canary::LaunchBeforeFence) {
                return Progress::Done;
            }
            desk.watch(holder.id.as_str(), format!("{} to be terminated", holder.id));
            return Progress::Waiting;
        }
        _ => {}
    }
    if desk.kind() != Some(Kind::Delete) && joined::notice(desk) {
        return Progress::Waiting;
    }
    let mut endangered = false;
    for attachment in &instance.attachments {
        let dies_anyway = attachment.device == instance.root_device && !desk.spec.persistence.root;
        let kept = !dies_anyway && retention::is_needed(&desk.record, attachment.volume.as_str());
        if kept && attachment.delete_on_termination {
            endangered = true;
            let (id, device) = (holder.id.clone(), attachment.device.clone());
            desk.ask(Row::Stop, &format!("keep:{device}"), |_, _| {
                Command::SetDeleteOnTermination { instance: id, device, value: false }
            });
        }
    }
    if endangered {
        desk.watch(holder.id.as_str(), "every kept volume to outlive the instance");
        return Progress::Waiting;
    }
    let id = holder.id.clone();
    let asked =
        desk.ask(Row::Stop, "terminate", |_, _| Command::TerminateInstances { instance: id });
    if matches!(asked, Asked::Done(_)) {
        desk.watch(holder.id.as_str(), format!("{} to be terminated", holder.id));
    }
    Progress::Waiting
}

/// Remembers which volume the root is, while the instance still shows it.
pub(crate) fn learn_root(desk: &mut Desk<'_>, instance: &holdfast_model::facts::InstanceFact) {
    let seen = instance.attachments.iter().find(|a| a.device == instance.root_device);
    if let (Some(attachment), RootHead::Live { volume, root_device, .. }) =
        (seen, &mut desk.record.root)
    {
        volume.get_or_insert_with(|| attachment.volume.clone());
        root_device.get_or_insert_with(|| instance.root_device.clone());
    }
}
