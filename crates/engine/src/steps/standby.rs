//! Standby: launch the next instance while the old one still serves; or, when that is lost or
//! unwell, while it is being ended, which takes as long as a launch.
//!
//! It holds nothing of the node: its root dies with it, its primary interface is its own, its gate
//! is closed. So two instances live, and one serves. What is the node's moves only after the fence,
//! by the rows that move it anyway: `launch` finds that its instance is there already. A primary
//! interface cannot be taken from its instance (EC2 user guide, "Elastic network interfaces"), so
//! the kept one is attached beside the instance's own.
//!
//! It is a courtesy: whatever is in its way (refusals, the loss of either instance, a notice that
//! runs out), the replacement goes on in the ordinary order, with the instance that stands by if it
//! is there by then. If it is not used, it is deleted like anything else that was made for nothing.

use crate::context::desk::{Asked, Desk};
use crate::context::progress::Progress;
use crate::parts::launching;
use crate::parts::markets::{self, Choice, choose};
use crate::parts::network;
use crate::parts::retention::supersede;
use crate::parts::standing_by;
use holdfast_model::facts::InstanceState;
use holdfast_model::record::RootHead;
use holdfast_model::replacement::Call;
use holdfast_model::shared::Shared;
use holdfast_model::time::MINUTE;
use holdfast_model::{Command, ErrorClass, EventCode, Kind, Known, Market, Row, Time, tags};

/// The name of its first call; what is asked for elsewhere after a refusal has a number as well.
const CALL: &str = "run";
/// How many other markets are asked after a refusal: launches pass a small bucket.
const ELSEWHERE: usize = 2;
/// How long the old instance waits for the next one, if nothing presses, in milliseconds.
const PATIENCE: u64 = 5 * MINUTE;
/// A notice is spent on waiting for the next instance up to this part of it: the rest is for the
/// shutdown script.
const PART_OF_NOTICE: u64 = 2;

/// Launches, and waits until it runs, as long as there is time. A node that is away already waits
/// for nothing: the old instance is ended meanwhile.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    if let Some(why) = no_successor(desk) {
        desk.wait(why);
        return Progress::Waiting;
    }
    match standing(desk) {
        None => begin(desk),
        Some(_) if is_away(desk) => Progress::Done,
        Some(Asked::Refused { .. }) if look_elsewhere(desk) => {
            wait(desk, "the launch of the next instance to be answered".to_owned(), None)
        }
        Some(Asked::Refused { error, .. }) => {
            let message = format!("no instance stands by ({error}); the old one ends first");
            desk.tell(EventCode::StandbyRefused, message);
            Progress::Done
        }
        Some(Asked::Waiting | Asked::Done(None)) => {
            wait(desk, "the launch of the next instance to be answered".to_owned(), None)
        }
        Some(Asked::Done(Some(id))) => match desk.scene.world.instance(&id) {
            Known::Present(i) if i.state == InstanceState::Pending => {
                wait(desk, format!("{id} to run and stand by"), Some(&id))
            }
            Known::Unknown => wait(desk, format!("{id} to be visible"), Some(&id)),
            // Running, or lost: the row launch sees to that.
            Known::Present(_) | Known::Absent => Progress::Done,
        },
    }
}

fn begin(desk: &mut Desk<'_>) -> Progress {
    let in_time = if is_away(desk) { old_one_ends(desk) } else { old_one_serves(desk) };
    if !in_time || !is_allowed(desk) {
        return Progress::Done;
    }
    let Some(market) = desk.market() else {
        if desk.kind() == Some(Kind::Notice) || is_away(desk) {
            // Nothing is to be had now, and time is short.
            return Progress::Done;
        }
        desk.wait("a market, before anything is given up");
        return Progress::Waiting;
    };
    if !fits(desk, &market) {
        return Progress::Done;
    }
    desk.record.generations.promise();
    launch(desk, CALL, market);
    if is_away(desk) {
        return Progress::Done;
    }
    wait(desk, "the launch of the next instance to be answered".to_owned(), None)
}

/// Where the cloud takes the instance because it needs the room, it will hardly have room for the
/// next one in the same market: another one is asked at once. No market is cooled for that: the old
/// instance still has its place in the first one. Returns whether another one is asked.
pub(crate) fn look_elsewhere(desk: &mut Desk<'_>) -> bool {
    let taken = matches!(desk.kind(), Some(Kind::Lost | Kind::Notice));
    let Some(Asked::Refused { error, .. }) = standing(desk) else { return false };
    if !taken || error.class != ErrorClass::Capacity || !is_allowed(desk) {
        return false;
    }
    let asked: Vec<Market> = desk
        .row(Row::Standby)
        .into_iter()
        .flat_map(|row| row.calls.values())
        .filter_map(|call| match &call.command {
            Command::RunInstances(launch) => Some(launch.market.clone()),
            _ => None,
        })
        .collect();
    let cooled = desk.record.memory.market_backoff.clone();
    // They count as refused for this once, for however long.
    let never = Time(u64::MAX);
    desk.record
        .memory
        .market_backoff
        .extend(asked.iter().map(|market| (market.to_string(), never)));
    let choice = choose(desk);
    desk.record.memory.market_backoff = cooled;
    let may_ask = asked.len() <= ELSEWHERE;
    let found = match choice {
        Choice::Market(market, why) if may_ask && fits(desk, &market) => Some((market, why)),
        // While the old instance still ends, one that refused lately may have room again.
        Choice::NoneBefore(at) if may_ask && at < never => {
            desk.wake_at(at);
            None
        }
        _ => None,
    };
    // What is captured after the fence is for the market that the node goes to.
    let goes_to = match (&found, asked.first()) {
        (Some(found), _) => Some(found.clone()),
        (None, Some(first)) => Some((first.clone(), markets::why(desk, first))),
        (None, None) => None,
    };
    if let (Some(replacement), Some((market, why))) = (desk.record.work.as_mut(), goes_to) {
        replacement.market = Some(market);
        replacement.market_why = why;
    }
    let Some((market, why)) = found else { return false };
    let message = format!("no instance stands by there ({error}); {market} is asked: {why}");
    desk.tell(EventCode::StandbyElsewhere, message);
    launch(desk, &format!("{CALL}:{}", asked.len()), market);
    true
}

fn launch(desk: &mut Desk<'_>, call: &str, market: Market) {
    let generation = desk.record.generations.newest();
    desk.start(Row::Standby, call, |desk, token| {
        let mut tags = desk.tags(standing_by::ROLE, &token);
        tags.insert(tags::GENERATION.to_owned(), generation.to_string());
        Command::RunInstances(Box::new(launching::of_spec(desk, market, tags, token)))
    });
}

/// How the launch stands: the one that was not refused, or the last.
fn standing(desk: &Desk<'_>) -> Option<Asked> {
    let name = standing_by::call(desk.replacement()?)?.0.clone();
    desk.standing(Row::Standby, &name)
}

/// Whether the node serves nobody any more: its instance is lost, or fails its status check.
fn is_away(desk: &Desk<'_>) -> bool {
    matches!(desk.kind(), Some(Kind::Lost | Kind::Unhealthy))
}

/// Nothing presses, and the cloud says that nothing could be made in the place of the instance that
/// runs: it is not given up before something can.
pub(crate) fn no_successor(desk: &Desk<'_>) -> Option<String> {
    use Kind::{Recycle, Revert, Rollback, Unhealthy};
    let free = matches!(desk.kind(), Some(Unhealthy | Recycle | Revert | Rollback))
        && desk.replacement().is_some_and(|r| r.deadline.is_none());
    let holder = desk.record.instance.as_ref().filter(|_| free)?;
    let Known::Present(i) = desk.scene.world.instance(holder.id.as_str()) else { return None };
    let why = i.no_successor.as_ref().filter(|_| i.state == InstanceState::Running)?;
    Some(format!("room for another instance before {} is given up: {why}", holder.id))
}

/// Whether the old instance still has to be ended. Where it has ended, nothing is won: an ordinary
/// launch gets the kept interface as its own.
fn old_one_ends(desk: &Desk<'_>) -> bool {
    let Some(holder) = &desk.record.instance else { return false };
    match desk.scene.world.instance(holder.id.as_str()) {
        Known::Present(i) => i.state != InstanceState::Terminated,
        Known::Absent | Known::Unknown => false,
    }
}

/// Waits, unless the time for that is over or there is nobody to wait for.
fn wait(desk: &mut Desk<'_>, what: String, watched: Option<&str>) -> Progress {
    let started = desk.row(Row::Standby).and_then(|r| r.started_at).unwrap_or(desk.scene.now);
    let end = match desk.replacement().and_then(|r| r.deadline) {
        Some(deadline) => started.plus(deadline.since(started) / PART_OF_NOTICE),
        None => started.plus(PATIENCE),
    };
    if desk.scene.now >= end || !old_one_serves(desk) {
        return Progress::Done;
    }
    desk.wake_at(end);
    match watched {
        Some(id) => {
            desk.watch.extend(desk.record.instance.as_ref().map(|h| h.id.0.clone()));
            desk.watch(id, what);
        }
        None => desk.wait(what),
    }
    Progress::Waiting
}

/// Whether there is still an instance that serves while the next one is made.
fn old_one_serves(desk: &Desk<'_>) -> bool {
    let Some(holder) = &desk.record.instance else { return false };
    match desk.scene.world.instance(holder.id.as_str()) {
        Known::Present(i) => i.state == InstanceState::Running,
        Known::Absent => false,
        Known::Unknown => true,
    }
}

/// Whether the identity allows it, and the user: a kept root exists only once it has been captured,
/// and an interface that is to be kept and is not there yet is made for a launch.
fn is_allowed(desk: &Desk<'_>) -> bool {
    let persistence = desk.spec.persistence;
    let root_is_free = !persistence.root && desk.record.identity.rollback.is_none();
    let interface_is_there = !persistence.private_ip || desk.record.identity.interface.is_some();
    desk.spec.make_before_break
        && root_is_free
        && interface_is_there
        && network::spare_index(&desk.spec).is_some()
}

/// Whether the market's instances have room for an interface more than the node needs.
fn fits(desk: &Desk<'_>, market: &Market) -> bool {
    let needed = desk.volumes().len() + desk.spec.secondary.len() + 3;
    let kind = desk.scene.catalogue.instance_type(&market.instance_type);
    kind.is_some_and(|kind| kind.attachment_limit as usize >= needed)
}

/// What came of looking for the instance that stands by.
pub(crate) enum Found {
    /// None: the launch is an ordinary one.
    None,
    /// Its launch may have left: nothing else may be launched.
    Waiting,
    /// It has become the launch of this replacement, under this name.
    Promoted,
}

/// The instance that stands by becomes the node's: nothing of the old generation can write any
/// more. Its call moves to the row launch, as if that had made it.
pub(crate) fn promote(desk: &mut Desk<'_>, name: &str) -> Found {
    let id = match standing(desk) {
        None | Some(Asked::Refused { .. }) => return Found::None,
        Some(Asked::Waiting | Asked::Done(None)) => {
            desk.wait("the launch of the next instance to be answered");
            return Found::Waiting;
        }
        Some(Asked::Done(Some(id))) => id,
    };
    match desk.scene.world.instance(&id) {
        Known::Present(i) if i.state <= InstanceState::Running => {}
        Known::Unknown => {
            desk.watch(&id, format!("{id} to be visible"));
            return Found::Waiting;
        }
        Known::Present(_) | Known::Absent => {
            let message = format!("{id} stood by and is lost; another is launched");
            desk.tell(EventCode::StandbyLost, message);
            take(desk);
            supersede(&mut desk.record, &id, "it was lost while it stood by", 0);
            return Found::None;
        }
    }
    let Some(call) = take(desk) else { return Found::None };
    let Command::RunInstances(launch) = &call.command else { return Found::None };
    let generation = launch.tags.get(tags::GENERATION).and_then(|g| g.parse().ok());
    desk.record.generations.hand_over(generation);
    desk.record.identity.root = RootHead::Live {
        volume: None,
        generation: desk.record.generations.number(),
        root_device: None,
        kept: false,
        from: None,
        origin: Some(launch.image.clone()),
    };
    let why = markets::why(desk, &launch.market);
    if let Some(replacement) = desk.record.work.as_mut() {
        if replacement.market.as_ref() != Some(&launch.market) {
            replacement.market = Some(launch.market.clone());
            replacement.market_why = why;
        }
        replacement.rows.entry(Row::Launch).or_default().calls.insert(name.to_owned(), call);
    }
    Found::Promoted
}

fn take(desk: &mut Desk<'_>) -> Option<Shared<Call>> {
    let name = standing_by::call(desk.replacement()?)?.0.clone();
    let rows = &mut desk.record.work.as_mut()?.rows;
    rows.get_mut(&Row::Standby)?.calls.remove(&name)
}
