//! A launch whose answer is that its instance has been terminated since: the answer got lost, and
//! the instance was lost before the launch could be repeated. It reads like a refusal, and it is
//! none: the launch has left, and what its instance wrote is the newest there is.

use crate::context::desk::{Asked, Desk};
use holdfast_model::facts::{Fact, ResourceKind, VolumeState};
use holdfast_model::record::RootHead;
use holdfast_model::{CallState, EventCode, Row, Time, VolumeId, tags};

/// EC2's code for it (EC2 API reference, "Error codes for the Amazon EC2 API").
const CODE: &str = "IdempotentInstanceTerminated";

/// What is known of the instance.
pub(crate) enum Ended {
    /// The launch was answered in another way, or not yet.
    No,
    /// It is not known yet which instance it was.
    Waiting,
    /// It is still shown: the launch counts as answered with it, and so it is lost.
    Seen,
    /// It is shown no more. Its root volume, if that was kept, is free.
    Vanished(Option<VolumeId>),
}

/// Takes the root volume that the instance has left over as where the root's newest content is.
pub(crate) fn take_root(desk: &mut Desk<'_>, root: VolumeId) {
    if let RootHead::Live { volume, .. } = &mut desk.record.identity.root {
        *volume = Some(root);
    }
    tell(desk);
}

/// Looks which instance the launch made.
pub(crate) fn look(desk: &mut Desk<'_>) -> Ended {
    let name = desk.launch_name();
    let since = match desk.standing(Row::Launch, &name) {
        Some(Asked::Refused { error, at, .. }) if error.code == CODE => at,
        _ => return Ended::No,
    };
    let call = desk.row(Row::Launch).and_then(|row| row.calls.get(&name));
    let Some(token) = call.map(|call| call.token.0.clone()) else { return Ended::No };
    let (world, us) = (desk.scene.world, desk.scene.installation);
    let made = world.ours(&desk.record.id, us).find_map(|fact| match fact {
        Fact::Instance(i) if i.tags.get(tags::TOKEN) == Some(&token) => Some(i.id.0.clone()),
        _ => None,
    });
    if made.is_some() {
        let row = desk.record.work.as_mut().and_then(|r| r.rows.get_mut(&Row::Launch));
        if let Some(call) = row.and_then(|row| row.calls.get_mut(&name)) {
            call.state = CallState::Done { id: made };
        }
        tell(desk);
        return Ended::Seen;
    }
    vanished(desk, since)
}

fn tell(desk: &mut Desk<'_>) {
    let message = "the next instance was lost before its launch was answered".to_owned();
    desk.tell(EventCode::LaunchLost, message);
}

/// Terminated instances are shown for about an hour; what is not shown by a whole look that began
/// after the answer has ended before that.
fn vanished(desk: &mut Desk<'_>, since: Time) -> Ended {
    let certain = since.plus(desk.scene.tuning.consistency_window);
    let swept = |kind| desk.scene.world.swept(kind).is_some_and(|asked| asked > certain);
    if !swept(ResourceKind::Instance) || !swept(ResourceKind::Volume) {
        desk.wait("a whole look, for the instance of a launch that has ended already");
        return Ended::Waiting;
    }
    let RootHead::Live { volume: None, generation, .. } = &desk.record.identity.root else {
        return Ended::Vanished(None);
    };
    let wanted = generation.to_string();
    let (world, us) = (desk.scene.world, desk.scene.installation);
    let root = world.ours(&desk.record.id, us).find_map(|fact| match fact {
        Fact::Volume(v)
            if v.tags.get(tags::GENERATION) == Some(&wanted)
                && v.tags.get(tags::ROLE).is_some_and(|role| !role.starts_with("data:")) =>
        {
            Some((v.id.clone(), v.state))
        }
        _ => None,
    });
    match root {
        Some((id, state)) if state != VolumeState::Available => {
            desk.watch(id.as_str(), format!("the volume {id} to be free"));
            Ended::Waiting
        }
        Some((id, _)) => Ended::Vanished(Some(id)),
        None => Ended::Vanished(None),
    }
}
