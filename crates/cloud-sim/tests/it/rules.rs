use crate::node::{DATA, Hand};
use holdfast_cloud_sim::Scheduled;
use holdfast_cloud_sim::config::{IMAGE, SimConfig, Span, market};
use holdfast_model::facts::{Fact, Health, InstanceState, Query, ResourceKind};
use holdfast_model::time::{HOUR, SECOND};
use holdfast_model::{Command, ErrorClass, ImageId, InstanceId, Lifecycle, Time};

fn query(kind: ResourceKind, page: Option<String>) -> Query {
    Query { kind, ids: Vec::new(), page }
}

#[test]
fn a_terminated_instance_is_shown_for_an_hour_and_then_vanishes() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, _, _) = hand.first();
    hand.must(Command::TerminateInstances { instance: first.clone() });
    hand.pass(10 * SECOND);
    let over = |f: Option<Fact>| {
        matches!(f, Some(Fact::Instance(i)) if i.state == InstanceState::Terminated
            && i.attachments.is_empty())
    };
    assert!(over(hand.cloud.truly(first.as_str())));
    hand.pass(HOUR - 20 * SECOND);
    assert!(over(hand.cloud.truly(first.as_str())));
    hand.pass(30 * SECOND);
    assert_eq!(hand.cloud.truly(first.as_str()), None);
    hand.must(Command::TerminateInstances { instance: first });
}

#[test]
fn the_gate_opens_only_with_every_volume_and_health_follows_it() {
    let mut hand = Hand::new(SimConfig::prompt());
    let launch = hand.launch(&ImageId::from(IMAGE), None);
    let instance = hand.run(launch);
    let data = hand.volume(None);
    let health = |hand: &Hand| match hand.cloud.truly(instance.as_str()) {
        Some(Fact::Instance(i)) => i.health,
        other => panic!("{other:?}"),
    };
    let (class, _) = hand.refused(Hand::gate(&instance, &[&data], "/data"));
    assert_eq!(class, ErrorClass::Conflict);
    hand.pass(HOUR);
    assert_eq!(health(&hand), Health::Initializing, "no health before the gate");
    hand.attach(&data, &instance);
    hand.open(&instance, &data);
    hand.open(&instance, &data);
    assert_eq!(health(&hand), Health::Ok);
    hand.cloud.set_health(hand.now, &instance, Health::Impaired);
    assert_eq!(health(&hand), Health::Impaired);
    hand.must(Command::TerminateInstances { instance: instance.clone() });
    let (class, _) = hand.refused(Hand::gate(&instance, &[&data], "/data"));
    assert_eq!(class, ErrorClass::Conflict);
}

#[test]
fn a_drain_returns_when_the_script_has_ended_and_nothing_is_written_after_it() {
    let mut config = SimConfig::prompt();
    config.drain = Span::exactly(5 * SECOND);
    let mut hand = Hand::new(config);
    let mut launch = hand.launch(&ImageId::from(IMAGE), None);
    launch.shutdown_script = Some("IyEvYmluL3NoCg==".to_owned());
    let instance = hand.run(launch);
    hand.must(Hand::gate(&instance, &[], "/data"));
    let drain = Command::Drain { instance: instance.clone(), timeout_ms: 60 * SECOND };
    let first = hand.cloud.call(hand.now, drain.clone());
    assert!(first.result.is_ok());
    assert_eq!(first.reply_at, hand.now.plus(5 * SECOND));
    hand.pass(SECOND);
    assert_eq!(hand.cloud.call(hand.now, drain).reply_at, first.reply_at, "it runs once");
    hand.pass(4 * SECOND);
    let acknowledged = hand.cloud.acknowledged(&hand.node);
    hand.pass(HOUR);
    assert_eq!(hand.cloud.acknowledged(&hand.node), acknowledged);
    let drained = |i: Option<Fact>| matches!(i, Some(Fact::Instance(i)) if i.drained);
    assert!(drained(hand.cloud.truly(instance.as_str())));
}

#[test]
fn a_drain_that_takes_too_long_ends_with_its_timeout() {
    let mut config = SimConfig::prompt();
    config.drain = Span::exactly(HOUR);
    let mut hand = Hand::new(config);
    let mut launch = hand.launch(&ImageId::from(IMAGE), None);
    launch.shutdown_script = Some("IyEvYmluL3NoCg==".to_owned());
    let instance = hand.run(launch);
    let drain = Command::Drain { instance, timeout_ms: 2 * SECOND };
    assert_eq!(hand.cloud.call(hand.now, drain).reply_at, hand.now.plus(2 * SECOND));
}

#[test]
fn a_snapshot_takes_no_token_and_is_made_twice_if_asked_twice() {
    let mut hand = Hand::new(SimConfig::prompt());
    let volume = hand.volume(None);
    assert_ne!(hand.snapshot(&volume), hand.snapshot(&volume));
}

#[test]
fn a_filesystem_keeps_its_uuid_through_a_snapshot() {
    let mut hand = Hand::new(SimConfig::prompt());
    let volume = hand.volume(None);
    let copy = hand.snapshot(&volume);
    let (restored, blank) = (hand.volume(Some(&copy)), hand.volume(None));
    let uuid = |hand: &Hand, id: &str| match hand.cloud.truly(id) {
        Some(Fact::Volume(v)) => v.fs_uuid.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(uuid(&hand, volume.as_str()), uuid(&hand, restored.as_str()));
    assert_ne!(uuid(&hand, volume.as_str()), uuid(&hand, blank.as_str()));
}

#[test]
fn pages_show_everything_once() {
    let mut config = SimConfig::prompt();
    config.page = 3;
    let mut hand = Hand::new(config);
    let mut made: Vec<String> = (0..10).map(|_| hand.volume(None).to_string()).collect();
    made.sort();
    let mut seen = Vec::new();
    let mut page = None;
    loop {
        let (_, answer) = hand.cloud.observe(hand.now, &query(ResourceKind::Volume, page));
        let answer = answer.expect("a page");
        assert!(answer.facts.len() <= 3);
        seen.extend(answer.facts.iter().map(|f| f.id().to_owned()));
        page = answer.next;
        if page.is_none() {
            break;
        }
    }
    assert_eq!(seen, made);
    let (_, images) = hand.cloud.observe(hand.now, &query(ResourceKind::Image, None));
    assert!(images.expect("a page").facts.is_empty(), "what is untagged is not shown");
}

#[test]
fn a_new_resource_is_not_visible_at_once_neither_to_describe_nor_to_other_calls() {
    let mut config = SimConfig::prompt();
    config.appears = Span::exactly(2 * SECOND);
    let mut hand = Hand::new(config);
    let interface = hand.interface();
    let shown = |hand: &mut Hand| {
        let (_, page) = hand.cloud.observe(hand.now, &query(ResourceKind::Interface, None));
        page.expect("a page").facts.len()
    };
    assert_eq!(shown(&mut hand), 0);
    let (class, _) = hand.refused(Command::DeleteNetworkInterface { interface: interface.clone() });
    assert_eq!(class, ErrorClass::NotYetVisible);
    hand.pass(2 * SECOND);
    assert_eq!(shown(&mut hand), 1);
    hand.must(Command::DeleteNetworkInterface { interface });
}

#[test]
fn what_has_changed_or_gone_may_still_be_shown_as_it_was() {
    let mut config = SimConfig::prompt();
    config.stale = Span::exactly(SECOND);
    let mut hand = Hand::new(config);
    let interface = hand.interface();
    hand.must(Command::DeleteNetworkInterface { interface: interface.clone() });
    assert_eq!(hand.cloud.truly(interface.as_str()), None);
    let whole = query(ResourceKind::Interface, None);
    let (_, page) = hand.cloud.observe(hand.now, &whole);
    assert_eq!(page.expect("a page").facts.len(), 1);
    hand.pass(SECOND);
    let (_, page) = hand.cloud.observe(hand.now, &whole);
    assert!(page.expect("a page").facts.is_empty());
}

#[test]
fn an_address_is_given_once_and_freed_with_its_interface() {
    let mut hand = Hand::new(SimConfig::prompt());
    let make = |hand: &mut Hand, ip: &str| Command::CreateNetworkInterface {
        token: hand.token(),
        subnet: Hand::here().subnet,
        private_ip: Some(ip.to_owned()),
        groups: Vec::new(),
        tags: hand.tags("interface"),
    };
    let command = make(&mut hand, "10.0.9.9");
    let reply = hand.must(command);
    let Some(Fact::Interface(made)) = reply.facts.first() else { panic!("{reply:?}") };
    assert_eq!(made.private_ip, "10.0.9.9");
    let again = make(&mut hand, "10.0.9.9");
    assert_eq!(hand.refused(again.clone()).1, "InvalidIPAddress.InUse");
    let elsewhere = make(&mut hand, "10.1.9.9");
    assert_eq!(hand.refused(elsewhere).1, "InvalidParameterValue");
    hand.must(Command::DeleteNetworkInterface { interface: made.id.clone() });
    hand.must(again);
}

#[test]
fn quotas_and_droughts_refuse_launches_and_pass() {
    let mut config = SimConfig::prompt();
    config.spot_vcpus = Some(4);
    let mut hand = Hand::new(config);
    let image = ImageId::from(IMAGE);
    for _ in 0..2 {
        let launch = hand.launch(&image, None);
        hand.run(launch);
    }
    let mut launch = hand.launch(&image, None);
    let run = |l: &holdfast_model::command::Launch| Command::RunInstances(Box::new(l.clone()));
    let (class, code) = hand.refused(run(&launch));
    assert_eq!((class, code.as_str()), (ErrorClass::Quota, "MaxSpotInstanceCountExceeded"));
    launch.market = market("m5.large", "sim-1b", Lifecycle::OnDemand);
    let until = hand.now.plus(HOUR);
    hand.cloud.drought(&launch.market, until);
    assert_eq!(hand.refused(run(&launch)).0, ErrorClass::Capacity);
    hand.pass(HOUR);
    hand.run(launch);
}

#[test]
fn an_image_needs_a_type_of_its_architecture() {
    let mut hand = Hand::new(SimConfig::prompt());
    let mut launch = hand.launch(&ImageId::from(IMAGE), None);
    launch.market = market("m6g.large", "sim-1a", Lifecycle::Spot);
    let (class, _) = hand.refused(Command::RunInstances(Box::new(launch)));
    assert_eq!(class, ErrorClass::Refused);
}

#[test]
fn a_notice_comes_before_the_interruption_and_the_instance_shows_it() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, _, _) = hand.first();
    let at = hand.now.plus(120 * SECOND);
    hand.cloud.interrupt(hand.now, &first, Some(120 * SECOND));
    let notices = hand.cloud.take_notices(hand.now);
    assert_eq!(notices.len(), 1);
    assert_eq!((&notices[0].instance, notices[0].interruption_at), (&first, Some(at)));
    let state = |hand: &Hand| match hand.cloud.truly(first.as_str()) {
        Some(Fact::Instance(i)) => (i.state, i.interruption_at),
        other => panic!("{other:?}"),
    };
    hand.pass(119 * SECOND);
    assert_eq!(state(&hand), (InstanceState::Running, Some(at)));
    hand.pass(SECOND);
    assert_eq!(state(&hand).0, InstanceState::ShuttingDown);
}

#[test]
fn a_detached_volume_is_free_and_is_written_no_more() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, data, _) = hand.first();
    hand.must(Command::DetachVolume { volume: data.clone(), instance: first.clone() });
    hand.free(&data);
    hand.cloud.settle(hand.now, &hand.node.clone());
    let before = hand.cloud.truth().acknowledged(&hand.node, DATA);
    hand.pass(10 * SECOND);
    hand.cloud.settle(hand.now, &hand.node.clone());
    assert_eq!(hand.cloud.truth().acknowledged(&hand.node, DATA), before);
    hand.must(Command::DetachVolume { volume: data, instance: first });
}

#[test]
fn buckets_throttle_as_ec2_does() {
    let mut config = SimConfig::prompt();
    config.throttle = Some(100);
    let mut hand = Hand::new(config);
    hand.now = Time(HOUR);
    let image = ImageId::from(IMAGE);
    let run = |hand: &mut Hand| {
        let launch = hand.launch(&image, None);
        hand.call(Command::RunInstances(Box::new(launch))).map(drop).map_err(|e| e.class)
    };
    let burst: Vec<_> = (0..6).map(|_| run(&mut hand)).collect();
    assert_eq!(burst[..5], [Ok(()); 5]);
    assert_eq!(burst[5], Err(ErrorClass::Throttled));
    hand.pass(SECOND);
    let next: Vec<_> = (0..3).map(|_| run(&mut hand)).collect();
    assert_eq!(next, [Ok(()), Ok(()), Err(ErrorClass::Throttled)]);
}

#[test]
fn many_terminations_are_one_request_and_count_each_instance() {
    let mut config = SimConfig::prompt();
    config.throttle = Some(1);
    let mut hand = Hand::new(config);
    let image = ImageId::from(IMAGE);
    let mut ids = Vec::new();
    for _ in 0..3 {
        hand.pass(HOUR);
        let launch = hand.launch(&image, None);
        let reply = hand.must(Command::RunInstances(Box::new(launch)));
        ids.push(InstanceId::from(reply.facts[0].id()));
    }
    hand.pass(HOUR);
    let end = |ids: &[InstanceId]| -> Vec<Command> {
        ids.iter().cloned().map(|instance| Command::TerminateInstances { instance }).collect()
    };
    let before = hand.cloud.calls_made();
    // A hundredth of 100 requests and 1,000 instances: one request, ten instances.
    let answers = hand.cloud.call_together(hand.now, end(&ids));
    assert!(answers.iter().all(|a| a.result.is_ok()), "{answers:?}");
    assert_eq!(hand.cloud.calls_made(), before + 1);
    let again = hand.cloud.call_together(hand.now, end(&ids));
    let class = |a: &Scheduled| a.result.clone().map(drop).map_err(|e| e.class);
    assert!(again.iter().all(|a| class(a) == Err(ErrorClass::Throttled)), "{again:?}");
}

#[test]
fn one_instance_that_is_not_known_yet_fails_the_whole_request() {
    let mut config = SimConfig::prompt();
    config.appears = Span::exactly(SECOND);
    let mut hand = Hand::new(config);
    let image = ImageId::from(IMAGE);
    let mut ids = Vec::new();
    for _ in 0..2 {
        hand.pass(10 * SECOND);
        let launch = hand.launch(&image, None);
        let answer = hand.cloud.call(hand.now, Command::RunInstances(Box::new(launch)));
        ids.push(InstanceId::from(answer.result.unwrap().facts[0].id()));
    }
    let commands = ids.iter().cloned().map(|instance| Command::TerminateInstances { instance });
    let answers = hand.cloud.call_together(hand.now, commands.collect());
    for answer in answers {
        assert_eq!(answer.result.unwrap_err().class, ErrorClass::NotYetVisible);
    }
    assert!(matches!(
        hand.cloud.truly(ids[0].as_str()),
        Some(Fact::Instance(i)) if i.state == InstanceState::Running
    ));
}
