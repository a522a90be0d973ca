//! Plans one node: begins what there is a reason for, lets every row run whose guard holds, and
//! finishes what is done.

use crate::context::desk::Desk;
use crate::context::progress::Progress;
use crate::context::scene::Scene;
use crate::life::{deallocation, quarantine};
use crate::parts::upkeep;
use crate::tables::overtakes::{self, Followed};
use crate::tables::replacement::{has, rows_of};
use crate::tables::triggers;
use holdfast_model::record::Record;
use holdfast_model::time::MINUTE;
use holdfast_model::{Event, EventCode, Row, Time};

/// How often one plan goes through the table before it rests: a row may enable others.
const MAX_ROUNDS: usize = 32;

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
    /// Which lines of the table of what overtakes a replacement were followed.
    pub overtaken: Vec<Followed>,
    /// Whether it came to rest: one that did not would go on for ever.
    pub settled: bool,
}

/// Plans.
#[must_use]
pub fn plan(record: Record, scene: &Scene<'_>) -> Plan {
    let document =
        record.work.as_ref().map_or(&record.document, |replacement| &replacement.document);
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
                overtaken: Vec::new(),
                settled: true,
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
            overtaken: Vec::new(),
            settled: true,
        };
    }
    let mut overtaken = Vec::new();
    let mut settled = false;
    for _ in 0..MAX_ROUNDS {
        let before = desk.record.clone();
        // Only what the last round looks for is waited for: a node that watches something waits for
        // a change of that, and not for a whole look.
        desk.watch.clear();
        overtaken.extend(overtakes::look(&mut desk));
        if desk.record.work.is_none() {
            triggers::begin(&mut desk);
        }
        desk.waits_for = desk.waits_for.take().filter(|_| desk.record.work.is_none());
        run_rows(&mut desk, &mut overtaken);
        overtaken.extend(overtakes::finish(&mut desk));
        upkeep::step(&mut desk);
        if desk.record == before {
            settled = true;
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
        overtaken,
        settled,
    }
}

fn run_rows(desk: &mut Desk<'_>, overtaken: &mut Vec<Followed>) {
    let Some(kind) = desk.kind() else { return };
    for spec in rows_of(kind) {
        let Some(replacement) = desk.replacement() else { return };
        let may_run = !replacement.is_done(spec.row)
            && spec.after.iter().all(|row| !has(kind, *row) || replacement.is_done(*row));
        if !may_run {
            continue;
        }
        let now = desk.scene.now;
        if let Some(r) = desk.record.work.as_mut() {
            r.rows.entry(spec.row).or_default().started_at.get_or_insert(now);
        }
        match (spec.step)(desk) {
            Progress::Done => {
                if let Some(r) = desk.record.work.as_mut() {
                    r.rows.entry(spec.row).or_default().done_at = Some(now);
                }
                let is_it = |s: &holdfast_model::record::NeedsDecision| s.row == spec.row;
                if desk.record.blocked.decision().is_some_and(is_it) {
                    desk.record.blocked.goes_on();
                    let name = spec.row.name();
                    desk.tell(EventCode::Unstuck, format!("{name} goes on by itself"));
                }
                let name = spec.row.name();
                desk.tell(EventCode::RowDone, format!("{name} is done"));
            }
            progress => {
                if let Progress::Reports(report) = progress {
                    overtaken.extend(overtakes::report(desk, report));
                }
                lose_patience(desk, spec.row, spec.patience_minutes);
            }
        }
    }
}

/// Every wait has an end: then a person is asked.
fn lose_patience(desk: &mut Desk<'_>, row: Row, minutes: Option<u64>) {
    let Some(minutes) = minutes else { return };
    let Some(started) = desk.row(row).and_then(|state| state.started_at) else { return };
    let answered = desk.record.blocked.answered(row);
    let since = answered.map_or(started, |answered| answered.since.max(started));
    let end = since.plus(minutes * MINUTE);
    if desk.scene.now >= end {
        let what = desk.waits_for.clone().unwrap_or_else(|| "an answer of the cloud".to_owned());
        if desk.record.blocked.answered(row).is_some() {
            desk.record.blocked.goes_on();
        }
        desk.need_decision(row, format!("for {minutes} minutes it has waited for {what}"));
    } else {
        desk.wake_at(end);
    }
}
