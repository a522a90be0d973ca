//! How far a replacement is, and what holds besides.

use crate::context::desk::{Asked, Desk};
use crate::tables::overtakes::table::{If, Phase, When};
use crate::tables::triggers;
use holdfast_model::facts::InstanceState;
use holdfast_model::record::{Goal, RootHead};
use holdfast_model::{CallState, Kind, Known, Row};

/// How far the replacement in flight is.
pub(super) fn phase(desk: &Desk<'_>) -> Option<Phase> {
    let replacement = desk.replacement()?;
    Some(match replacement.kind {
        Kind::Delete => Phase::Deleting,
        Kind::Tidy => Phase::Tidying,
        _ if replacement.is_done(Row::Ready) => Phase::Serving,
        _ if replacement.has_called(Row::Launch) && desk.record.instance.is_some() => {
            Phase::Launched
        }
        Kind::Pause => Phase::Pausing,
        _ => Phase::Before,
    })
}

/// Whether what a line names happens. What is wrong with the instance is looked at once, and only if
/// a line asks.
pub(super) fn happens(desk: &mut Desk<'_>, when: When, failing: &mut Option<Option<Kind>>) -> bool {
    let record = &desk.record;
    let runs = record.lifecycle.goal() == Goal::Running;
    let kind = match when {
        When::Pause => return record.lifecycle.goal() == Goal::Paused,
        When::Delete => return record.lifecycle.goal() == Goal::Deleted,
        When::Undelete => return record.lifecycle.goal() != Goal::Deleted,
        When::Recycle => return runs && record.lifecycle.wants_recycle(),
        When::Rollback => return runs && record.identity.rollback.is_some(),
        When::Resume => return runs && record.instance.is_none(),
        When::Reappearance => return runs_again(desk),
        When::Loss => Kind::Lost,
        When::Notice => Kind::Notice,
        When::Unwell => Kind::Unhealthy,
        When::LaunchLost | When::LaunchRefused | When::Reported(_) | When::AllDone => return false,
    };
    *failing.get_or_insert_with(|| triggers::failing(desk).map(|(kind, _, _)| kind)) == Some(kind)
}

/// Whether what a line wants besides holds.
pub(super) fn holds(desk: &Desk<'_>, provided: If) -> bool {
    match provided {
        If::Always => true,
        If::HasInstance => desk.record.instance.is_some(),
        If::Untouched => is_untouched(desk),
        If::NoCreationOpen => !has_open_creations(desk),
        If::NotCompletedFirst => !has_open_creations(desk) && !completes_first(desk),
        If::NothingLeft => !has_open_creations(desk) && !launch_may_have_left(desk),
        If::HasContent => desk.kind() != Some(Kind::Create) && !launch_may_have_left(desk),
    }
}

/// Whether the launch was definitely refused, and the root's head is still in it.
pub(super) fn is_refused(desk: &Desk<'_>) -> bool {
    let refused =
        matches!(desk.standing(Row::Launch, &desk.launch_name()), Some(Asked::Refused { .. }));
    let head_left = matches!(
        &desk.record.identity.root,
        RootHead::Live { volume: None, generation, .. } if *generation == desk.record.generations.number()
    );
    refused && head_left
}

/// Whether the instance that was taken for lost runs: whoever looked with the wrong credentials did
/// not see it.
fn runs_again(desk: &Desk<'_>) -> bool {
    let Some(holder) = desk.record.instance.as_ref() else { return false };
    desk.kind() == Some(Kind::Lost)
        && matches!(
            desk.scene.world.instance(holder.id.as_str()),
            Known::Present(i) if i.state == InstanceState::Running
        )
}

/// Whether nothing has been done to the instance, and no other is on its way.
fn is_untouched(desk: &Desk<'_>) -> bool {
    let called = |row: &Row| desk.replacement().is_some_and(|r| r.has_called(*row));
    ![Row::Launch, Row::Drain, Row::Stop].iter().any(called) && !has_open_creations(desk)
}

/// An instance that is to be let go gets its volumes first, as long as nothing is stuck.
fn completes_first(desk: &Desk<'_>) -> bool {
    desk.record.lifecycle.goal() == Goal::Deleted
        && desk.record.blocked.decision().is_none()
        && desk.record.lifecycle.deallocation().is_some_and(|d| !d.should_terminate_instance)
}

/// A notice that comes while the instance is drained for another reason leaves less time.
pub(super) fn take_over_deadline(desk: &mut Desk<'_>) {
    let Some(holder) = desk.record.instance.as_ref().map(|h| h.id.clone()) else { return };
    let Known::Present(instance) = desk.scene.world.instance(holder.as_str()) else { return };
    let announced = instance.interruption_at;
    if let Some(replacement) = desk.record.work.as_mut()
        && replacement.deadline.is_none()
        && [Row::Standby, Row::Drain].iter().any(|row| replacement.rows.contains_key(row))
        && !replacement.is_done(Row::Drain)
    {
        replacement.deadline = announced;
    }
}

/// Whether a call that makes something has left without a definite answer: what it makes must not
/// be forgotten.
fn has_open_creations(desk: &Desk<'_>) -> bool {
    use holdfast_model::Command as C;
    let keeps_address =
        desk.spec.persistence.private_ip && desk.record.identity.interface.is_none();
    desk.replacement().is_some_and(|r| {
        r.rows.values().flat_map(|row| row.calls.values()).any(|call| match call.state {
            CallState::Started => call.command.makes().is_some(),
            // The node's address must be known before anything else is decided.
            CallState::Done { .. } => {
                keeps_address && matches!(call.command, C::CreateNetworkInterface { .. })
            }
            CallState::Refused { .. } => false,
        })
    })
}

/// Whether a launch may have left.
fn launch_may_have_left(desk: &Desk<'_>) -> bool {
    let name = desk.launch_name();
    desk.row(Row::Launch)
        .and_then(|row| row.calls.get(&name))
        .is_some_and(|call| !matches!(call.state, CallState::Refused { .. }))
}
