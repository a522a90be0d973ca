//! Which replacement is begun, as what it is told, and as what it goes on.

use crate::launches::{Played, instance, is_launch, running, sees};
use holdfast_engine::words::apply;
use holdfast_model::facts::{Health, InstanceFact, InstanceState};
use holdfast_model::record::{NeedsDecision, Question, RootPoint};
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::user::{Choice, UserCommand};
use holdfast_model::{
    Event, ImageId, Kind, Lifecycle, NodeId, Row, Severity, SnapshotId, Time, record,
};
use serde_json::json;
use std::collections::BTreeMap;

fn kind(node: &Played) -> Option<Kind> {
    node.record.work.as_ref().map(|r| r.kind)
}

/// How loud the beginning of such a replacement was told.
fn told(events: &[Event], kind: Kind) -> Option<Severity> {
    events.iter().find(|event| event.code == kind.name()).map(|event| event.severity)
}

#[test]
fn a_new_node_is_created_and_one_that_had_an_instance_is_resumed() {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    let events = node.plan().events;
    assert_eq!(kind(&node), Some(Kind::Create));
    assert_eq!(told(&events, Kind::Create), Some(Severity::Info));
    let (mut node, _) = running(&json!({ "persistRootDevice": true }));
    node.record.instance = None;
    node.plan();
    assert_eq!(kind(&node), Some(Kind::Resume));
}

#[test]
fn what_befalls_a_node_is_told_as_a_warning_and_what_its_user_wants_is_not() {
    let kept = json!({ "persistRootDevice": true });
    for (wanted, severity) in [
        (Kind::Lost, Severity::Warn),
        (Kind::Notice, Severity::Warn),
        (Kind::Unhealthy, Severity::Warn),
        (Kind::Recycle, Severity::Info),
    ] {
        let (mut node, seen) = running(&kept);
        let mut shown = InstanceFact { health: Health::Ok, ..seen };
        match wanted {
            Kind::Lost => shown.state = InstanceState::Terminated,
            Kind::Notice => shown.interruption_at = Some(Time(2 * MINUTE)),
            Kind::Unhealthy => {
                shown.health = Health::Impaired;
                sees(&mut node, shown.clone());
                node.now = node.now.plus(10 * MINUTE);
            }
            _ => node.record.lifecycle.set_recycle(true),
        }
        let planned = sees(&mut node, shown);
        assert_eq!(kind(&node), Some(wanted));
        assert_eq!(told(&planned.events, wanted), Some(severity), "{wanted:?}");
    }
}

#[test]
fn a_pause_that_comes_after_the_word_for_a_rollback_is_a_pause() {
    let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
    let running = InstanceFact { health: Health::Ok, ..seen };
    node.record.identity.rollback = Some(record::Rollback {
        generation: 1,
        root: Some(RootPoint {
            snapshot: SnapshotId::from("snap-1"),
            image: Some(ImageId::from("ami-2")),
            origin: None,
            taken_at: Time(1),
        }),
        data: BTreeMap::new(),
        reason: "the user returns".to_owned(),
    });
    sees(&mut node, running.clone());
    assert_eq!(kind(&node), Some(Kind::Rollback));
    let id = NodeId::from("smi-1");
    apply(&mut node.record, &UserCommand::Pause(id), node.now).unwrap();
    sees(&mut node, running);
    assert_eq!(kind(&node), Some(Kind::Pause), "nothing has been launched");
}

#[test]
fn who_chooses_to_wait_is_not_asked_again_before_that_time_has_passed() {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.plan();
    node.answer(is_launch, |launch| instance(launch, InstanceState::Pending, None));
    node.now = node.now.plus(31 * MINUTE);
    node.plan();
    assert_eq!(node.asks(), Some(Row::Launch));
    let word = UserCommand::Decide { id: NodeId::from("smi-1"), choice: Choice::Wait };
    apply(&mut node.record, &word, node.now).unwrap();
    let chosen = node.now;
    for minutes in [0, 10, 29] {
        node.now = chosen.plus(minutes * MINUTE);
        node.plan();
        assert_eq!(node.asks(), None, "after {minutes} minutes");
    }
    node.now = chosen.plus(30 * MINUTE);
    node.plan();
    assert_eq!(node.asks(), Some(Row::Launch));
}

/// A node that serves on demand, though its user wants spot or on-demand; a day later.
fn on_demand(wanted: &str, stuck: bool) -> Option<Kind> {
    let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
    let mut document = (*node.record.document).clone();
    document["strategy"] =
        json!({ "lifeCycle": wanted, "revertToSpot": { "performAt": "always" } });
    node.record.document = document.into();
    let holder = node.record.instance.as_mut().unwrap();
    holder.market.lifecycle = Lifecycle::OnDemand;
    if stuck {
        node.record.blocked.ask(NeedsDecision {
            row: Row::Launch,
            since: Time(1),
            why: "something".to_owned(),
            question: Question::Asked { choices: vec![Choice::Wait], restore: BTreeMap::new() },
        });
    }
    node.now = Time(24 * HOUR);
    sees(&mut node, InstanceFact { health: Health::Ok, ..seen });
    kind(&node)
}

#[test]
fn only_who_wants_spot_and_is_asked_nothing_is_brought_back_to_it() {
    assert_eq!(on_demand("spot", false), Some(Kind::Revert));
    assert_eq!(on_demand("spot", true), None);
    assert_eq!(on_demand("on_demand", false), None);
}
