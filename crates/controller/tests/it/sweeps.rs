//! Sweeps of several pages: all of it is as old as the question for the first one.

use crate::looking::{Looking, page, unreachable};
use holdfast_cloud::Notice;
use holdfast_controller::{FleetConfig, Input};
use holdfast_model::facts::{Fact, Health, InstanceFact, InstanceState, ResourceKind};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::{
    CloudError, ErrorClass, ImageId, Installation, InstanceId, Lifecycle, Shared, Time, Zone, tags,
};

#[test]
fn a_sweep_of_any_kind_is_as_old_as_the_question_for_its_first_page() {
    for kind in ResourceKind::ALL {
        let mut looking = Looking::new();
        let began = looking.now;
        looking.pass(SECOND);
        assert_eq!(looking.answer(kind, page(Vec::new(), Some("b"))), None);
        assert_eq!(looking.swept(kind), None, "{kind:?}: it is not complete");
        looking.pass(SECOND);
        // A page that fails is asked for again, and only that one.
        assert_eq!(looking.answer(kind, unreachable()).as_deref(), Some("b"));
        looking.pass(2 * SECOND);
        assert_eq!(looking.answer(kind, page(Vec::new(), Some("c"))).as_deref(), Some("b"));
        looking.pass(SECOND);
        assert_eq!(looking.answer(kind, page(Vec::new(), None)).as_deref(), Some("c"));
        assert_eq!(looking.swept(kind), Some(began), "{kind:?}");
    }
}

/// An instance of a node that this fleet has no record of.
pub fn instance(interruption_at: Option<Time>) -> Fact {
    Fact::Instance(Shared::from(InstanceFact {
        id: InstanceId::from("i-9"),
        state: InstanceState::Running,
        reason: None,
        instance_type: "m5.large".to_owned(),
        zone: Zone::from("z"),
        lifecycle: Lifecycle::Spot,
        image: ImageId::from("ami-1"),
        launched_at: Time(1),
        private_ip: None,
        interface: None,
        root_device: "/dev/xvda".to_owned(),
        attachments: Vec::new(),
        health: Health::Ok,
        health_why: None,
        no_successor: None,
        interruption_at,
        drained: false,
        tags: [(tags::INSTALLATION, "us"), (tags::NODE, "smi-1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }))
}

#[test]
fn what_a_later_page_shows_is_taken_to_be_as_old_as_the_first() {
    let mut looking = Looking::new();
    let kind = ResourceKind::Instance;
    looking.answer(kind, page(vec![instance(None)], Some("b")));
    looking.pass(SECOND);
    // Between two pages the instance is looked at, for it has got its notice.
    let interruption_at = Some(Time(200 * SECOND));
    let id = InstanceId::from("i-9");
    looking.take(Input::Noticed(Notice { instance: id, interruption_at }));
    looking.pass(SECOND);
    let look = looking.asked.iter().position(|(_, query)| query.ids == ["i-9"]).expect("a look");
    let (id, _) = looking.asked.remove(look);
    looking.take(Input::Observed(id, page(vec![instance(interruption_at)], None)));
    // The question for the second page fails, and is asked again: after that look.
    looking.answer(kind, unreachable());
    looking.pass(SECOND);
    looking.answer(kind, page(vec![instance(None)], None));
    let seen = looking.fleet.world().instance("i-9").present().expect("it is seen");
    assert_eq!(seen.interruption_at, interruption_at, "the sweep began before that look");
}

/// Something is said about the instance.
pub fn noticed() -> Input {
    Input::Noticed(Notice { instance: InstanceId::from("i-9"), interruption_at: None })
}

#[test]
fn a_hint_is_looked_after_until_its_instance_shows_otherwise_than_before() {
    let mut looking = Looking::new();
    looking.sweep(&[instance(None)]);
    looking.take(noticed());
    for _ in 0..3 {
        // Describe still shows what was before the hint.
        let look = looking.look("i-9").expect("a look");
        looking.pass(100);
        looking.take(Input::Observed(look, page(vec![instance(None)], None)));
        looking.pass(SECOND);
    }
    let look = looking.look("i-9").expect("a look");
    let interruption_at = Some(Time(200 * SECOND));
    looking.take(Input::Observed(look, page(vec![instance(interruption_at)], None)));
    looking.pass(SECOND);
    looking.pass(SECOND);
    assert_eq!(looking.look("i-9"), None, "what it was about has shown");
}

#[test]
fn while_no_node_waits_only_instances_are_swept_often() {
    let mut looking = Looking::new();
    looking.sweep(&[]);
    looking.pass(15 * SECOND);
    let kinds: Vec<ResourceKind> = looking.asked.iter().map(|(_, query)| query.kind).collect();
    assert_eq!(kinds, [ResourceKind::Instance]);
    looking.sweep(&[]);
    looking.pass(MINUTE - 15 * SECOND);
    assert_eq!(looking.asked.len(), ResourceKind::ALL.len(), "{:?}", looking.asked);
}

#[test]
fn no_sweep_leaves_from_an_empty_bucket() {
    let mut looking = Looking::new();
    looking.sweep(&[]);
    looking.pass(14 * SECOND + 900);
    looking.take(noticed());
    let look = looking.look("i-9").expect("a look");
    // The look is throttled just when a sweep is due.
    looking.now = looking.now.plus(100);
    let throttled = CloudError {
        class: ErrorClass::Throttled,
        code: "RequestLimitExceeded".to_owned(),
        message: String::new(),
    };
    looking.take(Input::Observed(look, Err(throttled)));
    assert!(looking.asked.is_empty(), "{:?}", looking.asked);
    assert_eq!(looking.fleet.next_wake(), looking.now.plus(50), "20 reads a second");
    looking.pass(50);
    assert_eq!(looking.asked.len(), 1, "{:?}", looking.asked);
}

#[test]
fn however_many_calls_wait_what_is_waited_for_is_looked_at_every_two_seconds() {
    let config = FleetConfig::ec2(Installation::from("us"));
    assert_eq!((config.poll_interval, config.poll_interval_most), (SECOND / 4, 2 * SECOND));
}
