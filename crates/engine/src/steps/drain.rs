//! Drain: let the workload finish what it is doing.

use crate::context::desk::{Asked, Desk};
use crate::context::progress::Progress;
use crate::steps::standby;
use holdfast_model::facts::InstanceState;
use holdfast_model::{Command, EventCode, Kind, Known, Row};

/// Runs the shutdown script, if there is one and somebody to run it.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    // Whoever need not go stays until there is somewhere to go.
    if matches!(desk.kind(), Some(Kind::Recycle | Kind::Rollback | Kind::Unhealthy))
        && desk.market().is_none()
    {
        desk.wait("a market, before the instance is given up");
        return Progress::Waiting;
    }
    if let Some(why) = standby::no_successor(desk)
        && desk.row(Row::Drain).is_none_or(|row| row.calls.is_empty())
    {
        desk.wait(why);
        return Progress::Waiting;
    }
    if desk.lets_instance_go() || desk.spec.shutdown_script.is_none() {
        return Progress::Done;
    }
    let Some(holder) = desk.record.instance.clone() else { return Progress::Done };
    match desk.scene.world.instance(holder.id.as_str()) {
        Known::Present(i) if i.state == InstanceState::Running && !i.drained => {}
        Known::Present(_) | Known::Absent => return Progress::Done,
        Known::Unknown => {
            desk.watch(holder.id.as_str(), format!("{} to be visible", holder.id));
            return Progress::Waiting;
        }
    }
    let started = desk.row(Row::Drain).and_then(|r| r.started_at).unwrap_or(desk.scene.now);
    let mut end = started.plus(desk.spec.draining_timeout_ms);
    if let Some(deadline) = desk.replacement().and_then(|r| r.deadline) {
        let reserve = desk.scene.tuning.notice_reserve;
        end = end.min(holdfast_model::Time(deadline.0.saturating_sub(reserve)));
    }
    if desk.scene.now >= end {
        desk.tell(
            EventCode::DrainEnded,
            "the time for the shutdown script is over; the instance is stopped now".to_owned(),
        );
        return Progress::Done;
    }
    let timeout_ms = end.since(desk.scene.now);
    if desk.standing(Row::Drain, "drain").is_none() {
        let instance = holder.id.clone();
        desk.start(Row::Drain, "drain", |_, _| Command::Drain { instance, timeout_ms });
    }
    match desk.standing(Row::Drain, "drain") {
        Some(Asked::Done(_)) => Progress::Done,
        Some(Asked::Refused { error, .. }) => {
            // A drain is a courtesy: without it the stop is a power cut, which loses nothing.
            desk.tell(EventCode::DrainFailed, format!("draining failed: {error}"));
            Progress::Done
        }
        _ => {
            desk.wake_at(end);
            desk.watch(holder.id.as_str(), "the shutdown script to end");
            Progress::Waiting
        }
    }
}
