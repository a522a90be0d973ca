//! What a line of the table does to a replacement.

use crate::context::desk::Desk;
use crate::life::deallocation;
use crate::parts::finals;
use crate::steps::stop;
use crate::tables::overtakes::table::End;
use crate::tables::replacement::has;
use holdfast_model::facts::Fact;
use holdfast_model::record::{MAX_HISTORY, RootHead};
use holdfast_model::replacement::Finished;
use holdfast_model::{EventCode, Kind, Row};

/// Moves the replacement in flight to the history.
pub(super) fn close(desk: &mut Desk<'_>, end: End) {
    let Some(replacement) = desk.record.work.take() else { return };
    let now = desk.scene.now;
    // Whatever it asked a person about, nobody waits for any more.
    desk.record.blocked.goes_on();
    finals::keep_saved(desk, replacement.from_generation, &replacement.rows);
    deallocation::supersede_unrecorded(desk, &replacement.rows);
    if end == End::NotBegun {
        return;
    }
    let rows = Row::ALL
        .iter()
        .filter_map(|row| {
            let state = replacement.rows.get(row)?;
            Some((*row, state.started_at?, state.done_at))
        })
        .collect();
    let length = now.since(replacement.started_at);
    let name = replacement.kind.name();
    let generation = desk.record.generations.number();
    if end == End::Completed {
        let message = match replacement.kind {
            Kind::Pause => format!("paused after {length} ms"),
            Kind::Delete => format!("deallocated after {length} ms"),
            _ => format!("{name}: generation {generation} is complete after {length} ms"),
        };
        desk.tell(EventCode::ReplacementDone, message);
    } else {
        let message = format!("{name} was overtaken after {length} ms");
        desk.tell(EventCode::ReplacementOvertaken, message);
    }
    desk.record.memory.history.push(Finished {
        number: replacement.number,
        kind: replacement.kind,
        reason: replacement.reason,
        started_at: replacement.started_at,
        finished_at: now,
        from_generation: replacement.from_generation,
        to_generation: desk.record.generations.current(),
        market: replacement.market,
        rows,
        completed: end == End::Completed,
        lost_again: end == End::LostAgain,
    });
    let excess = desk.record.memory.history.len().saturating_sub(MAX_HISTORY);
    desk.record.memory.history.drain(..excess);
}

/// The replacement goes on under another kind; rows that are done stay done.
pub(super) fn turn_into(desk: &mut Desk<'_>, kind: Kind) {
    let why = match kind {
        Kind::Delete => "the user gave up the node",
        _ => "the user asked for a pause",
    };
    desk.tell(EventCode::Begun(kind), why.to_owned());
    desk.record.blocked.goes_on();
    if let Some(r) = desk.record.work.as_mut() {
        r.kind = kind;
        r.reason = why.to_owned();
        r.market = None;
        let mut dropped = std::mem::take(&mut r.rows);
        r.rows = dropped
            .iter()
            .filter(|(row, _)| has(kind, **row) && **row != Row::Retire)
            .map(|(row, state)| (*row, state.clone()))
            .collect();
        dropped.retain(|row, _| !r.rows.contains_key(row));
        let from = r.from_generation;
        finals::keep_saved(desk, from, &dropped);
        deallocation::supersede_unrecorded(desk, &dropped);
    }
}

/// If the root of a launch that is lost was ever seen, the record must know it before it goes on.
pub(super) fn learn_root(desk: &mut Desk<'_>) {
    let Some(holder) = &desk.record.instance else { return };
    if let Some(Fact::Instance(instance)) = desk.scene.world.last_seen(holder.id.as_str()) {
        stop::learn_root(desk, instance);
    }
}

/// A definite refusal: the launch has not left, so the head is where it was.
pub(super) fn take_back(desk: &mut Desk<'_>) {
    if let RootHead::Live { volume: None, generation, .. } = &desk.record.identity.root
        && *generation == desk.record.generations.number()
    {
        desk.record.identity.root = desk.record.identity.root.before_launch();
        let before = desk.replacement().and_then(|r| r.from_generation);
        desk.record.generations.take_back(before);
    }
}

/// Another market: place again, and capture again, for the zone may change. What was captured
/// stands in the record, so nothing is captured twice.
pub(super) fn back_to_place(desk: &mut Desk<'_>) {
    let name = desk.launch_name();
    if let Some(r) = desk.record.work.as_mut() {
        r.market = None;
        for row in [Row::Place, Row::Capture] {
            if let Some(state) = r.rows.get_mut(&row) {
                state.done_at = None;
            }
        }
        if let Some(state) = r.rows.get_mut(&Row::Launch) {
            state.started_at = None;
            if state.calls.remove(&name).is_some() {
                r.markets_refused += 1;
            }
        }
    }
    desk.wait("another market");
}

/// Another spot market is chosen, and asked before anything is given up.
pub(super) fn probe_anew(desk: &mut Desk<'_>) {
    if let Some(r) = desk.record.work.as_mut() {
        r.market = None;
        r.markets_refused += 1;
        r.rows.remove(&Row::Place);
    }
}

/// Says that the instance that was taken for lost is there.
pub(super) fn tell_found(desk: &mut Desk<'_>) {
    let id = desk.record.instance.as_ref().map(|h| h.id.to_string()).unwrap_or_default();
    let message = format!("{id} shows again and runs: it was hidden, and is not replaced");
    desk.tell(EventCode::FoundAgain, message);
}
