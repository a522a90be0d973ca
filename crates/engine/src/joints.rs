//! What must hold between a record that is written and the one that is to take its place: checks of
//! the engine's own work, which cost little and stay on in production.

use crate::invariants::Broken;
use crate::tables::replacement::has;
use holdfast_model::record::RootHead;
use holdfast_model::{CallState, Invariant, Record, Row};

/// Rows after whose end the old generation is no more: whatever overtakes their replacement, what
/// they saw cannot change.
const FOR_GOOD: [Row; 2] = [Row::Stop, Row::Fence];

/// What is wrong with the record that is to be written, beside the one that is.
#[must_use]
pub fn between(before: &Record, after: &Record) -> Option<Broken> {
    done_again(before, after)
        .or_else(|| token_again(before, after))
        .or_else(|| head_too_early(before, after))
}

/// A row that was done for good is not done any more, within one replacement. Where an instance was to
/// be left to its user, these rows had nothing to do: they run after all if it ends by itself.
fn done_again(before: &Record, after: &Record) -> Option<Broken> {
    if before.lifecycle.deallocation().is_some_and(|d| !d.should_terminate_instance) {
        return None;
    }
    let (was, is) = (before.work.as_ref()?, after.work.as_ref()?);
    let again = |row: &Row| has(is.kind, *row) && was.is_done(*row) && !is.is_done(*row);
    let row = FOR_GOOD.into_iter().find(|row| was.number == is.number && again(row))?;
    Some(Broken {
        name: Invariant::RowsStayDone,
        what: format!("{} of {} was done, and is to be done again", row.name(), after.id),
    })
}

/// A call that may have left says something else under the same token: the cloud would refuse it, or
/// take it for the old one.
fn token_again(before: &Record, after: &Record) -> Option<Broken> {
    let mut open = before.rows().flat_map(|(row, state)| {
        let calls = state.calls.iter().map(move |(name, call)| (row, name, call));
        calls.filter(|(_, _, call)| call.state == CallState::Started)
    });
    let token = open.find_map(|(row, name, was)| {
        let is = after.row(row)?.calls.get(name)?;
        // Most calls are shared by both records, and are compared at once.
        (is != was && is.token == was.token && is.command != was.command).then(|| &was.token)
    })?;
    Some(Broken {
        name: Invariant::TokenOnce,
        what: format!("a call of {} with the token {} is to say something else", after.id, token.0),
    })
}

/// The root's newest content leaves the volume of an instance that may still write. An adoption and a
/// deletion may say so; nothing else before the fence.
fn head_too_early(before: &Record, after: &Record) -> Option<Broken> {
    let RootHead::Live { volume: Some(volume), generation, .. } = &before.identity.root else {
        return None;
    };
    let stays = matches!(
        &after.identity.root,
        RootHead::Live { generation: g, .. } if g == generation
    );
    let blocked = before.blocked.quarantine().is_some() || before.blocked.decision().is_some();
    let adopted = blocked || before.revision.is_none();
    let counted = before.memory.history.last().map_or(0, |last| last.number);
    let ended = after.memory.history.iter().filter(|finished| finished.number > counted);
    let mut rows = ended.flat_map(|finished| &finished.rows);
    let fenced = rows.any(|(row, _, done)| *row == Row::Fence && done.is_some())
        || after.work.as_ref().is_some_and(|r| r.is_done(Row::Fence));
    let may = adopted || after.lifecycle.is_deleted() || after.instance.is_none() || fenced;
    (!stays && !may).then(|| Broken {
        name: Invariant::HeadAfterFence,
        what: format!(
            "the root of {} is to leave {volume}, which its instance may still write",
            after.id
        ),
    })
}
