//! A kept interface that nobody sees any more: made again only once it is certain that it is gone.

use crate::launches::{Played, document, instance, is_launch};
use holdfast_engine::World;
use holdfast_engine::replies::absorb;
use holdfast_model::facts::{Fact, InstanceState, InterfaceFact, InterfaceState, ResourceKind};
use holdfast_model::{CallState, CloudError, Command, ErrorClass, Row, Shared, Time, Zone, tags};
use serde_json::json;

/// The consistency window, in milliseconds.
const WINDOW: u64 = 30_000;

pub fn interface(command: &Command) -> Fact {
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

/// A new node of one zone whose kept interfaces have these indices, and whose user tags instances.
fn with_interfaces(indices: &[u32]) -> Played {
    let mut spec = document(&json!({ "persistPrivateIp": true }), &[]);
    let all: Vec<_> = indices.iter().map(|index| json!({ "deviceIndex": index })).collect();
    let launch = &mut spec["compute"]["launchSpecification"];
    launch["networkInterfaces"] = json!(all);
    launch["tags"] = json!([{ "tagKey": "team", "tagValue": "db" }]);
    Played::of(spec)
}

/// Answers every call that makes an interface; the calls' names and the roles of what they make.
fn make_all(node: &mut Played) -> Vec<(String, String)> {
    let is = |c: &Command| matches!(c, Command::CreateNetworkInterface { .. });
    let mut made = Vec::new();
    for (name, call) in node.open(Row::Launch).into_iter().filter(|(_, call)| is(&call.command)) {
        let Command::CreateNetworkInterface { tags, token, .. } = &call.command else {
            unreachable!()
        };
        assert!(!tags.contains_key("team"), "only instances carry it, where nothing else is said");
        made.push((name.clone(), tags[tags::ROLE].clone()));
        let number = match name.split(':').nth(1) {
            Some(index) if index.parse::<u32>().is_ok() => format!("eni-1{index}"),
            _ => "eni-1".to_owned(),
        };
        let same = |c: &Command| matches!(c, Command::CreateNetworkInterface { token: t, .. } if t == token);
        node.ends(Row::Launch, same, |command| {
            let Fact::Interface(fact) = interface(command) else { unreachable!() };
            let id = number.as_str().into();
            Ok(vec![Fact::Interface(InterfaceFact { id, ..(*fact).clone() }.into())])
        });
    }
    made
}

/// A node whose instance runs and whose further interfaces are made.
fn launched(indices: &[u32]) -> Played {
    let mut node = with_interfaces(indices);
    node.plan();
    make_all(&mut node);
    node.plan();
    node.answer(is_launch, |launch| instance(launch, InstanceState::Running, None));
    node.plan();
    make_all(&mut node);
    node.plan();
    assert!(node.is_done(Row::Launch), "{:?}", node.record.work);
    node
}

/// Records hold calls under these names and clouds hold interfaces under these roles: every version
/// must find them again.
#[test]
fn each_kept_interface_is_made_by_a_call_of_its_own_and_has_a_role_of_its_own() {
    let mut node = with_interfaces(&[0, 1, 2]);
    node.plan();
    let pair = |name: &str, role: &str| (name.to_owned(), role.to_owned());
    assert_eq!(make_all(&mut node), [pair("interface:z", "interface")]);
    node.plan();
    node.answer(is_launch, |launch| instance(launch, InstanceState::Running, None));
    node.plan();
    let further = [pair("interface:1:z", "interface:1"), pair("interface:2:z", "interface:2")];
    assert_eq!(make_all(&mut node), further);
    node.plan();
    let kept: Vec<(&str, u32)> =
        node.record.identity.interfaces().map(|i| (i.id.as_str(), i.device_index)).collect();
    assert_eq!(kept, [("eni-1", 0), ("eni-11", 1), ("eni-12", 2)]);
}

/// The interface as it is shown: attached, and whether that is complete.
fn attached(node: &Played, id: &str, index: Option<u32>, settled: bool) -> Fact {
    let Some(Fact::Interface(fact)) = node.world.last_seen(id).cloned() else { panic!("{id}") };
    Fact::Interface(
        InterfaceFact {
            state: InterfaceState::InUse,
            attached_to: Some("i-1".into()),
            device_index: index,
            attachment_settled: settled,
            ..(*fact).clone()
        }
        .into(),
    )
}

#[test]
fn an_interface_counts_as_attached_once_it_is_completely_and_where_it_belongs() {
    let mut node = launched(&[0, 1]);
    assert!(!node.is_done(Row::Attach));
    for (index, settled) in [(Some(1), false), (Some(2), true), (None, true)] {
        let shown = attached(&node, "eni-11", index, settled);
        node.look(&["eni-11"], vec![shown]);
        node.plan();
        assert!(!node.is_done(Row::Attach), "{index:?}, {settled}");
    }
    let shown = attached(&node, "eni-11", Some(1), true);
    node.look(&["eni-11"], vec![shown]);
    node.plan();
    assert!(node.is_done(Row::Attach), "{:?}", node.record.work);
}

#[test]
fn an_interface_that_is_seen_is_attached_though_the_cloud_did_not_find_it_once() {
    let mut node = launched(&[0, 1]);
    let asks = |node: &Played| node.open(Row::Attach).len();
    assert_eq!(asks(&node), 1);
    node.refuse(Row::Attach, ErrorClass::Refused, "InvalidNetworkInterfaceID.NotFound");
    node.now = node.now.plus(10_000);
    node.plan();
    assert_eq!(asks(&node), 1, "it is tried again");
}
