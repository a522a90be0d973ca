//! Stop: terminate the instance, once it is certain that nothing kept dies with it.
//!
//! Whether a volume dies with its instance can be changed by anybody who may write to the account,
//! at any moment, and no read is young enough to rely on. So it is not looked at but *set*, after the
//! drain, for all kept volumes in one request, and only its success lets the termination leave, for a
//! few seconds. Whatever delays the termination longer (a refusal, an empty bucket, an answer that
//! got lost, another process), it is set again first.

use crate::context::desk::{Asked, Desk, pause};
use crate::context::progress::Progress;
use crate::context::scene::Scene;
use crate::life::release;
use crate::parts::joined;
use crate::parts::retention;
use crate::steps::standby;
use holdfast_model::facts::{Attachment, Fact, InstanceFact, InstanceState};
use holdfast_model::record::{DataVolume, Record, RootHead};
use holdfast_model::replacement::Call;
use holdfast_model::time::SECOND;
use holdfast_model::{CallState, Command, InstanceId, Kind, Known, Row, Spec, Time};

/// The name of the call that lets the kept volumes outlive the instance.
const KEEP: &str = "keep";
/// The name of the call that ends the instance.
const TERMINATE: &str = "terminate";
/// How old the answer to [`KEEP`] may be when the termination leaves, in milliseconds.
const HOLDS: u64 = 2 * SECOND;
/// EC2's code for a call that an instance takes only while it runs or is stopped (EC2 API reference,
/// error codes).
const ENDING: &str = "IncorrectInstanceState";
/// The code under which Holdfast itself holds a termination back until [`KEEP`] is answered anew.
pub const KEEP_FIRST: &str = "KeepFirst";

/// Terminates the holder. A `stopped` one-time spot instance counts as lost, and is terminated too.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    if desk.lets_instance_go() {
        // Only what is seen to live can be let go.
        return if release::is_seen(desk) { Progress::Done } else { Progress::Waiting };
    }
    standby::look_elsewhere(desk);
    let Some(holder) = desk.record.instance.clone() else { return Progress::Done };
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
            desk.watch(holder.id.as_str(), format!("{} to be terminated", holder.id));
            return Progress::Waiting;
        }
        _ => {}
    }
    if desk.kind() != Some(Kind::Delete) && joined::notice(desk) {
        return Progress::Waiting;
    }
    if desk.is_due(Row::Stop, TERMINATE) || is_refused_by_us(desk) {
        let devices = kept_devices(&desk.record, &desk.spec, &instance);
        if !devices.is_empty() && !outlive(desk, &holder.id, devices) {
            return Progress::Waiting;
        }
        if is_refused_by_us(desk) {
            let id = holder.id.clone();
            desk.start(Row::Stop, TERMINATE, |_, _| Command::TerminateInstances { instance: id });
        }
    }
    let id = holder.id.clone();
    let asked = desk.ask(Row::Stop, TERMINATE, |_, _| Command::TerminateInstances { instance: id });
    if matches!(asked, Asked::Done(_)) {
        desk.watch(holder.id.as_str(), format!("{} to be terminated", holder.id));
    }
    Progress::Waiting
}

/// Devices of an instance whose volumes outlive it, in the order in which it shows them.
fn kept_devices(record: &Record, spec: &Spec, instance: &InstanceFact) -> Vec<String> {
    let kept = |held: &&Attachment| {
        let is_root = held.device == instance.root_device;
        let joined = |d: &DataVolume| d.device == held.device && d.user_attached.is_some();
        let is_kept = match (is_root, spec.persistence.data) {
            (true, _) => spec.persistence.root,
            (false, Some(_)) => true,
            // What its user attached is theirs, whatever becomes of the node's own.
            (false, None) => record.identity.data.iter().any(joined),
        };
        is_kept && retention::is_needed(record, held.volume.as_str())
    };
    instance.attachments.iter().filter(kept).map(|held| held.device.clone()).collect()
}

/// Lets these devices' volumes outlive the instance, whatever it shows of that: anybody may have
/// changed it since, and a Describe may be minutes behind. True as soon as the cloud has said that
/// it is so, and for [`holds`] from then on.
fn outlive(desk: &mut Desk<'_>, instance: &InstanceId, devices: Vec<String>) -> bool {
    // An attempt to terminate that was refused has used the answer up.
    let refused = match desk.standing(Row::Stop, TERMINATE) {
        Some(Asked::Refused { at, .. }) => at,
        _ => Time(0),
    };
    let keep = desk.row(Row::Stop).and_then(|row| row.calls.get(KEEP));
    let is_done = keep.is_some_and(|call| matches!(call.state, CallState::Done { .. }));
    let now = desk.scene.now;
    let in_time = |call: &Call| holds(call, now, at_first(call));
    let is_newer = |call: &Call| call.answered_at.is_some_and(|at| at >= refused);
    if keep.is_some_and(|call| in_time(call) && is_newer(call) && names(call, &devices)) {
        return true;
    }
    desk.watch(instance.as_str(), "every kept volume to outlive the instance");
    if let Some(Asked::Refused { error, at, .. }) = desk.standing(Row::Stop, KEEP)
        && error.code == ENDING
    {
        // It ends, and that shows as soon as Describe is no longer behind.
        let shown = at.plus(desk.scene.tuning.consistency_window);
        if desk.scene.now < shown {
            desk.wake_at(shown);
            return false;
        }
    }
    let id = instance.clone();
    let command =
        |_: &Desk<'_>, _| Command::SetDeleteOnTermination { instance: id, devices, value: false };
    if is_done {
        desk.start(Row::Stop, KEEP, command);
    } else {
        desk.ask(Row::Stop, KEEP, command);
    }
    false
}

/// Whether a call has set what it was to set, at most so many milliseconds ago.
fn holds(call: &Call, now: Time, most: u64) -> bool {
    matches!(call.state, CallState::Done { .. })
        && call.answered_at.is_some_and(|at| at <= now && now.since(at) <= most)
}

/// How old the answer may be when the termination leaves for the first time, in milliseconds: twice
/// as old each time that it came too late, so that a slow host ends its instances as well.
fn at_first(call: &Call) -> u64 {
    pause(HOLDS, call.attempt)
}

/// Whether a call names all of these devices.
fn names(call: &Call, devices: &[String]) -> bool {
    match &call.command {
        Command::SetDeleteOnTermination { devices: named, value: false, .. } => {
            devices.iter().all(|device| named.contains(device))
        }
        _ => false,
    }
}

/// Whether the termination was held back by [`comes_too_late`].
fn is_refused_by_us(desk: &Desk<'_>) -> bool {
    matches!(
        desk.standing(Row::Stop, TERMINATE),
        Some(Asked::Refused { error, .. }) if error.code == KEEP_FIRST
    )
}

/// How often a termination has left already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// Never.
    First,
    /// Once or more, and nobody knows what came of it.
    Again,
    /// An earlier process, whose clock nobody knows, may have let it leave.
    Anew,
}

/// Whether a termination of the node's instance must not leave, because it is not certain any more
/// that its kept volumes outlive it. It is asked each time that the request is about to leave.
#[must_use]
pub fn comes_too_late(
    record: &Record,
    command: &Command,
    leaves: Leaves,
    scene: &Scene<'_>,
) -> bool {
    let Command::TerminateInstances { instance } = command else { return false };
    let Some(replacement) = &record.work else { return false };
    if record.instance.as_ref().is_none_or(|holder| &holder.id != instance) {
        return false;
    }
    let keep = replacement.rows.get(&Row::Stop).and_then(|row| row.calls.get(KEEP));
    let held = |devices: &[String]| {
        let most = |call: &Call| match leaves {
            Leaves::First => Some(at_first(call)),
            Leaves::Again => Some(HOLDS),
            Leaves::Anew => None,
        };
        let in_time = |call: &Call| most(call).is_some_and(|most| holds(call, scene.now, most));
        keep.is_some_and(|call| in_time(call) && names(call, devices))
    };
    match (scene.world.last_seen(instance.as_str()), replacement.document.spec()) {
        // It ends already: nothing can be set any more, and nothing is done by this request.
        (Some(Fact::Instance(i)), _) if is_ending(i.state) => false,
        (Some(Fact::Instance(i)), Ok(spec)) => {
            let devices = kept_devices(record, &spec, i);
            !devices.is_empty() && !held(&devices)
        }
        // Nobody knows what it holds.
        _ => !held(&[]),
    }
}

fn is_ending(state: InstanceState) -> bool {
    matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated)
}

/// Remembers which volume the root is, while the instance still shows it.
pub(crate) fn learn_root(desk: &mut Desk<'_>, instance: &InstanceFact) {
    let seen = instance.attachments.iter().find(|a| a.device == instance.root_device);
    if let (Some(attachment), RootHead::Live { volume, root_device, .. }) =
        (seen, &mut desk.record.identity.root)
    {
        volume.get_or_insert_with(|| attachment.volume.clone());
        root_device.get_or_insert_with(|| instance.root_device.clone());
    }
}
