//! Upkeep: what is done beside replacements, while the node runs. From time to time snapshots are
//! taken of everything whose content would travel as a snapshot, all at one instant. They are never
//! a head while the node runs: they make the final ones smaller, and are there to return to.

use crate::context::desk::{Asked, Desk};
use crate::parts::retention;
use holdfast_model::facts::{Fact, Health, InstanceState, SnapshotFact, SnapshotState};
use holdfast_model::record::{DataHead, Goal, RootHead, SnapshotSet};
use holdfast_model::spec::BlockDevicesMode;
use holdfast_model::time::HOUR;
use holdfast_model::{
    Command, EventCode, InstanceId, Known, Row, Shared, SnapshotId, Time, Token, VolumeId, tags,
};
use std::collections::BTreeMap;

/// How long a set may take until it is given up: the first snapshot of a large volume takes hours.
const PATIENCE: u64 = 6 * HOUR;
/// How long all of a set may take to be seen: then one of them was deleted from outside.
const UNSEEN: u64 = HOUR;
/// How many calls that were given up are remembered by their tokens.
const MAX_UNSEEN: usize = 8;
/// The most deletions under way for one node.
const MAX_AT_ONCE: usize = 8;

/// Does what is due.
pub(crate) fn step(desk: &mut Desk<'_>) {
    follow(desk);
    find_unseen(desk);
    delete_expired(desk);
    begin(desk);
}

/// The name of the call that takes the set that was begun then.
fn name(set: &SnapshotSet) -> String {
    format!("set:{}", set.begun_at.0)
}

/// Takes up what has become of the set that is being taken.
fn follow(desk: &mut Desk<'_>) {
    let Some(mut set) = desk.record.upkeep.pending.clone() else { return };
    let name = name(&set);
    match desk.standing(Row::Upkeep, &name) {
        Some(Asked::Waiting) => return,
        Some(Asked::Done(_)) => {}
        Some(Asked::Refused { error, .. }) => {
            end(desk, &name);
            if desk.record.work.is_none() {
                failed(desk, &format!("refused: {error}"));
            }
            return;
        }
        None => {
            desk.record.upkeep.pending = None;
            return;
        }
    }
    let Some((token, asked)) = call(desk, &name) else { return };
    let seen = taken(desk, &token);
    let of = |volume: &VolumeId| seen.iter().filter(|s| &s.volume == volume).count();
    let all = set.volumes.values().all(|volume| of(volume) > 0);
    let complete = seen.iter().all(|s| s.state == SnapshotState::Completed);
    let broken = seen.iter().any(|s| s.state == SnapshotState::Error);
    // Two answers to one request are of two instants: together they are no set.
    let twice = set.volumes.values().any(|volume| of(volume) > 1);
    let patience = if all { PATIENCE } else { UNSEEN };
    let late = desk.scene.now.since(asked) >= patience;
    let given_up = desk.record.lifecycle.goal() == Goal::Deleted;
    let over = late || given_up || (all && (complete || broken || twice));
    if !over {
        desk.wake_at(asked.plus(patience));
        return;
    }
    if !all {
        remember(desk, token);
    }
    end(desk, &name);
    let mut others = Vec::new();
    for s in seen {
        let of = set.volumes.iter().find(|(_, volume)| *volume == &s.volume);
        match of {
            Some((of, _)) => {
                set.begun_at = s.started_at;
                let before = set.snapshots.insert(of.clone(), s.id.clone());
                others.extend(before.map(|id| id.0));
            }
            // Of a volume that was attached between the plan and the call.
            None => others.push(s.id.0.clone()),
        }
    }
    if twice {
        others.extend(std::mem::take(&mut set.snapshots).into_values().map(|s| s.0));
    }
    expire(desk, others);
    if !(all && complete) || twice || given_up {
        if !given_up {
            let how = match (twice, broken) {
                (true, _) => "taken twice",
                (false, true) => "broken off by the cloud",
                (false, false) => "not complete in time",
            };
            failed(desk, how);
        }
        expire(desk, set.snapshots.into_values().map(|s| s.0));
        return;
    }
    if std::mem::take(&mut desk.record.upkeep.failing) {
        let what = "snapshots are taken again while it runs";
        desk.tell(EventCode::SnapshotsAgain, what.to_owned());
    }
    desk.record.upkeep.sets.push(set);
    while desk.record.upkeep.sets.len() > retention::SETS_KEPT {
        let gone = desk.record.upkeep.sets.remove(0);
        expire(desk, gone.snapshots.into_values().map(|s| s.0));
    }
}

fn call(desk: &Desk<'_>, name: &str) -> Option<(Token, Time)> {
    let call = desk.row(Row::Upkeep)?.calls.get(name)?;
    Some((call.token.clone(), call.at))
}

/// What a call has made may show up after it has been given up: reads lag, and clocks jump.
fn remember(desk: &mut Desk<'_>, token: Token) {
    let unseen = &mut desk.record.upkeep.unseen;
    unseen.push(token);
    let beyond = unseen.len().saturating_sub(MAX_UNSEEN);
    unseen.drain(..beyond);
}

/// Deletes what has shown up of calls that were given up.
fn find_unseen(desk: &mut Desk<'_>) {
    let tokens = desk.record.upkeep.unseen.clone();
    for token in tokens {
        for found in taken(desk, &token) {
            let id = found.id.as_str();
            let upkeep = &desk.record.upkeep;
            let kept = |set: &SnapshotSet| set.snapshots.values().any(|s| s.as_str() == id);
            let spoken_of = upkeep.expired.iter().any(|e| e == id)
                || upkeep.sets.iter().any(kept)
                || desk.record.kept.pending_deletion.iter().any(|s| s.id == id);
            if !spoken_of && desk.scene.world.shows(id) {
                expire(desk, [id.to_owned()]);
            }
        }
    }
}

/// Says once that nothing is saved any more while the node runs. It is tried again next time.
fn failed(desk: &mut Desk<'_>, how: &str) {
    if !std::mem::replace(&mut desk.record.upkeep.failing, true) {
        let what = format!("the snapshots while it runs were {how}; it is tried again");
        desk.tell(EventCode::SnapshotsFailed, what);
    }
}

/// What a call has made, as far as it is visible.
fn taken(desk: &Desk<'_>, token: &Token) -> Vec<Shared<SnapshotFact>> {
    let ours = desk.scene.world.ours(&desk.record.id, desk.scene.installation);
    ours.filter_map(|fact| match fact {
        Fact::Snapshot(s) if s.tags.get(tags::TOKEN) == Some(&token.0) => Some(s.clone()),
        _ => None,
    })
    .collect()
}

fn end(desk: &mut Desk<'_>, name: &str) {
    desk.record.upkeep.pending = None;
    desk.record.upkeep.row.calls.remove(name);
}

fn expire(desk: &mut Desk<'_>, ids: impl IntoIterator<Item = String>) {
    for id in ids {
        if desk.record.lifecycle.goal() == Goal::Deleted {
            retention::supersede(&mut desk.record, &id, "the node was given up", 0);
        } else {
            desk.record.upkeep.expired.push(id);
        }
    }
}

/// Deletes what is kept no longer. What cannot be deleted now is left to the next replacement.
fn delete_expired(desk: &mut Desk<'_>) {
    if desk.record.lifecycle.goal() == Goal::Deleted {
        return;
    }
    let due: Vec<String> = desk.record.upkeep.expired.iter().take(MAX_AT_ONCE).cloned().collect();
    for id in due {
        if retention::is_needed(&desk.record, &id) {
            continue;
        }
        let name = format!("delete:{id}");
        match desk.standing(Row::Upkeep, &name) {
            None => {
                let snapshot = SnapshotId(id);
                desk.start(Row::Upkeep, &name, |_, _| Command::DeleteSnapshot { snapshot });
            }
            Some(Asked::Waiting) => {}
            Some(answer) => {
                desk.record.upkeep.row.calls.remove(&name);
                desk.record.upkeep.expired.retain(|e| e != &id);
                if let Asked::Refused { .. } = answer {
                    retention::supersede(&mut desk.record, &id, "newer ones are kept", 0);
                }
            }
        }
    }
}

/// Begins the next set, if it is time and the node is at rest.
fn begin(desk: &mut Desk<'_>) {
    let record = &desk.record;
    let rests = record.lifecycle.goal() == Goal::Running
        && record.work.is_none()
        && record.upkeep.pending.is_none()
        && record.generations.ready() == Some(record.generations.number());
    let Some(holder) = record.instance.clone().filter(|_| rests) else { return };
    let volumes = volumes(desk);
    if volumes.is_empty() {
        return;
    }
    let tuning = desk.scene.tuning;
    let fleet = desk.scene.snapshot_volumes.max(volumes.len() as u64);
    let interval = tuning.snapshot_interval.max(fleet.saturating_mul(tuning.snapshot_spacing));
    let due = holder.launched_at.max(desk.record.upkeep.last_at).plus(interval);
    if desk.scene.now < due {
        desk.wake_at(due);
        return;
    }
    let Known::Present(instance) = desk.scene.world.instance(holder.id.as_str()) else { return };
    // What an instance writes that is not well must not push out what is good.
    let well = instance.health != Health::Impaired && holder.impaired_since.is_none();
    if instance.state != InstanceState::Running || instance.interruption_at.is_some() || !well {
        return;
    }
    let wanted = |volume: &VolumeId| volumes.values().any(|v| v == volume);
    let held = |volume: &VolumeId| instance.attachments.iter().any(|a| &a.volume == volume);
    if !volumes.values().all(held) {
        return;
    }
    let is_root = |device: &str| device == instance.root_device;
    let others = instance.attachments.iter().filter(|a| !wanted(&a.volume));
    let exclude_boot = others.clone().any(|a| is_root(&a.device));
    let exclude: Vec<VolumeId> =
        others.filter(|a| !is_root(&a.device)).map(|a| a.volume.clone()).collect();
    let origin = match &desk.record.identity.root {
        RootHead::Live { origin, .. } => origin.clone(),
        RootHead::Captured { .. } | RootHead::Fresh => None,
    };
    let now = desk.scene.now;
    let set = SnapshotSet {
        generation: desk.record.generations.number(),
        begun_at: now,
        origin,
        volumes,
        snapshots: BTreeMap::new(),
    };
    take(desk, &name(&set), holder.id, exclude_boot, exclude);
    desk.record.upkeep.last_at = now;
    desk.record.upkeep.interval_ms = interval;
    desk.record.upkeep.pending = Some(set);
}

fn take(
    desk: &mut Desk<'_>,
    name: &str,
    instance: InstanceId,
    exclude_boot: bool,
    exclude: Vec<VolumeId>,
) {
    desk.start(Row::Upkeep, name, |desk, token| Command::CreateSnapshots {
        instance,
        exclude_boot,
        exclude,
        tags: desk.tags("periodic", &token),
    });
}

/// The volumes whose content would travel as a snapshot.
fn volumes(desk: &Desk<'_>) -> BTreeMap<String, VolumeId> {
    let mut volumes = BTreeMap::new();
    let persistence = desk.spec.persistence;
    if let (true, RootHead::Live { volume: Some(volume), kept: true, .. }) =
        (persistence.root, &desk.record.identity.root)
    {
        volumes.insert("root".to_owned(), volume.clone());
    }
    if persistence.data == Some(BlockDevicesMode::OnLaunch) {
        for data in &desk.record.identity.data {
            if let DataHead::Volume { id, .. } = &data.head {
                volumes.insert(data.device.clone(), id.clone());
            }
        }
    }
    volumes
}
