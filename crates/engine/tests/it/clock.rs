//! A server that starts takes what its records say of the future to be now.

use crate::launches::{market, replacement};
use holdfast_engine::Tuning;
use holdfast_engine::context::clock;
use holdfast_model::record::{NeedsDecision, Question, ServingInstance};
use holdfast_model::replacement::{Call, Finished, Replacement, RowState};
use holdfast_model::time::HOUR;
use holdfast_model::{
    CallState, CloudError, Command, ErrorClass, InstanceId, Kind, NodeId, Record, Row, Time, Token,
};
use std::collections::BTreeMap;

/// A call that was made and answered at this instant; `refused`: and not done.
fn call(at: Time, refused: bool) -> Call {
    let error = CloudError {
        class: ErrorClass::Refused,
        code: "InvalidParameterValue".to_owned(),
        message: String::new(),
    };
    let state =
        if refused { CallState::Refused { error, at } } else { CallState::Done { id: None } };
    Call {
        command: Command::TerminateInstances { instance: InstanceId::from("i-1") },
        token: Token("t".to_owned()),
        attempt: 1,
        at,
        state,
        answered_at: Some(at),
    }
}

fn row(at: Time) -> RowState {
    let calls = [("done", false), ("refused", true)];
    let calls = calls.map(|(name, refused)| (name.to_owned(), call(at, refused).into()));
    RowState { started_at: Some(at), done_at: None, calls: calls.into() }
}

/// A record in which everything that a pause counts from happened at this instant.
fn record(at: Time) -> Record {
    let mut record = Record::new(NodeId::from("smi-1"), serde_json::json!({}), Time(1));
    record.kept.grace_counted_at = at;
    record.upkeep.last_at = at;
    record.upkeep.row = row(at);
    record.memory.market_backoff.insert(market().to_string(), at);
    record.instance = Some(ServingInstance {
        id: InstanceId::from("i-1"),
        market: market(),
        why: String::new(),
        launched_at: at,
        impaired_since: Some(at),
    });
    record.blocked.ask(NeedsDecision {
        row: Row::Launch,
        since: at,
        why: String::new(),
        question: Question::Answered,
    });
    record.memory.history.push(Finished {
        number: 1,
        kind: Kind::Create,
        reason: String::new(),
        started_at: Time(1),
        finished_at: at,
        from_generation: None,
        to_generation: Some(1),
        market: None,
        rows: Vec::new(),
        completed: true,
        lost_again: true,
    });
    record.work = Some(Replacement {
        number: 2,
        rows: BTreeMap::from([(Row::Launch, row(at))]),
        without_market_since: Some(at),
        ..replacement(Kind::Lost, at)
    });
    record
}

/// How a row looks whose calls are of this instant, and their answers of that one.
fn is_row_of(row: &RowState, at: Time, answered_at: Option<Time>) {
    assert_eq!(row.started_at, Some(at), "when it began");
    for (name, call) in &row.calls {
        assert_eq!(call.at, at, "when {name} was made");
        assert_eq!(call.answered_at, answered_at, "when {name} was answered");
        if let CallState::Refused { at: refused, .. } = &call.state {
            assert_eq!(*refused, at, "when {name} was refused");
        }
    }
}

fn is_of(record: &Record, at: Time, answered_at: Option<Time>, cooled_until: Time) {
    assert_eq!(record.kept.grace_counted_at, at, "when the grace was counted");
    assert_eq!(record.upkeep.last_at, at, "when the last set was begun");
    is_row_of(&record.upkeep.row, at, answered_at);
    assert_eq!(record.memory.market_backoff.values().copied().collect::<Vec<_>>(), [cooled_until]);
    let holder = record.instance.as_ref().unwrap();
    assert_eq!(holder.launched_at, at, "when the instance was launched");
    assert_eq!(holder.impaired_since, Some(at), "since when it is unwell");
    assert_eq!(record.blocked.decision().unwrap().since, at, "since when a person is asked");
    assert_eq!(record.memory.history.last().unwrap().finished_at, at, "when the last one ended");
    let replacement = record.work.as_ref().unwrap();
    assert_eq!(replacement.started_at, at, "when the replacement began");
    assert_eq!(replacement.without_market_since, Some(at), "since when there is no market");
    is_row_of(&replacement.rows[&Row::Launch], at, answered_at);
}

#[test]
fn after_a_clock_that_was_ahead_every_instant_of_a_record_is_now() {
    let (now, tuning) = (Time(1_000_000), Tuning::ec2());
    for ahead in [1, HOUR, 240 * HOUR] {
        let mut record = record(now.plus(ahead));
        clock::set_right(&mut record, now, &tuning);
        // How old an answer is that came in the future nobody can tell: it relies on nothing.
        let longest = tuning.capacity_cooldown.max(tuning.quota_cooldown);
        is_of(&record, now, None, now.plus(ahead.min(longest)));
    }
}

#[test]
fn what_a_record_says_of_the_past_stays() {
    let now = Time(1_000_000);
    for at in [Time(7), now] {
        let mut record = record(at);
        clock::set_right(&mut record, now, &Tuning::ec2());
        is_of(&record, at, Some(at), at);
    }
}
