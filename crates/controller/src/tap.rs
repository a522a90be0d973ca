//! What sees the inputs and effects of a fleet, and counts.

use crate::fleet::{Departure, Effect, Fleet, Input, Outcome};
use crate::metrics::{Metrics, OUTCOMES, blackout, seconds};
use holdfast_engine::tables::overtakes::{Followed, OVERTAKES};
use holdfast_model::facts::{Page, Query, ResourceKind};
use holdfast_model::replacement::Finished;
use holdfast_model::standing::Cause;
use holdfast_model::{CloudError, Command, ErrorClass, Market, NodeId, Record, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A call that has left.
struct Call {
    action: &'static str,
    /// Where it launches, if it does.
    market: Option<Market>,
    left: Time,
}

/// A page that was asked for.
struct Read {
    kind: ResourceKind,
    is_sweep: bool,
    asked: Time,
}

/// A commit that is not durable yet.
struct Commit {
    node: NodeId,
    wanted: Time,
    record: Option<Arc<Record>>,
}

/// Sees what goes into one fleet and what comes out of it. It is told of every input before the fleet is,
/// and of all effects after.
pub struct Tap {
    metrics: Arc<Metrics>,
    calls: BTreeMap<u64, Call>,
    in_flight: BTreeMap<&'static str, i64>,
    waiting: BTreeMap<&'static str, i64>,
    reads: BTreeMap<u64, Read>,
    /// When the whole look that is under way was begun.
    sweeps: BTreeMap<ResourceKind, Time>,
    commits: BTreeMap<u64, Commit>,
    /// The number of each node's newest replacement that has been counted.
    counted: BTreeMap<NodeId, u64>,
    states: BTreeMap<NodeId, &'static str>,
    nodes: BTreeMap<&'static str, i64>,
    overtakes: BTreeMap<Followed, u64>,
}

impl Tap {
    /// Of a fleet that has heard nothing yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Tap {
        for cause in CAUSES {
            metrics.frozen.set(&[name_of_cause(cause)], 0);
        }
        Tap {
            metrics,
            calls: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            waiting: BTreeMap::new(),
            reads: BTreeMap::new(),
            sweeps: BTreeMap::new(),
            commits: BTreeMap::new(),
            counted: BTreeMap::new(),
            states: BTreeMap::new(),
            nodes: BTreeMap::new(),
            overtakes: BTreeMap::new(),
        }
    }

    /// An input is about to be handled.
    pub fn hears(&mut self, now: Time, input: &Input) {
        match input {
            Input::Loaded(records) => {
                // What ended before this start is not of its time.
                let read = records.iter().filter_map(|(_, record)| record.as_ref().ok());
                self.counted.extend(read.map(|r| (r.id.clone(), newest(&r.memory.history))));
            }
            Input::Replied(id, result) => self.replied(*id, result.as_ref().err(), now),
            Input::Observed(id, result) => self.observed(*id, result, now),
            Input::Committed(id, outcome) => self.committed(*id, outcome, now),
            Input::Catalogue(_)
            | Input::Noticed(_)
            | Input::Word(..)
            | Input::Standing(_)
            | Input::Freeze(..)
            | Input::Thaw
            | Input::Tick => {}
        }
    }

    /// An input was handled, and these effects follow.
    pub fn sees(&mut self, now: Time, effects: &[Effect], fleet: &Fleet) {
        for effect in effects {
            match effect {
                Effect::Commit { id, node, record, .. } => {
                    let commit = Commit { node: node.clone(), wanted: now, record: record.clone() };
                    self.commits.insert(*id, commit);
                    self.show_commits();
                    self.count_overtakes(fleet);
                }
                Effect::Call { calls } => calls.iter().for_each(|call| self.leaves(call, now)),
                Effect::Observe { id, query } => self.asks(*id, query, now),
                Effect::Show(node) => self.shows(node, fleet),
                Effect::Answer { .. } => {}
            }
        }
        self.show_queue(fleet);
        for cause in CAUSES {
            let frozen = fleet.standing().freezes.contains_key(&cause);
            self.metrics.frozen.set(&[name_of_cause(cause)], i64::from(frozen));
        }
    }

    fn leaves(&mut self, call: &Departure, now: Time) {
        let action = call.command.action();
        let market = match &call.command {
            Command::RunInstances(launch) => Some(launch.market.clone()),
            Command::Probe { market, .. } => Some(market.clone()),
            _ => None,
        };
        self.calls.insert(call.id, Call { action, market, left: now });
        self.add_in_flight(action, 1);
        if !self.waiting.contains_key(action) {
            // What leaves at once has a line, too: an empty one.
            self.waiting.insert(action, 0);
            self.metrics.calls_waiting.set(&[action], 0);
        }
    }

    fn add_in_flight(&mut self, action: &'static str, more: i64) {
        let now = self.in_flight.entry(action).or_default();
        *now += more;
        self.metrics.calls_in_flight.set(&[action], *now);
    }

    fn replied(&mut self, id: u64, error: Option<&CloudError>, now: Time) {
        let Some(Call { action, market, left }) = self.calls.remove(&id) else { return };
        self.add_in_flight(action, -1);
        self.metrics.calls.add(&[action, result_of(error)], 1);
        self.metrics.call_time.observe(&[action], now.since(left));
        if let (Some(error), Some(market)) = (error, market)
            && matches!(error.class, ErrorClass::Capacity | ErrorClass::Quota)
        {
            let lifecycle = market.lifecycle.to_string();
            let labels =
                [&market.instance_type, market.zone.as_str(), &lifecycle, name_of(error.class)];
            self.metrics.market_refusals.add(&labels, 1);
        }
    }

    fn asks(&mut self, id: u64, query: &Query, now: Time) {
        let is_sweep = query.ids.is_empty();
        if is_sweep && query.page.is_none() {
            self.sweeps.insert(query.kind, now);
        }
        self.reads.insert(id, Read { kind: query.kind, is_sweep, asked: now });
    }

    fn observed(&mut self, id: u64, result: &Result<Page, CloudError>, now: Time) {
        let Some(Read { kind, is_sweep, asked }) = self.reads.remove(&id) else { return };
        let (resource, scope) = (kind.name(), if is_sweep { "sweep" } else { "look" });
        let result_word = result_of(result.as_ref().err());
        self.metrics.reads.add(&[resource, scope, result_word], 1);
        self.metrics.read_time.observe(&[resource, scope], now.since(asked));
        let last = result.as_ref().is_ok_and(|page| page.next.is_none());
        if is_sweep
            && last
            && let Some(began) = self.sweeps.remove(&kind)
        {
            self.metrics.sweep_time.observe(&[resource], now.since(began));
            self.metrics.swept_at.set(&[resource], seconds(began.0));
        }
    }

    fn committed(&mut self, id: u64, outcome: &Outcome, now: Time) {
        let Some(Commit { node, wanted, record }) = self.commits.remove(&id) else { return };
        self.show_commits();
        let [done, conflict, failed] = OUTCOMES;
        let result = match outcome {
            Outcome::Done => done,
            Outcome::Conflict => conflict,
            Outcome::Failed(_) => failed,
        };
        self.metrics.commits.add(&[result], 1);
        self.metrics.commit_time.observe(&[], now.since(wanted));
        if *outcome != Outcome::Done {
            return;
        }
        let Some(record) = record else {
            self.counted.remove(&node);
            return;
        };
        let counted = self.counted.insert(node, newest(&record.memory.history)).unwrap_or(0);
        for (place, finished) in record.memory.history.iter().enumerate() {
            if finished.number > counted {
                self.ended(finished, &record.memory.history[..=place]);
            }
        }
    }

    /// A replacement has ended; `history` ends with it.
    fn ended(&mut self, finished: &Finished, history: &[Finished]) {
        let result = match finished {
            Finished { completed: true, .. } => "completed",
            Finished { lost_again: true, .. } => "lost",
            _ => "overtaken",
        };
        let cause = finished.kind.name();
        self.metrics.replacements.add(&[cause, result], 1);
        for (row, began, done) in &finished.rows {
            if let Some(done) = done {
                self.metrics.rows.observe(&[row.name()], done.since(*began));
            }
        }
        if let Some(millis) = blackout::of_last(history) {
            self.metrics.blackout.observe(&[cause], millis);
        }
    }

    fn show_commits(&self) {
        self.metrics.commits_in_flight.set(&[], self.commits.len() as i64);
    }

    fn count_overtakes(&mut self, fleet: &Fleet) {
        for (followed, times) in fleet.overtakes() {
            let counted = self.overtakes.entry(*followed).or_default();
            let more = times.saturating_sub(*counted);
            if more > 0 {
                *counted = *times;
                let line = (followed.line + 1).to_string();
                let phase = OVERTAKES.get(followed.line).map_or("", |line| line.phase.says());
                // Rows are emphasised where the table is read by people.
                let when = followed.when.says().replace('*', "");
                self.metrics.overtakes.add(&[&line, phase, &when], more);
            }
        }
    }

    fn shows(&mut self, node: &NodeId, fleet: &Fleet) {
        let state = match fleet.stopped(node) {
            Some(_) => Some("STOPPED"),
            None => fleet.record(node).map(|record| record.status()),
        };
        let before = match state {
            Some(state) => self.states.insert(node.clone(), state),
            None => self.states.remove(node),
        };
        if before == state {
            return;
        }
        for (state, more) in [(before, -1), (state, 1)] {
            if let Some(state) = state {
                let now = self.nodes.entry(state).or_default();
                *now += more;
                self.metrics.nodes.set(&[state], *now);
            }
        }
    }

    fn show_queue(&mut self, fleet: &Fleet) {
        let mut now: BTreeMap<&'static str, i64> =
            self.waiting.keys().map(|action| (*action, 0)).collect();
        now.extend(fleet.waiting_calls().map(|(action, calls)| (action, calls as i64)));
        if now != self.waiting {
            for (action, calls) in &now {
                self.metrics.calls_waiting.set(&[action], *calls);
            }
            self.waiting = now;
        }
        self.metrics.calls_later.set(&[], fleet.later_calls() as i64);
    }
}

/// The number of the newest replacement in a history.
fn newest(history: &[Finished]) -> u64 {
    history.last().map_or(0, |finished| finished.number)
}

const CAUSES: [Cause; 3] = [Cause::Asked, Cause::Account, Cause::Vanished];

fn name_of_cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Asked => "asked",
        Cause::Account => "account",
        Cause::Vanished => "vanished",
    }
}

fn result_of(error: Option<&CloudError>) -> &'static str {
    error.map_or("done", |error| name_of(error.class))
}

fn name_of(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Capacity => "capacity",
        ErrorClass::Quota => "quota",
        ErrorClass::Storage => "storage",
        ErrorClass::Throttled => "throttled",
        ErrorClass::NotYetVisible => "not-yet-visible",
        ErrorClass::Conflict => "conflict",
        ErrorClass::Refused => "refused",
        ErrorClass::Unauthorised => "unauthorised",
        ErrorClass::Unreachable => "unreachable",
        ErrorClass::OutcomeUnknown => "outcome-unknown",
    }
}
