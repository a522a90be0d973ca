//! Why a replacement begins.

use crate::context::desk::{Desk, pause};
use crate::life::deallocation;
use crate::life::revert;
use crate::parts::joined;
use crate::parts::retention;
use crate::tables::replacement::has;
use holdfast_model::facts::{Fact, Health, InstanceState, ResourceKind};
use holdfast_model::record::{Goal, PendingDeletion};
use holdfast_model::replacement::Replacement;
use holdfast_model::time::SECOND;
use holdfast_model::{EventCode, Kind, Known, Record, Row, Time};

/// After this many launches in a row that were lost before they were ready, a person is asked: what
/// each of them captured is kept until one is ready, and must not pile up.
const MAX_FAILURES: usize = 8;
/// After this many of them, the next one waits a while.
const FAILURES_BEFORE_PAUSE: usize = 3;
/// First pause after repeated failures, in milliseconds; it doubles.
const FAILURE_PAUSE: u64 = 5 * SECOND;

/// Begins a replacement, if there is a reason for one.
pub(crate) fn begin(desk: &mut Desk<'_>) {
    deallocation::sweep_up(desk);
    deallocation::count_grace(desk);
    if desk.record.lifecycle.goal() != Goal::Deleted {
        joined::notice(desk);
    }
    let Some((kind, reason, deadline)) = reason(desk) else { return };
    if !has(kind, Row::Launch) {
        start(desk, kind, reason, deadline);
        return;
    }
    if kind == Kind::Rollback {
        // A person's word: it may be what helps a node whose launches come to nothing.
        desk.record.blocked.goes_on();
        start(desk, kind, reason, deadline);
        return;
    }
    let failures = desk.record.memory.history.iter().rev().take_while(|h| h.lost_again).count();
    if let Some(beyond) = failures.checked_sub(FAILURES_BEFORE_PAUSE) {
        let doublings = u32::try_from(beyond).unwrap_or(u32::MAX).saturating_add(1);
        let wait = pause(FAILURE_PAUSE, doublings);
        let at =
            desk.record.memory.history.last().map_or(desk.scene.now, |h| h.finished_at.plus(wait));
        if desk.scene.now < at {
            desk.wait(format!(
                "{wait} ms to pass after instances that came to nothing before ready"
            ));
            desk.wake_at(at);
            return;
        }
    }
    let most = if cannot_start(desk) { FAILURES_BEFORE_PAUSE } else { MAX_FAILURES };
    if failures > 0 && failures.is_multiple_of(most) {
        let decided = desk.record.blocked.decision().is_some_and(|s| !s.is_asked());
        if !decided {
            let why = format!(
                "{failures} instances in a row came to nothing before they were ready; the last: \
                 {reason}"
            );
            desk.need_decision(Row::Launch, why.clone());
            desk.wait(why);
            return;
        }
        desk.record.blocked.goes_on();
    }
    start(desk, kind, reason, deadline);
}

/// Whether the cloud says that the instance ended because of what it was given to start from: the
/// next one will end like it (EC2 user guide, "Troubleshoot instance termination": the state
/// reason `Client.InternalError`).
fn cannot_start(desk: &Desk<'_>) -> bool {
    let Some(holder) = &desk.record.instance else { return false };
    let seen = desk.scene.world.last_seen(holder.id.as_str());
    let Some(Fact::Instance(instance)) = seen else { return false };
    instance.reason.as_ref().is_some_and(|reason| reason.starts_with("Client.InternalError"))
}

fn start(desk: &mut Desk<'_>, kind: Kind, reason: String, deadline: Option<Time>) {
    // From here on this revision of the spec is followed to the end.
    if let Ok(spec) = desk.record.document.spec() {
        desk.spec = spec;
    }
    desk.record.memory.replacements += 1;
    desk.tell(EventCode::Begun(kind), reason.clone());
    if matches!(
        kind,
        Kind::Notice | Kind::Lost | Kind::Unhealthy | Kind::Recycle | Kind::Rollback | Kind::Pause
    ) {
        // Whatever the user meant by recycle, this replacement does it.
        desk.record.lifecycle.set_recycle(false);
    }
    let begun = Replacement::begin(&desk.record, kind, reason, desk.scene.now);
    desk.record.work = Some(Replacement { deadline, ..begun });
}

/// Its kind, why, and until when the old instance lives, if the cloud has said so.
pub(crate) type Reason = (Kind, String, Option<Time>);

fn reason(desk: &mut Desk<'_>) -> Option<Reason> {
    let record = &desk.record;
    match record.lifecycle.goal() {
        Goal::Deleted => {
            if record.lifecycle.is_deleted() {
                let due = record.kept.pending_deletion.iter().filter(|s| s.is_due()).count();
                return (due > 0).then(|| {
                    (Kind::Delete, format!("{due} kept resources are past their grace"), None)
                });
            }
            Some((Kind::Delete, "the user gave up the node".to_owned(), None))
        }
        Goal::Paused if record.instance.is_some() => {
            Some((Kind::Pause, "the user asked for a pause".to_owned(), None))
        }
        // What else is superseded goes at the next resume: until then it costs little and is one
        // more copy. But an instance is paid for.
        Goal::Paused => left_over(record).filter(|_| {
            let of = |s: &PendingDeletion| ResourceKind::of_id(&s.id);
            let paid = |s: &PendingDeletion| of(s) == Some(ResourceKind::Instance);
            let asked = |s: &PendingDeletion| s.reason == retention::ASKED_FOR;
            record.kept.pending_deletion.iter().any(|s| s.is_due() && (paid(s) || asked(s)))
        }),
        Goal::Running if record.identity.rollback.is_some() => {
            let why =
                record.identity.rollback.as_ref().map(|r| r.reason.clone()).unwrap_or_default();
            Some((Kind::Rollback, why, None))
        }
        Goal::Running if record.instance.is_none() && record.generations.is_first() => {
            Some((Kind::Create, "a new node".to_owned(), None))
        }
        Goal::Running if record.instance.is_none() => {
            Some((Kind::Resume, "the node has no instance".to_owned(), None))
        }
        Goal::Running => failing(desk).or_else(|| given_up(desk)).or_else(|| {
            desk.record
                .lifecycle
                .wants_recycle()
                .then(|| (Kind::Recycle, "the user asked for another instance".to_owned(), None))
                .or_else(|| revert::reason(desk).map(|why| (Kind::Revert, why, None)))
                .or_else(|| left_over(&desk.record))
        }),
    }
}

/// An instance that was given up before it was ready, because it was unwell: should it get well
/// while the next attempt waits, nobody has opened its gate.
fn given_up(desk: &Desk<'_>) -> Option<Reason> {
    let holder = desk.record.instance.as_ref()?;
    let given_up = desk.record.memory.history.last().is_some_and(|h| h.lost_again);
    given_up
        .then(|| (Kind::Unhealthy, format!("{} was given up before it was ready", holder.id), None))
}

/// What an earlier replacement could not delete, and whose pause is over.
fn left_over(record: &Record) -> Option<Reason> {
    let due = record.kept.pending_deletion.iter().filter(|s| s.is_due()).count();
    (due > 0).then(|| (Kind::Tidy, format!("{due} resources are left over"), None))
}

/// What is wrong with the holder, if anything is.
pub(crate) fn failing(desk: &mut Desk<'_>) -> Option<Reason> {
    let holder = desk.record.instance.clone()?;
    let world = desk.scene.world;
    let instance = match world.instance(holder.id.as_str()) {
        Known::Absent => {
            return Some((Kind::Lost, format!("{} has vanished", holder.id), None));
        }
        Known::Unknown => return None,
        Known::Present(instance) => instance,
    };
    if instance.state > InstanceState::Running {
        let why = instance.reason.as_deref().unwrap_or("no reason was given");
        return Some((Kind::Lost, format!("{} is lost ({why})", holder.id), None));
    }
    if let Some(at) = instance.interruption_at {
        let left = at.since(desk.scene.now);
        let reason = format!("the cloud takes {} back in {left} ms", holder.id);
        return Some((Kind::Notice, reason, Some(at)));
    }
    let now = desk.scene.now;
    let health = desk.spec.health_check;
    let unwell = instance.health == Health::Impaired && health.auto_healing;
    let since = match (unwell, holder.impaired_since) {
        (false, None) => return None,
        (false, Some(_)) => {
            if let Some(h) = desk.record.instance.as_mut() {
                h.impaired_since = None;
            }
            return None;
        }
        (true, None) => {
            if let Some(h) = desk.record.instance.as_mut() {
                h.impaired_since = Some(now);
            }
            now
        }
        (true, Some(since)) => since,
    };
    let due = since.plus(health.unhealthy_ms).max(holder.launched_at.plus(health.grace_ms));
    if now >= due {
        if let Some(why) = &instance.no_successor {
            // It is unwell, and may serve all the same; without a successor nobody would.
            desk.wait(format!("room for another instance before {} is given up: {why}", holder.id));
            return None;
        }
        let why = instance.health_why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let reason =
            format!("{} fails its status check for {} ms{why}", holder.id, now.since(since));
        return Some((Kind::Unhealthy, reason, None));
    }
    desk.wake_at(due);
    None
}
