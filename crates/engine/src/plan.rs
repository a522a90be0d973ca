//! Plans one node: begins what there is a reason for, lets every row run whose guard holds, and
//! finishes what is done.

use crate::begin;
use crate::deallocation;
use crate::desk::Desk;
use crate::markets::survival::Survival;
use crate::quarantine;
use crate::replacement::{Progress, has, rows_of};
use crate::steps::capture;
use crate::tuning::Tuning;
use crate::upkeep;
use crate::world::World;
use holdfast_model::market::Catalogue;
use holdfast_model::record::{MAX_HISTORY, Record};
use holdfast_model::replacement::Finished;
use holdfast_model::time::MINUTE;
use holdfast_model::{Epoch, Event, Installation, Kind, Row, Severity, Time};

/// How often one plan goes through the table before it rests: a row may enable others.
const MAX_ROUNDS: usize = 32;

/// Everything around one node.
pub struct Scene<'a> {
    /// What the cloud shows.
    pub world: &'a World,
    /// What the region offers.
    pub catalogue: &'a Catalogue,
    /// Who we are.
    pub installation: &'a Installation,
    /// Which controller of the installation we are.
    pub epoch: Epoch,
    /// What has been seen of spot markets.
    pub survival: &'a Survival,
    /// Times that differ between clouds.
    pub tuning: &'a Tuning,
    /// How many volumes of the fleet have snapshots taken from time to time.
    pub snapshot_volumes: u64,
    /// From when on the next replacement may begin that nobody asked for and nothing forces; what
    /// has passed already means at once.
    pub choice_from: Time,
    /// The time.
    pub now: Time,
}

/// What comes of planning.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The record as it should be. The same as before: nothing to commit.
    pub record: Record,
    /// Events that go with it.
    pub events: Vec<Event>,
    /// When to plan again, if nothing happens before.
    pub wake: Option<Time>,
    /// What the node waits for.
    pub waits_for: Option<String>,
    /// Ids to look at until they change.
    pub watch: Vec<String>,
    /// Nothing is left of the node: its record can go.
    pub forget: bool,
}

/// Plans.
#[must_use]
pub fn plan(record: Record, scene: &Scene<'_>) -> Plan {
    let document =
        record.replacement.as_ref().map_or(&record.document, |replacement| &replacement.document);
    let spec = match document.spec() {
        Ok(spec) => spec,
        Err(errors) => {
            // Specs are checked before they are stored, so only a damaged record comes here.
            let why = errors.first().map(ToString::to_string).unwrap_or_default();
            return Plan {
                record,
                events: Vec::new(),
                wake: None,
                waits_for: Some(format!("its stored spec cannot be read: {why}")),
                watch: Vec::new(),
                forget: false,
            };
        }
    };
    let mut desk = Desk::new(record, spec, scene);
    if quarantine::holds(&mut desk) {
        return Plan {
            record: desk.record,
            events: desk.events,
            wake: None,
            waits_for: desk.waits_for,
            watch: Vec::new(),
            forget: false,
        };
    }
    for _ in 0..MAX_ROUNDS {
        let before = desk.record.clone();
        // Only what the last round looks for is waited for: a node that watches something waits for
        // a change of that, and not for a whole look.
        desk.watch.clear();
        begin::interrupted(&mut desk);
        if desk.record.replacement.is_none() {
            begin::begin(&mut desk);
        }
        desk.waits_for = desk.waits_for.take().filter(|_| desk.record.replacement.is_none());
        run_rows(&mut desk);
        finish(&mut desk);
        upkeep::step(&mut desk);
        if desk.record == before {
            break;
        }
    }
    let forget = deallocation::is_over(&desk);
    desk.watch.sort();
    desk.watch.dedup();
    Plan {
        record: desk.record,
        events: desk.events,
        wake: desk.wake,
        waits_for: desk.waits_for,
        watch: desk.watch,
        forget,
    }
}

fn run_rows(desk: &mut Desk<'_>) {
    let Some(kind) = desk.kind() else { return };
    for spec in rows_of(kind) {
        let Some(replacement) = desk.replacement() else { return };
        let may_run = !replacement.is_done(spec.row)
            && spec.after.iter().all(|row| !has(kind, *row) || replacement.is_done(*row));
        if !may_run {
            continue;
        }
        let now = desk.scene.now;
        if let Some(r) = desk.record.replacement.as_mut() {
            r.rows.entry(spec.row).or_default().started_at.get_or_insert(now);
        }
        match (spec.step)(desk) {
            Progress::Done => {
                if let Some(r) = desk.record.replacement.as_mut() {
                    r.rows.entry(spec.row).or_default().done_at = Some(now);
                }
                let is_it = |s: &holdfast_model::record::NeedsDecision| s.row == spec.row;
                if desk.record.stuck.as_ref().is_some_and(is_it) {
                    desk.record.stuck = None;
                    let name = spec.row.name();
                    desk.tell(Severity::Info, "unstuck", format!("{name} goes on by itself"));
                }
                let name = spec.row.name();
                desk.tell(Severity::Debug, "row-done", format!("{name} is done"));
            }
            Progress::Waiting => lose_patience(desk, spec.row, spec.patience_minutes),
        }
    }
}

/// Every wait has an end: then a person is asked.
fn lose_patience(desk: &mut Desk<'_>, row: Row, minutes: Option<u64>) {
    let Some(minutes) = minutes else { return };
    let Some(started) = desk.row(row).and_then(|state| state.started_at) else { return };
    let since = desk
        .record
        .stuck
        .as_ref()
        .filter(|s| s.row == row && s.choices.is_empty())
        .map_or(started, |s| s.since.max(started));
    let end = since.plus(minutes * MINUTE);
    if desk.scene.now >= end {
        let what = desk.waits_for.clone().unwrap_or_else(|| "an answer of the cloud".to_owned());
        if desk.record.stuck.as_ref().is_some_and(|s| s.row == row && s.choices.is_empty()) {
            desk.record.stuck = None;
        }
        desk.need_decision(row, format!("for {minutes} minutes it has waited for {what}"));
    } else {
        desk.wake_at(end);
    }
}

/// Ends the replacement when its last row is done.
fn finish(desk: &mut Desk<'_>) {
    let Some(replacement) = desk.replacement() else { return };
    if rows_of(replacement.kind).all(|spec| replacement.is_done(spec.row)) {
        close(desk, End::Completed);
    }
}

/// How a replacement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It reached its end.
    Completed,
    /// The new instance was lost before it was ready.
    LostAgain,
    /// The user's word overtook it.
    Overtaken,
    /// Nothing was given up for it, and nothing came of it: it leaves no trace in the history.
    NotBegun,
}

/// Moves the replacement in flight to the history.
pub(crate) fn close(desk: &mut Desk<'_>, end: End) {
    let Some(replacement) = desk.record.replacement.take() else { return };
    let now = desk.scene.now;
    // Whatever it asked a person about, nobody waits for any more.
    desk.record.stuck = None;
    capture::keep_saved(desk, replacement.from_generation, &replacement.rows);
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
    let generation = desk.record.generation;
    if end == End::Completed {
        let message = match replacement.kind {
            Kind::Pause => format!("paused after {length} ms"),
            Kind::Delete => format!("deallocated after {length} ms"),
            _ => format!("{name}: generation {generation} is complete after {length} ms"),
        };
        desk.tell(Severity::Info, "replacement-done", message);
    } else {
        let message = format!("{name} was overtaken after {length} ms");
        desk.tell(Severity::Warn, "replacement-overtaken", message);
    }
    desk.record.history.push(Finished {
        number: replacement.number,
        kind: replacement.kind,
        reason: replacement.reason,
        started_at: replacement.started_at,
        finished_at: now,
        from_generation: replacement.from_generation,
        to_generation: generation,
        market: replacement.market,
        rows,
        completed: end == End::Completed,
        lost_again: end == End::LostAgain,
    });
    let excess = desk.record.history.len().saturating_sub(MAX_HISTORY);
    desk.record.history.drain(..excess);
}
