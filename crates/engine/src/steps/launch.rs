//! Launch: the next instance, with its image and its interface; and the volumes and further
//! interfaces that its zone lacks, made while it boots.

use crate::context::desk::{Asked, Desk};
use crate::context::progress::{Progress, Report};
use crate::life::rollback;
use crate::parts::finals::final_of;
use crate::parts::launching;
use crate::parts::markets;
use crate::parts::network::{self, NO_INTERFACE};
use crate::parts::retention::supersede;
use crate::steps::ended::{self, Ended};
use crate::steps::standby::{Found, promote};
use holdfast_model::command::Launch;
use holdfast_model::facts::{InstanceState, VolumeState};
use holdfast_model::record::{DataHead, DataVolume, Goal, RootHead, ServingInstance};
use holdfast_model::{Command, ErrorClass, EventCode, InstanceId, Known, Market, Row, VolumeId};

/// Launches, and waits until it runs.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    let Some(market) = desk.market() else {
        return Progress::Reports(Report::NoMarket);
    };
    let left = matches!(
        desk.standing(Row::Launch, &desk.launch_name()),
        Some(Asked::Waiting | Asked::Done(_))
    );
    if desk.spec.persistence.private_ip && !left && !network::keep(desk, &market, 0) {
        return Progress::Waiting;
    }
    let instance = match run(desk, &market) {
        Ok(instance) => instance,
        Err(progress) => return progress,
    };
    // That of the instance that stood by, if one did.
    let market = desk.market().unwrap_or(market);
    let mut made = volumes(desk, &market);
    for index in desk.spec.secondary.clone() {
        made &= network::keep(desk, &market, index);
    }
    match desk.scene.world.instance(instance.as_str()) {
        Known::Present(i) if i.state == InstanceState::Running => {
            let fact = i.clone();
            super::stop::learn_root(desk, &fact);
            let known = !matches!(desk.record.identity.root, RootHead::Live { volume: None, .. });
            if known {
                desk.record.identity.image_followed = Some(desk.spec.image.clone());
            }
            if known && made {
                return Progress::Done;
            }
            desk.watch(instance.as_str(), format!("the volumes and interfaces of {instance}"));
        }
        _ => desk.watch(instance.as_str(), format!("{instance} to run")),
    }
    Progress::Waiting
}

/// The launch itself. Once it may have left, the root's head is in it.
fn run(desk: &mut Desk<'_>, market: &Market) -> Result<InstanceId, Progress> {
    match desk.standing(Row::Launch, &desk.launch_name()) {
        Some(Asked::Done(Some(id))) => {
            if desk.record.instance.is_none() {
                let why = desk.replacement().map(|r| r.market_why.clone()).unwrap_or_default();
                desk.record.instance = Some(ServingInstance {
                    id: InstanceId(id.clone()),
                    market: market.clone(),
                    why,
                    launched_at: desk.scene.now,
                    impaired_since: None,
                });
            }
            Ok(InstanceId(id))
        }
        Some(Asked::Waiting | Asked::Done(None)) => {
            desk.wait(format!("the launch of {market} to be answered"));
            Err(Progress::Waiting)
        }
        Some(Asked::Refused { .. })
            if !matches!(ended::look(desk), Ended::No | Ended::Vanished(None)) =>
        {
            Err(Progress::Waiting)
        }
        Some(Asked::Refused { error, at, attempt }) => {
            Err(refused(desk, market, &error, at, attempt))
        }
        // No launch leaves against the user's word, however far its preparation is.
        None if desk.record.lifecycle.goal() != Goal::Running => {
            desk.wait("the launch to be given up");
            Err(Progress::Waiting)
        }
        None => match promote(desk, &desk.launch_name()) {
            Found::Promoted => {
                let market = desk.market().unwrap_or_else(|| market.clone());
                run(desk, &market)
            }
            Found::Waiting => Err(Progress::Waiting),
            Found::None => {
                leave(desk, market);
                Err(Progress::Waiting)
            }
        },
    }
}

/// Commits the head to the launch, and the launch to the record.
fn leave(desk: &mut Desk<'_>, market: &Market) {
    let kept = desk.spec.persistence.root;
    let from = match desk.record.identity.root.clone() {
        RootHead::Captured { snapshot, image, root_device } => Some((snapshot, image, root_device)),
        RootHead::Fresh => None,
        RootHead::Live { volume, .. } if !kept => {
            // The spec that was taken up after the fence keeps no root.
            if let Some(volume) = volume {
                supersede(&mut desk.record, volume.as_str(), "the root is not kept", 0);
            }
            None
        }
        RootHead::Live { volume, .. } => {
            // Never back to an older root: this state must not come here.
            let what = format!("the root's newest content, in {volume:?}, was not captured");
            desk.need_decision(Row::Launch, what.clone());
            desk.wait(what);
            return;
        }
    };
    let generation = desk.record.generations.launch();
    let anew = match &from {
        Some((old, _, _)) => rollback::changes_image(desk, old),
        None => true,
    };
    let (image, origin) = match &from {
        Some((snapshot, image, _)) if !anew => {
            (image.clone(), rollback::origin_of(&desk.record, snapshot))
        }
        _ => (desk.spec.image.clone(), Some(desk.spec.image.clone())),
    };
    desk.record.identity.root =
        RootHead::Live { volume: None, generation, root_device: None, kept, from, origin };
    let market = market.clone();
    desk.start(Row::Launch, &desk.launch_name(), |desk, token| {
        Command::RunInstances(Box::new(Launch {
            image,
            interface: desk.record.identity.interface.as_ref().map(|i| i.id.clone()),
            root_delete_on_termination: !desk.spec.persistence.root,
            ..launching::of_spec(desk, market, desk.tags("instance", &token), token)
        }))
    });
    desk.wait("the launch to be answered");
}

/// The number of the generation that is replaced, 0 if there was none.
fn before(desk: &Desk<'_>) -> u64 {
    desk.replacement().and_then(|r| r.from_generation).unwrap_or_default()
}

fn refused(
    desk: &mut Desk<'_>,
    market: &Market,
    error: &holdfast_model::CloudError,
    at: holdfast_model::Time,
    attempt: u32,
) -> Progress {
    if matches!(error.class, ErrorClass::Capacity | ErrorClass::Quota) {
        markets::cool(desk, market, error.class);
        let message = format!("{market} was refused: {error}; looking for another market");
        desk.tell(EventCode::MarketRefused, message);
        return Progress::Reports(Report::MarketRefused);
    }
    if desk.record.blocked.decision().is_some() && desk.take_up_newer_spec() {
        return Progress::Reports(Report::SpecTakenUp);
    }
    let next = at.plus(crate::context::desk::pause(desk.scene.tuning.retry_base, attempt));
    let kept = desk.record.identity.interface.as_ref().map(|i| i.id.clone());
    if let (Some(kept), NO_INTERFACE) = (kept, error.code.as_str()) {
        // It is looked at before the launch is tried again. Once it is known to be gone, it is made
        // anew: nobody has to decide that.
        let seen = matches!(desk.scene.world.interface(kept.as_str()), Known::Present(_));
        if !seen || desk.scene.now < next {
            desk.watch(kept.as_str(), format!("a look at the interface {kept}: {error}"));
            // After that nothing but the look brings it on.
            if desk.scene.now < next {
                desk.wake_at(next);
            }
            return Progress::Waiting;
        }
    }
    if error.class == ErrorClass::Storage {
        // Another market has no room either: the same one again, until there is.
        if desk.scene.now < next {
            desk.wake_at(next);
            desk.wait(format!("room for the new instance: {error}"));
            return Progress::Waiting;
        }
        if attempt == 1 {
            desk.tell_no_room(error);
        }
        leave(desk, market);
        desk.wait(format!("room for the new instance: {error}"));
        return Progress::Waiting;
    }
    let asked_to_retry = desk.record.blocked.answered(Row::Launch).is_some();
    if attempt.is_multiple_of(crate::context::desk::MAX_ATTEMPTS) && !asked_to_retry {
        let why = format!("the launch was refused {attempt} times: {error}");
        desk.need_decision(Row::Launch, why.clone());
        desk.wait(why);
    } else if desk.scene.now >= next {
        leave(desk, market);
    } else {
        desk.wake_at(next);
        desk.wait(format!("the launch to be tried again: {error}"));
    }
    Progress::Waiting
}

/// Data volumes in the zone of the launch: restored ones where the content comes from a final
/// snapshot, new ones where there is none yet.
fn volumes(desk: &mut Desk<'_>, market: &Market) -> bool {
    let mut complete = true;
    for wanted in desk.volumes() {
        let device = wanted.device.clone();
        if !desk.record.identity.data.iter().any(|d| d.device == device) {
            let fresh = DataVolume {
                device: device.clone(),
                head: DataHead::Fresh,
                fs_uuid: None,
                user_attached: None,
                restore: None,
            };
            desk.record.identity.data.push(fresh);
        }
        let known = desk.record.identity.data.iter().find(|d| d.device == device);
        let restore = known.and_then(|d| d.restore.clone());
        let head = known.map(|d| d.head.clone());
        let (old, snapshot) = match head {
            Some(DataHead::Volume { id, zone }) => {
                let made = desk.standing(Row::Launch, &format!("volume:{device}"));
                if matches!(&made, Some(Asked::Done(Some(new))) if new == id.as_str()) {
                    complete &= is_made(desk, &id);
                    continue;
                }
                let kept = final_of(desk, &device, before(desk));
                match kept {
                    _ if restore.is_some() => (Some(id), restore),
                    Some(snapshot)
                        if zone != market.zone
                            || desk.spec.persistence.data
                                == Some(holdfast_model::spec::BlockDevicesMode::OnLaunch) =>
                    {
                        (Some(id), Some(snapshot))
                    }
                    _ => continue,
                }
            }
            _ => (None, restore.or_else(|| wanted.snapshot.clone())),
        };
        let others = std::mem::take(&mut complete);
        if let (Some(_), Some(from)) = (&old, &snapshot)
            && desk.scene.world.snapshot(from.as_str()).is_absent()
        {
            rollback::lost(desk, Row::Launch, from.as_str(), &device);
            continue;
        }
        let zone = market.zone.clone();
        let asked = desk.ask(Row::Launch, &format!("volume:{device}"), |desk, token| {
            Command::CreateVolume {
                zone,
                size_gib: wanted.size_gib,
                snapshot,
                settings: wanted.settings.clone(),
                tags: desk.tags(&format!("data:{device}"), &token),
                token,
            }
        });
        if let Asked::Done(Some(id)) = asked {
            let new = VolumeId(id);
            if let Some(data) = desk.record.identity.data.iter_mut().find(|d| d.device == device) {
                data.head = DataHead::Volume { id: new.clone(), zone: market.zone.clone() };
                data.restore = None;
            }
            // One that was lost, and shows again one day, is not ours to delete.
            if let Some(old) = old.filter(|v| !desk.scene.world.volume(v.as_str()).is_absent()) {
                let why = format!("its content is in {new}");
                supersede(&mut desk.record, old.as_str(), &why, 0);
            }
            complete = is_made(desk, &new) && others;
        }
    }
    complete
}

fn is_made(desk: &mut Desk<'_>, id: &VolumeId) -> bool {
    match desk.scene.world.volume(id.as_str()) {
        Known::Present(v) if matches!(v.state, VolumeState::Available | VolumeState::InUse) => true,
        _ => {
            desk.watch(id.as_str(), format!("the volume {id} to be made"));
            false
        }
    }
}
