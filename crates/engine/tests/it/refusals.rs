//! A launch that is refused: what is tried again, when, and when a person is asked.

use crate::launches::{Played, document, is_launch};
use holdfast_engine::context::desk::MAX_ATTEMPTS;
use holdfast_engine::words::apply;
use holdfast_engine::{Tuning, World};
use holdfast_model::facts::ResourceKind;
use holdfast_model::time::MINUTE;
use holdfast_model::user::{Choice, UserCommand};
use holdfast_model::{Command, ErrorClass, NodeId, Row, Time};
use serde_json::json;

/// Whether a launch is on its way.
fn leaves(node: &Played) -> bool {
    node.open(Row::Launch).iter().any(|(_, call)| is_launch(&call.command))
}

fn launching() -> Played {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.plan();
    assert!(leaves(&node));
    node
}

/// The launch is refused; nothing leaves before the pause is over, and then it is tried again.
fn again_after_a_pause(node: &mut Played, class: ErrorClass) {
    node.refuse(Row::Launch, class, "No");
    let next = node.plan().wake.expect("it is tried again");
    assert!(!leaves(node), "{class:?}: not at once");
    assert_eq!(node.asks(), None, "{class:?}");
    assert!(next > node.now && next < node.now.plus(MINUTE), "{class:?}");
    node.now = next;
    node.plan();
    assert!(leaves(node), "{class:?}: the pause is over");
}

#[test]
fn a_refused_launch_is_tried_again_after_a_pause_until_a_person_is_asked_who_may_say_so() {
    let mut node = launching();
    for _ in 1..MAX_ATTEMPTS {
        again_after_a_pause(&mut node, ErrorClass::Refused);
    }
    node.refuse(Row::Launch, ErrorClass::Refused, "No");
    for _ in 0..3 {
        node.plan();
        assert_eq!(node.asks(), Some(Row::Launch));
        assert!(!leaves(&node), "it is the person's turn");
        node.now = node.now.plus(5 * MINUTE);
    }
    let word = UserCommand::Decide { id: NodeId::from("smi-1"), choice: Choice::Retry };
    apply(&mut node.record, &word, node.now).unwrap();
    node.plan();
    assert!(leaves(&node), "{:?}", node.record.blocked.decision());
}

#[test]
fn a_launch_without_room_is_tried_again_for_as_long_as_there_is_none_and_nobody_is_asked() {
    let mut node = launching();
    for _ in 0..MAX_ATTEMPTS + 2 {
        again_after_a_pause(&mut node, ErrorClass::Storage);
    }
}

#[test]
fn a_launch_whose_kept_interface_was_not_found_waits_for_a_look_at_it() {
    let mut node = Played::new(&json!({ "persistPrivateIp": true }), &[]);
    node.tuning = Tuning::ec2();
    node.world = World::new(node.tuning.consistency_window);
    for at in [1, MINUTE] {
        for kind in ResourceKind::ALL {
            node.world.complete_sweep(kind, Time(at));
        }
    }
    node.now = Time(MINUTE);
    node.plan();
    node.ends(
        Row::Launch,
        |c| c.action() == "CreateNetworkInterface",
        |c| Ok(vec![crate::interfaces::interface(c)]),
    );
    node.plan();
    assert!(leaves(&node));
    let launched = node.now;
    node.refuse(Row::Launch, ErrorClass::Refused, "InvalidNetworkInterfaceID.NotFound");
    node.look(&["eni-1"], Vec::new());
    for after in [1_000, 3_000, 10_000, 20_000] {
        node.now = launched.plus(after);
        let planned = node.plan();
        assert!(!leaves(&node), "{after} ms later nobody has seen it");
        assert_eq!(planned.watch, ["eni-1"]);
    }
}

/// A launch with two types to choose from is refused; with which token each was asked for, and in
/// which market.
fn asked_in_both(class: ErrorClass) -> (Vec<(String, String)>, Played) {
    let mut spec = document(&json!({ "persistRootDevice": true }), &[]);
    spec["strategy"]["fallbackToOd"] = json!(false);
    let launch = &mut spec["compute"]["launchSpecification"];
    launch["instanceTypes"] = json!({ "types": ["m5.large", "c5.large"] });
    let mut node = Played::of(spec);
    let mut asked = Vec::new();
    for _ in 0..2 {
        node.plan();
        let (_, call) = node.open(Row::Launch).pop().expect("another market is asked at once");
        let Command::RunInstances(launch) = call.command else { panic!("no launch: {call:?}") };
        assert_eq!(launch.token, call.token);
        asked.push((call.token.0, launch.market.instance_type));
        node.refuse(Row::Launch, class, "No");
    }
    (asked, node)
}

#[test]
fn a_refusal_for_want_of_room_or_quota_leads_to_another_market_by_a_launch_of_its_own() {
    for class in [ErrorClass::Capacity, ErrorClass::Quota] {
        let (asked, mut node) = asked_in_both(class);
        let types: Vec<&str> = asked.iter().map(|(_, of)| of.as_str()).collect();
        assert_eq!(types, ["m5.large", "c5.large"], "{class:?}: families have quotas of their own");
        // A cloud takes a request with the same token for the same launch.
        assert_ne!(asked[0].0, asked[1].0, "{class:?}");
        node.plan();
        assert!(!leaves(&node), "{class:?}: both have refused");
        let cooled: Vec<&String> = node.record.memory.market_backoff.keys().collect();
        assert_eq!(cooled.len(), 2, "{class:?}: {cooled:?}");
    }
}
