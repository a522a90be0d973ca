//! The next instance is launched while the old one serves: when, for how long it is waited for, and
//! what becomes of it.

use crate::launches::{Played, instance, is_launch, market, other_market, running, sees};
use holdfast_engine::words::apply;
use holdfast_model::facts::{Fact, Health, InstanceFact, InstanceState};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{Command, ErrorClass, InstanceId, Kind, NodeId, Row, tags};
use serde_json::{Value, json};

/// A node whose root goes with its instance, and which serves.
fn light() -> (Played, InstanceFact) {
    let kept = json!({ "persistBlockDevices": true, "blockDevicesMode": "reattach" });
    let (mut node, seen) = running(&kept);
    change(&mut node, "/strategy", json!({ "lifeCycle": "spot", "fallbackToOd": false }));
    (node, InstanceFact { health: Health::Ok, ..seen })
}

fn change(node: &mut Played, path: &str, value: Value) {
    let mut document = (*node.record.document).clone();
    *document.pointer_mut(path).expect("it is there") = value;
    node.record.document = document.into();
}

/// The market in which an instance is being launched that is to stand by.
fn asked(node: &Played) -> Option<String> {
    node.open(Row::Standby).into_iter().find_map(|(_, call)| match call.command {
        Command::RunInstances(launch) => Some(launch.market.instance_type),
        _ => None,
    })
}

/// The launch of the instance that is to stand by is answered with this one.
fn stands_by(node: &mut Played, state: InstanceState) {
    node.ends(Row::Standby, is_launch, |launch| {
        let Fact::Instance(fact) = instance(launch, state, None) else { unreachable!() };
        Ok(vec![Fact::Instance(InstanceFact { id: "i-2".into(), ..(*fact).clone() }.into())])
    });
}

#[test]
fn without_a_market_a_recycling_gives_nothing_up_and_a_notice_waits_for_none() {
    for kind in [Kind::Recycle, Kind::Notice] {
        let (mut node, mut seen) = light();
        let until = node.now.plus(60 * MINUTE);
        node.record.memory.market_backoff.insert(market().to_string(), until);
        match kind {
            Kind::Recycle => node.record.lifecycle.set_recycle(true),
            _ => seen.interruption_at = Some(node.now.plus(2 * MINUTE)),
        }
        sees(&mut node, seen);
        assert_eq!(node.record.work.as_ref().map(|r| r.kind), Some(kind));
        assert_eq!(node.is_done(Row::Standby), kind == Kind::Notice, "{kind:?}");
        assert_eq!(node.row(Row::Drain).is_some(), kind == Kind::Notice, "{kind:?}");
        assert_eq!(asked(&node), None, "{kind:?}");
    }
}

#[test]
fn half_of_a_notice_is_spent_on_waiting_for_the_next_instance() {
    let (mut node, seen) = light();
    let heard = node.now;
    let seen = InstanceFact { interruption_at: Some(heard.plus(2 * MINUTE)), ..seen };
    sees(&mut node, seen.clone());
    stands_by(&mut node, InstanceState::Pending);
    for (after, done) in [(SECOND, false), (58 * SECOND, false), (61 * SECOND, true)] {
        node.now = heard.plus(after);
        sees(&mut node, seen.clone());
        assert_eq!(node.is_done(Row::Standby), done, "{after} ms after the notice");
    }
}

#[test]
fn an_instance_without_room_for_one_interface_more_is_launched_after_the_old_one_has_ended() {
    for volumes in [22, 23] {
        let (mut node, seen) = light();
        let devices = (0..volumes).map(|n| format!("/dev/xvd{}", char::from(b'b' + n)));
        let mappings: Vec<Value> =
            devices.map(|d| json!({ "deviceName": d, "ebs": { "volumeSize": 4 } })).collect();
        change(&mut node, "/compute/launchSpecification/blockDeviceMappings", json!(mappings));
        let mut document = (*node.record.document).clone();
        document["compute"]["launchSpecification"]["networkInterfaces"] =
            json!([{"deviceIndex": 0}, {"deviceIndex": 1}, {"deviceIndex": 2}, {"deviceIndex": 3}]);
        node.record.document = document.into();
        node.record.lifecycle.set_recycle(true);
        sees(&mut node, seen);
        assert_eq!(asked(&node).is_some(), volumes == 22, "{volumes}");
        assert_eq!(node.row(Row::Drain).is_some(), volumes == 23, "{volumes}");
    }
}

#[test]
fn an_instance_that_stands_by_for_nobody_is_given_up_as_soon_as_a_pause_is_wanted() {
    let (mut node, seen) = light();
    node.record.lifecycle.set_recycle(true);
    sees(&mut node, seen.clone());
    stands_by(&mut node, InstanceState::Running);
    let word = UserCommand::Pause(NodeId::from("smi-1"));
    apply(&mut node.record, &word, node.now).unwrap();
    sees(&mut node, seen);
    assert_eq!(node.record.work.as_ref().map(|r| r.kind), Some(Kind::Pause));
    let given_up: Vec<&str> =
        node.record.kept.pending_deletion.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(given_up, ["i-2"]);
    assert!(node.row(Row::Standby).is_none());
}

#[test]
fn while_a_lost_instance_ends_a_market_that_refused_lately_is_asked_as_soon_as_it_may_be() {
    let (mut node, seen) = light();
    let both = json!({ "types": ["m5.large", "c5.large"] });
    change(&mut node, "/compute/launchSpecification/instanceTypes", both);
    let again = node.now.plus(20 * SECOND);
    node.record.memory.market_backoff.insert(other_market().to_string(), again);
    let ending = InstanceFact { state: InstanceState::ShuttingDown, ..seen };
    sees(&mut node, ending.clone());
    assert_eq!(asked(&node).as_deref(), Some("m5.large"));
    node.refuse(Row::Standby, ErrorClass::Capacity, "InsufficientInstanceCapacity");
    let planned = sees(&mut node, ending.clone());
    assert_eq!(asked(&node), None);
    assert_eq!(planned.wake, Some(again), "nothing else tells the node");
    node.now = again;
    sees(&mut node, ending);
    assert_eq!(asked(&node).as_deref(), Some("c5.large"));
    let launched = node.open(Row::Standby).into_iter().map(|(_, call)| call);
    let generations: Vec<String> = launched
        .filter_map(|call| match call.command {
            Command::RunInstances(launch) => launch.tags.get(tags::GENERATION).cloned(),
            _ => None,
        })
        .collect();
    assert_eq!(generations, ["2"]);
    assert_eq!(node.record.instance.as_ref().map(|h| h.id.clone()), Some(InstanceId::from("i-1")));
}
