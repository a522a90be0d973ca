//! A kept interface that nobody sees any more: made again only once it is certain that it is gone.

use crate::launches::{Played, is_launch};
use holdfast_engine::World;
use holdfast_engine::replies::absorb;
use holdfast_model::facts::{Fact, InterfaceFact, InterfaceState, ResourceKind};
use holdfast_model::{CallState, CloudError, Command, ErrorClass, Row, Shared, Time, Zone};
use serde_json::json;

/// The consistency window, in milliseconds.
const WINDOW: u64 = 30_000;

fn interface(command: &Command) -> Fact {
    let Command::CreateNetworkInterface { subnet, tags, .. } = command else {
        panic!("no interface: {command:?}")
    };
    Fact::Interface(Shared::from(InterfaceFact {
        id: "eni-1".into(),
        state: InterfaceState::Available,
        subnet: subnet.clone(),
        zone: Zone::from("z"),
        private_ip: "10.0.0.9".to_owned(),
        mac: "02:00:00:00:00:09".to_owned(),
        attached_to: None,
        device_index: None,
        attachment_settled: true,
        association: None,
        tags: tags.clone(),
    }))
}

/// The address that an interface is being made with, if one is.
fn making(node: &Played) -> Option<Option<String>> {
    let calls = node.row(Row::Launch)?.calls.values();
    let open = calls.filter(|call| call.state == CallState::Started);
    open.map(|call| &call.command).find_map(|command| match command {
        Command::CreateNetworkInterface { private_ip, .. } => Some(private_ip.clone()),
        _ => None,
    })
}

#[test]
fn a_describe_that_is_behind_never_makes_a_kept_interface_again() {
    let mut node = Played::new(&json!({ "persistPrivateIp": true }), &[]);
    node.world = World::new(WINDOW);
    for at in [1, 2 * WINDOW] {
        for kind in ResourceKind::ALL {
            node.world.complete_sweep(kind, Time(at));
        }
    }
    node.now = Time(2 * WINDOW);
    node.plan();
    assert_eq!(making(&node), Some(None), "any address");
    node.answer(|c| matches!(c, Command::CreateNetworkInterface { .. }), interface);
    let made = node.now;
    node.plan();
    refuse(&mut node);
    for after in [1, WINDOW / 2, WINDOW - 1] {
        look(&mut node, made.plus(after));
        assert_eq!(making(&node), None, "{after} ms after it was made a look may be behind");
    }
    look(&mut node, made.plus(WINDOW + 1));
    assert_eq!(making(&node), Some(Some("10.0.0.9".to_owned())), "with its address");
}

/// The launch is refused, for a reason that has nothing to do with the interface.
fn refuse(node: &mut Played) {
    let calls = node.row(Row::Launch).expect("the launch has begun").calls.clone();
    let open = |c: &Command, state: &CallState| is_launch(c) && *state == CallState::Started;
    for (name, call) in calls.iter().filter(|(_, call)| open(&call.command, &call.state)) {
        let refusal = CloudError {
            class: ErrorClass::Refused,
            code: "InvalidParameterValue".to_owned(),
            message: "no".to_owned(),
        };
        let refused = Err(refusal);
        assert!(absorb(&mut node.record, Row::Launch, name, &call.token, &refused, node.now));
    }
}

/// A look that does not show it.
fn look(node: &mut Played, asked: Time) {
    node.now = asked;
    node.world.answered(asked);
    node.world.absorb_ids(&["eni-1".to_owned()], Vec::new(), asked);
    node.plan();
    refuse(node);
}
