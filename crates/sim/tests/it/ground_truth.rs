//! What the simulated cloud's own knowledge tells, once it is brought about; listed in
//! [`crate::invariants`].

use crate::invariants::{data_volume, nothing_told, paused, record, told, twin};
use crate::scene::{Scene, WHOLE};
use holdfast_model::facts::Fact;
use holdfast_model::time::MINUTE;
use holdfast_model::{Command, InstanceId, Invariant, Token, tags};

#[test]
pub fn a_second_gate_that_opens_breaks_three_invariants() {
    let mut scene = Scene::serving(901, WHOLE);
    let launch = twin(&scene, "second");
    let now = scene.sim.now;
    let command = Command::RunInstances(Box::new(launch));
    let made = scene.sim.cloud.as_user(now, &command).expect("a second instance");
    let id = InstanceId::from(made.facts[0].id());
    let now = now.plus(MINUTE);
    scene.sim.cloud.advance(now);
    nothing_told(&scene);
    let gate = Command::OpenGate { instance: id, manifest: Vec::new(), interface: None };
    scene.sim.cloud.as_user(now, &gate).expect("its gate opens");
    told(&scene, Invariant::OneWriter, "still serves");
    told(&scene, Invariant::NoWriteLost, "/dev/xvdb from nothing");
    told(&scene, Invariant::IdentityKept, "/dev/xvdb is missing");
    told(&scene, Invariant::IdentityKept, "private IP");
    told(&scene, Invariant::IdentityKept, "MAC");
}

/// Opens the gate of a further instance of the node.
fn second_gate(scene: &mut Scene, token: &str) {
    let instance = gate_to_be(scene, token);
    open(scene, &instance);
}

/// A further instance of the node, with a second interface under index 1.
fn gate_to_be(scene: &mut Scene, token: &str) -> InstanceId {
    let command = Command::RunInstances(Box::new(twin(scene, token)));
    let now = scene.sim.now;
    let made = scene.sim.cloud.as_user(now, &command).expect("a second instance");
    let id = InstanceId::from(made.facts[0].id());
    scene.sim.now = now.plus(MINUTE);
    let now = scene.sim.now;
    scene.sim.cloud.advance(now);
    let makes = Command::CreateNetworkInterface {
        token: Token(format!("interface-{token}")),
        subnet: "subnet-sim-1a".into(),
        private_ip: None,
        groups: Vec::new(),
        tags: tags::Tags::new(),
    };
    let made = scene.sim.cloud.as_user(now, &makes).expect("an interface");
    let interface = made.facts[0].id().into();
    scene.sim.cloud.advance(now.plus(MINUTE));
    let attaches =
        Command::AttachNetworkInterface { interface, instance: id.clone(), device_index: 1 };
    scene.sim.cloud.as_user(now.plus(MINUTE), &attaches).expect("it is attached");
    scene.sim.now = now.plus(2 * MINUTE);
    let now = scene.sim.now;
    scene.sim.cloud.advance(now);
    id
}

fn open(scene: &mut Scene, instance: &InstanceId) {
    let gate =
        Command::OpenGate { instance: instance.clone(), manifest: Vec::new(), interface: None };
    let now = scene.sim.now;
    scene.sim.cloud.as_user(now, &gate).expect("its gate opens");
}

#[test]
pub fn a_further_interface_or_an_elastic_ip_that_is_another_one_is_told() {
    let mut scene = Scene::serving(929, WHOLE);
    let node = scene.node.clone();
    let changes = |scene: &Scene, what: &str| {
        let all = scene.sim.cloud.violations();
        all.iter().filter(|v| v.sentence.contains(what)).count()
    };
    scene.sim.cloud.truth_mut().expect_interfaces(&node, [2]);
    second_gate(&mut scene, "second");
    told(&scene, Invariant::IdentityKept, "interface 2 is missing");
    // What is there for the first time is the identity from then on.
    scene.sim.cloud.truth_mut().expect_interfaces(&node, [1]);
    second_gate(&mut scene, "third");
    assert_eq!(changes(&scene, "interface 1"), 0);
    second_gate(&mut scene, "fourth");
    told(&scene, Invariant::IdentityKept, "interface 1: ");

    // The first one had no Elastic IP.
    scene.sim.cloud.truth_mut().expect_elastic_ip(&node);
    let fifth = gate_to_be(&mut scene, "fifth");
    let now = scene.sim.now;
    let allocation = scene.sim.cloud.allocate_address(now).expect("an address");
    let interface = match scene.sim.cloud.truly(fifth.as_str()) {
        Some(Fact::Instance(i)) => i.interface.clone().expect("its own interface"),
        other => panic!("{other:?}"),
    };
    let leads = Command::AssociateAddress { allocation, interface, allow_reassociation: false };
    scene.sim.cloud.as_user(now, &leads).expect("it leads there");
    assert_eq!(changes(&scene, "Elastic IP"), 0);
    open(&mut scene, &fifth);
    told(&scene, Invariant::IdentityKept, "Elastic IP None became Some");
}

#[test]
pub fn the_last_copy_that_is_deleted_is_told() {
    let mut scene = paused(902);
    let volume = data_volume(&record(&scene));
    let now = scene.sim.now;
    scene.sim.cloud.as_user(now, &Command::DeleteVolume { volume }).expect("it is free");
    scene.sim.run_for(MINUTE);
    told(&scene, Invariant::LastCopyKept, "the only copy of all");
}

#[test]
pub fn what_is_left_over_at_the_end_is_told() {
    let mut scene = paused(905);
    let known = scene.known();
    let known: Vec<&str> = known.iter().skip(1).map(String::as_str).collect();
    scene.sim.cloud.check_leaks(scene.sim.now, &scene.node, &known);
    told(&scene, Invariant::NothingForgotten, "was left behind");
}
