//! What follows from an answer: to a drain, to a probe, to the making of an address, to deletions.

use crate::fences::data;
use crate::interfaces::interface;
use crate::launches::{self, Played, document, instance, is_launch, running, sees, volume};
use holdfast_engine::Tuning;
use holdfast_model::facts::{
    Fact, Health, InstanceFact, InstanceState, InterfaceFact, VolumeState,
};
use holdfast_model::record::{Due, Generations, PendingDeletion};
use holdfast_model::tags::Tags;
use holdfast_model::time::MINUTE;
use holdfast_model::{Command, ErrorClass, Event, Kind, Lifecycle, Row, Time};
use serde_json::json;

fn told(events: &[Event], code: &str) -> Vec<String> {
    events.iter().filter(|e| e.code == code).map(|e| e.message.clone()).collect()
}

#[test]
fn a_drain_that_is_refused_is_over_and_people_are_told_why() {
    let kept = json!({ "persistRootDevice": true });
    let (mut node, seen) = running(&kept);
    let mut spec = document(&kept, &[]);
    spec["compute"]["launchSpecification"]["shutdownScript"] = json!("IyEvYmluL3NoCg==");
    node.record.document = spec.into();
    node.record.lifecycle.set_recycle(true);
    let seen = InstanceFact { health: Health::Ok, ..seen };
    sees(&mut node, seen.clone());
    assert!(!node.is_done(Row::Drain));
    node.refuse(Row::Drain, ErrorClass::Refused, "NoAgent");
    let events = sees(&mut node, seen).events;
    assert!(node.is_done(Row::Drain), "it is a courtesy");
    let told = told(&events, "drain-failed");
    assert!(told.len() == 1 && told[0].contains("NoAgent"), "{told:?}");
}

#[test]
fn so_many_deletions_of_a_node_are_under_way_at_once() {
    for (gone, at_once) in [(15, 15), (16, 16), (17, 16)] {
        let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
        for number in 0..gone {
            node.record.kept.pending_deletion.push(PendingDeletion {
                id: format!("vol-{number}"),
                reason: "it is not needed".to_owned(),
                due: Due::Now,
            });
        }
        sees(&mut node, InstanceFact { health: Health::Ok, ..seen });
        assert_eq!(node.open(Row::Retire).len(), at_once, "{:?}", node.record.work);
    }
}

#[test]
fn a_probe_that_is_refused_for_want_of_quota_spares_the_whole_family_for_longer() {
    for class in [ErrorClass::Quota, ErrorClass::Capacity] {
        let mut spec = document(&json!({ "persistRootDevice": true }), &[]);
        spec["strategy"] =
            json!({ "lifeCycle": "spot", "revertToSpot": { "performAt": "always" } });
        let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
        node.tuning = Tuning::ec2();
        node.record.document = spec.into();
        if let Some(holder) = node.record.instance.as_mut() {
            holder.market.lifecycle = Lifecycle::OnDemand;
        }
        node.catalogue.prices.push(holdfast_model::market::MarketPrice {
            market: holdfast_model::Market { lifecycle: Lifecycle::OnDemand, ..launches::market() },
            hourly_usd: 0.1,
        });
        let serves = InstanceFact { health: Health::Ok, lifecycle: Lifecycle::OnDemand, ..seen };
        node.now = Time(300 * MINUTE);
        sees(&mut node, serves);
        assert_eq!(node.record.work.as_ref().map(|r| r.kind), Some(Kind::Revert));
        node.refuse(Row::Probe, class, "No");
        node.plan();
        let cooldown = match class {
            ErrorClass::Quota => node.tuning.quota_cooldown,
            _ => node.tuning.capacity_cooldown,
        };
        let until: Vec<Time> = node.record.memory.market_backoff.values().copied().collect();
        assert_eq!(until, [node.now.plus(cooldown)], "{class:?}");
    }
    assert_ne!(Tuning::ec2().quota_cooldown, Tuning::ec2().capacity_cooldown);
}

#[test]
fn of_which_interface_an_address_is_is_told() {
    let mut spec = document(&json!({ "persistPrivateIp": true }), &[]);
    spec["compute"]["launchSpecification"]["networkInterfaces"] =
        json!([{ "deviceIndex": 0 }, { "deviceIndex": 1 }]);
    let mut node = Played::of(spec);
    node.plan();
    let makes = |c: &Command| matches!(c, Command::CreateNetworkInterface { .. });
    node.ends(Row::Launch, makes, |command| Ok(vec![interface(command)]));
    let first = told(&node.plan().events, "address-kept");
    assert_eq!(first, ["the private IP is 10.0.0.9 for good, in z"]);
    node.answer(is_launch, |launch| instance(launch, InstanceState::Running, None));
    node.plan();
    node.ends(Row::Launch, makes, |command| {
        let Fact::Interface(fact) = interface(command) else { unreachable!() };
        Ok(vec![Fact::Interface(InterfaceFact { id: "eni-2".into(), ..(*fact).clone() }.into())])
    });
    let second = told(&node.plan().events, "address-kept");
    assert_eq!(second, ["the private IP of interface 1 is 10.0.0.9 for good, in z"]);
}

#[test]
fn a_volume_whose_filesystem_is_known_need_not_be_seen_for_the_node_to_be_ready() {
    let keeps = json!({ "persistBlockDevices": true, "blockDevicesMode": "reattach" });
    let mut node = Played::new(&keeps, &["/dev/xvdb"]);
    node.record.generations = Generations::at(1);
    let mut known = data("/dev/xvdb", "vol-1", false);
    known.fs_uuid = Some("uuid-1".to_owned());
    node.record.identity.data = vec![known];
    node.look(&["vol-1"], vec![volume("vol-1", VolumeState::Available, Tags::new())]);
    node.plan();
    node.answer(is_launch, |launch| instance(launch, InstanceState::Running, None));
    node.plan();
    node.ends(Row::Attach, |c| matches!(c, Command::AttachVolume { .. }), |_| Ok(Vec::new()));
    let Fact::Volume(fact) = volume("vol-1", VolumeState::InUse, Tags::new()) else {
        unreachable!()
    };
    let mut held = (*fact).clone();
    held.attached_to = Some(("i-1".into(), "/dev/xvdb".to_owned()));
    node.look(&["vol-1"], vec![Fact::Volume(held.into())]);
    node.plan();
    assert!(node.is_done(Row::Attach), "{:?}", node.record.work);
    node.ends(Row::Ready, |c| matches!(c, Command::OpenGate { .. }), |_| Ok(Vec::new()));
    // Just now a look does not show it.
    node.look(&["vol-1"], Vec::new());
    let Some(Fact::Instance(seen)) = node.world.last_seen("i-1").cloned() else {
        panic!("it runs")
    };
    let planned = sees(&mut node, InstanceFact { health: Health::Ok, ..(*seen).clone() });
    assert_eq!(node.record.generations.ready(), Some(2), "{:?}", planned.waits_for);
}

#[test]
fn an_instance_that_shows_again_does_not_go_on_once_it_was_to_be_ended() {
    let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
    let kind = |node: &Played| node.record.work.as_ref().map(|r| r.kind);
    // A person stops it, and starts it again.
    sees(&mut node, InstanceFact { state: InstanceState::Stopped, ..seen.clone() });
    assert_eq!(kind(&node), Some(Kind::Lost));
    assert_eq!(node.open(Row::Stop).len(), 1, "{:?}", node.record.work);
    sees(&mut node, InstanceFact { health: Health::Ok, ..seen });
    assert_eq!(kind(&node), Some(Kind::Lost));
}
