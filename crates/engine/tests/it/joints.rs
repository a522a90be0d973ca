//! What a record must never become, whatever planned it.

use crate::launches::replacement;
use holdfast_engine::joints::between;
use holdfast_model::record::{NodeLifecycle, RootHead, ServingInstance};
use holdfast_model::replacement::{Finished, RowState};
use holdfast_model::user::Deallocation;
use holdfast_model::{
    Call, CallState, Command, InstanceId, Invariant, Kind, Lifecycle, Market, NodeId, Record, Row,
    SubnetId, Time, Token, VolumeId, Zone,
};
use std::collections::BTreeMap;

fn row(done: bool, calls: &[(&str, Call)]) -> RowState {
    let calls = calls.iter().map(|(name, call)| ((*name).to_owned(), call.clone().into()));
    RowState { started_at: Some(Time(1)), done_at: done.then_some(Time(2)), calls: calls.collect() }
}

/// A node under way, whose instance serves.
fn record(rows: impl IntoIterator<Item = (Row, RowState)>) -> Record {
    let mut record = Record::new(NodeId::from("smi-1"), serde_json::json!({}), Time(1));
    record.revision = Some(1);
    record.generations.launch();
    record.instance = Some(ServingInstance {
        id: InstanceId::from("i-1"),
        market: Market {
            instance_type: "m5.large".to_owned(),
            zone: Zone::from("z"),
            subnet: SubnetId::from("subnet-z"),
            lifecycle: Lifecycle::Spot,
        },
        why: String::new(),
        launched_at: Time(1),
        impaired_since: None,
    });
    record.identity.root = RootHead::Live {
        volume: Some(VolumeId::from("vol-1")),
        generation: 1,
        root_device: None,
        kept: true,
        from: None,
        origin: None,
    };
    let rows: BTreeMap<Row, RowState> = rows.into_iter().collect();
    let work = replacement(Kind::Recycle, Time(1));
    record.work = Some(holdfast_model::Replacement { number: 1, rows, ..work });
    record
}

fn names(before: &Record, after: &Record) -> Vec<Invariant> {
    between(before, after).into_iter().map(|broken| broken.name).collect()
}

fn call(token: &str, instance: &str, state: CallState) -> Call {
    Call {
        command: Command::TerminateInstances { instance: InstanceId::from(instance) },
        token: Token(token.to_owned()),
        attempt: 1,
        at: Time(1),
        state,
        answered_at: None,
    }
}

#[test]
fn what_the_fence_has_seen_stays_seen_while_its_replacement_lasts() {
    for done in [Row::Stop, Row::Fence] {
        let before = record([(done, row(true, &[]))]);
        assert_eq!(names(&before, &before), []);
        let mut after = record([(done, row(false, &[]))]);
        assert_eq!(names(&before, &after), [Invariant::RowsStayDone], "{done:?}");
        after.work.as_mut().unwrap().number = 2;
        assert_eq!(names(&before, &after), [], "another replacement");
    }
    let both = |fence| record([(Row::Stop, row(true, &[])), (Row::Fence, row(fence, &[]))]);
    assert_eq!(names(&both(true), &both(false)), [Invariant::RowsStayDone], "the second of two");
    let (mut let_go, mut ends) = (both(true), both(false));
    for (terminates, told) in [(false, vec![]), (true, vec![Invariant::RowsStayDone])] {
        let deallocation =
            Deallocation { should_terminate_instance: terminates, ..Deallocation::default() };
        let_go.lifecycle.delete(deallocation);
        ends.lifecycle.delete(deallocation);
        assert_eq!(
            names(&let_go, &ends),
            told,
            "whether the instance was to be ended: {terminates}"
        );
    }
    let back = record([(Row::Capture, row(false, &[]))]);
    assert_eq!(names(&record([(Row::Capture, row(true, &[]))]), &back), [], "it is captured again");
}

#[test]
fn a_token_says_the_same_until_it_is_answered() {
    let of = |token, instance, state| {
        record([(Row::Stop, row(false, &[("terminate", call(token, instance, state))]))])
    };
    let before = of("t-1", "i-1", CallState::Started);
    assert_eq!(names(&before, &of("t-1", "i-2", CallState::Started)), [Invariant::TokenOnce]);
    assert_eq!(names(&before, &of("t-2", "i-2", CallState::Started)), []);
    assert_eq!(names(&before, &of("t-1", "i-1", CallState::Done { id: None })), []);
}

#[test]
fn the_root_leaves_its_volume_only_when_its_instance_can_write_no_more() {
    let before = record([]);
    let mut after = record([]);
    after.identity.root = RootHead::Fresh;
    assert_eq!(names(&before, &after), [Invariant::HeadAfterFence]);
    let finished = |number| Finished {
        number,
        kind: Kind::Recycle,
        reason: String::new(),
        started_at: Time(1),
        finished_at: Time(3),
        from_generation: Some(1),
        to_generation: Some(1),
        market: None,
        rows: vec![(Row::Fence, Time(1), Some(Time(2)))],
        completed: true,
        lost_again: false,
    };
    let mut earlier = before.clone();
    earlier.memory.history.push(finished(1));
    let mut later = after.clone();
    later.memory.history.push(finished(1));
    assert_eq!(names(&before, &later), [], "its replacement has ended since");
    assert_eq!(names(&earlier, &later), [Invariant::HeadAfterFence], "another's fence");
    let mut fenced = record([(Row::Fence, row(true, &[]))]);
    fenced.identity.root = RootHead::Fresh;
    assert_eq!(names(&before, &fenced), []);
    let mut deleted = after.clone();
    deleted.lifecycle = NodeLifecycle::Deleted(Default::default());
    assert_eq!(names(&before, &deleted), []);
    let mut without = after;
    without.instance = None;
    assert_eq!(names(&before, &without), []);
}
