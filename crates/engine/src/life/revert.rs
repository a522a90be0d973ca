//! The way back from on-demand to spot (`strategy.revertToSpot`).
//!
//! It is looked for every now and then, while the node serves as before. A market is first asked
//! whether it has capacity (the row probe); only then is the instance on demand given up. Whether it
//! pays at all is a matter of [`crate::parts::markets::policy`].

use crate::context::desk::Desk;
use crate::context::progress::{Progress, Report};
use crate::parts::markets::{Choice, choose_spot};
use holdfast_model::{EventCode, Lifecycle, Market, Row};

/// The reason to look for a way back now, if there is one; otherwise the desk is woken when there
/// may be one.
pub(crate) fn reason(desk: &mut Desk<'_>) -> Option<String> {
    let now = desk.scene.now;
    let on_demand =
        desk.record.instance.as_ref().is_some_and(|h| h.market.lifecycle == Lifecycle::OnDemand);
    if !on_demand
        || desk.spec.lifecycle != Lifecycle::Spot
        || desk.record.blocked.decision().is_some()
    {
        return None;
    }
    let allowed = desk.spec.revert.next(now)?;
    let interval = desk.scene.tuning.revert_interval;
    // Spot was refused when this instance was launched: not again at once.
    let launched = desk.record.instance.as_ref().map_or(now, |h| h.launched_at).plus(interval);
    let at = allowed.max(desk.record.memory.revert_after.unwrap_or(launched));
    if now < at {
        desk.wake_at(at);
        return None;
    }
    match choose_spot(desk) {
        Choice::Market(market, _) if desk.scene.choice_from > now => {
            braked(desk, &market);
            None
        }
        Choice::Market(market, why) => {
            Some(format!("spot may serve again: {market} is asked ({why})"))
        }
        Choice::NoneBefore(_) | Choice::Never(_) => {
            desk.record.memory.revert_after = Some(now.plus(interval));
            desk.wake_at(now.plus(interval));
            None
        }
    }
}

/// The fleet has begun as many replacements by its own choice as it may within an hour: the node
/// goes on serving on demand, and people are told why.
fn braked(desk: &mut Desk<'_>, market: &Market) {
    let now = desk.scene.now;
    let at = desk.scene.choice_from.max(now.plus(desk.scene.tuning.revert_interval));
    desk.record.memory.revert_after = Some(at);
    let message = format!(
        "{market} may serve again, but the fleet has begun as many replacements by its own choice \
         as it may in an hour; the node stays on demand and asks again in {} s (see: holdfast serve \
         --voluntary-per-hour)",
        at.since(now) / 1_000
    );
    desk.tell(EventCode::Braked, message);
    desk.wake_at(at);
}

/// Whether a market has shown that it has capacity, or the instance on demand is gone anyway: then
/// the replacement goes on like any other.
pub(crate) fn is_under_way(desk: &Desk<'_>) -> bool {
    desk.record.instance.is_none()
        || desk.replacement().is_some_and(|r| r.is_done(Row::Probe) || r.is_done(Row::Drain))
}

/// No spot market has capacity: the node goes on serving on demand.
pub(crate) fn not_now(desk: &mut Desk<'_>) -> Progress {
    let interval = desk.scene.tuning.revert_interval;
    let at = desk.scene.now.plus(interval);
    desk.record.memory.revert_after = Some(at);
    let message = format!(
        "no spot market that would pay has capacity; the node stays on demand and asks again in \
         {} s",
        interval / 1_000
    );
    desk.tell(EventCode::RevertPostponed, message);
    desk.wake_at(at);
    Progress::Reports(Report::NoSpot)
}
