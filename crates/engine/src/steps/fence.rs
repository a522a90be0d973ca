//! Fence: the old generation can write no more. Nothing is done here; it is looked at, and only
//! what was positively seen counts.

use crate::context::desk::Desk;
use crate::context::progress::Progress;
use crate::life::release;
use crate::life::rollback;
use crate::parts::joined;
use crate::parts::retention::supersede;
use crate::steps::standby;
use holdfast_model::facts::{Fact, InterfaceState, ResourceKind, VolumeState};
use holdfast_model::record::{DataHead, MAX_SPOT_LIFETIMES, RootHead, SpotLifetime};
use holdfast_model::{Kind, Known, Lifecycle, Row, VolumeId, tags};

/// Looks at every volume and the interface; then the identity has no holder any more.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    if desk.lets_instance_go() {
        return if release::is_seen(desk) { Progress::Done } else { Progress::Waiting };
    }
    standby::look_elsewhere(desk);
    if !find_root(desk) {
        return Progress::Waiting;
    }
    let persistence = desk.spec.persistence;
    let mut free = true;
    if let (true, RootHead::Live { volume: Some(id), kept, .. }) =
        (persistence.root, desk.record.identity.root.clone())
    {
        if !kept && desk.scene.world.volume(id.as_str()).is_absent() {
            // It was launched before the user asked for its root to be kept, and died as agreed.
            desk.record.identity.root = RootHead::Fresh;
        } else if ended_at_launch(desk) && desk.scene.world.volume(id.as_str()).is_absent() {
            // It was seen while it was made, and went with the launch: nobody has run on it.
            desk.record.identity.root = desk.record.identity.root.before_launch();
        } else {
            free &= is_free(desk, &id, "root");
        }
    }
    for data in desk.record.identity.data.clone() {
        if let DataHead::Volume { id, .. } = &data.head {
            free &= is_free(desk, id, &data.device);
        }
    }
    let interfaces: Vec<_> = desk.record.identity.interfaces().cloned().collect();
    for interface in interfaces {
        match desk.scene.world.interface(interface.id.as_str()) {
            Known::Present(i) if i.state == InterfaceState::Available => {}
            // Deleted from outside: nobody can use it. The launch makes it again, with its address.
            Known::Absent => {}
            _ => {
                let what = format!("the interface {} to be free", interface.id);
                desk.watch(interface.id.as_str(), what);
                free = false;
            }
        }
    }
    if !free {
        return Progress::Waiting;
    }
    let serial = desk.record.generations.number();
    if !persistence.root {
        // It died with its instance; if an instance was lost before that was set, it is left over.
        if let RootHead::Live { volume: Some(id), .. } = desk.record.identity.root.clone() {
            supersede(&mut desk.record, id.as_str(), "the root is not kept", 0);
        }
        desk.record.identity.root = RootHead::Fresh;
    }
    if persistence.data.is_none() {
        joined::let_go(desk);
        for index in 0..desk.record.identity.data.len() {
            let head =
                std::mem::replace(&mut desk.record.identity.data[index].head, DataHead::Fresh);
            desk.record.identity.data[index].fs_uuid = None;
            if let DataHead::Volume { id, .. } = head {
                let why = format!("data is not kept; generation {serial} is over");
                supersede(&mut desk.record, id.as_str(), &why, 0);
            }
        }
    }
    note_life(desk);
    desk.record.instance = None;
    Progress::Done
}

/// Whether a volume is positively attached to nothing.
fn is_free(desk: &mut Desk<'_>, id: &VolumeId, of: &str) -> bool {
    let data = desk.record.identity.data.iter().find(|d| d.device == of);
    let joined = data.is_some_and(|d| d.user_attached.is_some());
    // A volume that joined may not carry our tags yet: then no sweep shows it.
    let untagged = joined && desk.scene.world.last_seen(id.as_str()).is_none();
    // One that joined is asked about also where data is not kept: its user never said that it may go.
    let may_die = desk.spec.persistence.data.is_none() && data.is_some() && !joined;
    match desk.scene.world.volume(id.as_str()) {
        Known::Absent if untagged => {
            desk.watch(id.as_str(), format!("a look at the volume {id}"));
            false
        }
        Known::Absent if may_die => true,
        Known::Present(v) if v.state == VolumeState::Available && v.attached_to.is_none() => true,
        Known::Absent if desk.kind() == Some(Kind::Delete) => true,
        Known::Absent if rollback::returns(&desk.record, of) => true,
        // It begins with what was saved of it.
        Known::Absent if data.is_some_and(|d| d.restore.is_some()) => true,
        Known::Absent => {
            rollback::lost(desk, Row::Fence, id.as_str(), of);
            false
        }
        _ => {
            desk.watch(id.as_str(), format!("the volume {id} to be free"));
            false
        }
    }
}

/// Why an instance ended that never ran (EC2 API reference, StateReason: these are "at launch", or
/// say that what the launch needed was not to be had).
const AT_LAUNCH: [&str; 6] = [
    "Client.InternalError",
    "Client.InvalidSnapshot.NotFound",
    "Client.VolumeLimitExceeded",
    "Server.InsufficientInstanceCapacity",
    "Server.InsufficientVolumeCapacity",
    "Server.InternalError",
];

/// Whether the holder was never seen to run, and the cloud says that it ended while it was launched.
fn ended_at_launch(desk: &Desk<'_>) -> bool {
    let Some(holder) = &desk.record.instance else { return false };
    let never_ran = desk.record.memory.history.last().is_some_and(|h| {
        let ran = h.rows.iter().any(|(row, _, done)| *row == Row::Launch && done.is_some());
        h.lost_again && !ran
    });
    let seen = desk.scene.world.last_seen(holder.id.as_str());
    let Some(Fact::Instance(instance)) = seen else { return false };
    let reason = instance.reason.as_deref().unwrap_or_default();
    never_ran && AT_LAUNCH.iter().any(|code| reason.starts_with(code))
}

/// A launch that was lost before its root volume was seen: the volume is found by its tags; or,
/// if there positively is none, nothing was ever written and the root is where it was.
fn find_root(desk: &mut Desk<'_>) -> bool {
    let RootHead::Live { volume: None, generation, .. } = desk.record.identity.root.clone() else {
        return true;
    };
    let wanted = generation.to_string();
    let (world, us) = (desk.scene.world, desk.scene.installation);
    let found = world.ours(&desk.record.id, us).find_map(|fact| match fact {
        Fact::Volume(v)
            if v.tags.get(tags::GENERATION) == Some(&wanted)
                && v.tags.get(tags::ROLE).is_some_and(|role| !role.starts_with("data:")) =>
        {
            Some(v.id.clone())
        }
        _ => None,
    });
    if let (Some(id), RootHead::Live { volume, .. }) = (found, &mut desk.record.identity.root) {
        *volume = Some(id);
        return true;
    }
    let started = desk.row(Row::Fence).and_then(|r| r.started_at).unwrap_or(desk.scene.now);
    let certain = started.plus(desk.scene.tuning.consistency_window);
    match desk.scene.world.swept(ResourceKind::Volume) {
        Some(asked) if asked > certain => {
            desk.record.identity.root = desk.record.identity.root.before_launch();
            true
        }
        _ => {
            desk.wait("a whole look at the volumes, for the root of a launch that was lost early");
            false
        }
    }
}

/// What is learnt from the instance that is gone: how long it lived on its spot market.
fn note_life(desk: &mut Desk<'_>) {
    let Some(holder) = &desk.record.instance else { return };
    let Some(replacement) = desk.replacement() else { return };
    if holder.market.lifecycle != Lifecycle::Spot {
        return;
    }
    let life = SpotLifetime {
        market: holder.market.clone(),
        ended_at: replacement.started_at,
        lived_ms: replacement.started_at.since(holder.launched_at),
        lost: matches!(replacement.kind, Kind::Notice | Kind::Lost)
            || replacement.deadline.is_some(),
    };
    let lives = &mut desk.record.memory.spot_lifetimes;
    lives.push(life);
    let excess = lives.len().saturating_sub(MAX_SPOT_LIFETIMES);
    lives.drain(..excess);
}
