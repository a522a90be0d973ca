//! What EC2 asks of a request, and what a token means.

use crate::node::{DATA, Hand};
use holdfast_cloud_sim::config::{IMAGE, SimConfig, market};
use holdfast_model::command::Launch;
use holdfast_model::facts::Fact;
use holdfast_model::tags::{MAX_TAGS, Tags};
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::{Command, ErrorClass, ImageId, Lifecycle, Time, Token, VolumeId, Zone};

fn many(count: usize) -> Tags {
    (0..count).map(|n| (format!("key-{n}"), "value".to_owned())).collect::<Tags>()
}

fn run(launch: &Launch) -> Command {
    Command::RunInstances(Box::new(launch.clone()))
}

fn volume(token: &str, zone: &str, size_gib: u32) -> Command {
    Command::CreateVolume {
        token: Token::from(token),
        zone: Zone::from(zone),
        size_gib,
        snapshot: None,
        settings: serde_json::Map::new(),
        tags: Tags::new(),
    }
}

#[test]
fn one_resource_has_at_most_fifty_tags_however_they_come() {
    let mut hand = Hand::new(SimConfig::prompt());
    let data = hand.volume(None);
    let there = hand.cloud.truly(data.as_str()).expect("a volume").tags().len();
    let tags = |tags: Tags| Command::CreateTags { resource: data.to_string(), tags };
    let too_many = (ErrorClass::Refused, "TagLimitExceeded".to_owned());
    assert_eq!(hand.refused(tags(many(MAX_TAGS - there + 1))), too_many);
    hand.must(tags(many(MAX_TAGS - there)));
    hand.must(tags(many(MAX_TAGS - there)));
    let one_more = Tags::from([("another".to_owned(), String::new())]);
    assert_eq!(hand.refused(tags(one_more)), too_many);
    let mut launch = hand.launch(&ImageId::from(IMAGE), None);
    launch.tags = many(MAX_TAGS + 1);
    assert_eq!(hand.refused(run(&launch)), too_many);
    launch.tags = many(MAX_TAGS);
    launch.volume_tags = Some(many(MAX_TAGS + 1));
    assert_eq!(hand.refused(run(&launch)), too_many);
    launch.volume_tags = None;
    hand.run(launch);
    let snapshot = Command::CreateSnapshot { volume: data, tags: many(MAX_TAGS + 1) };
    assert_eq!(hand.refused(snapshot), too_many);
}

#[test]
fn tags_have_short_keys_and_values_and_none_of_the_clouds_own() {
    let mut hand = Hand::new(SimConfig::prompt());
    let data = hand.volume(None);
    let tag = |key: String, value: String| Command::CreateTags {
        resource: data.to_string(),
        tags: Tags::from([(key, value)]),
    };
    for (key, value) in [
        (String::new(), String::new()),
        ("k".repeat(128), String::new()),
        ("key".to_owned(), "v".repeat(257)),
        ("aws:owner".to_owned(), String::new()),
    ] {
        assert_eq!(hand.refused(tag(key, value)).1, "InvalidParameterValue");
    }
    hand.must(tag("ä".repeat(127), "ö".repeat(256)));
}

#[test]
fn a_client_token_has_at_most_sixty_four_ascii_characters() {
    let mut hand = Hand::new(SimConfig::prompt());
    for wrong in ["t".repeat(65), String::new(), "törn".to_owned()] {
        assert_eq!(hand.refused(volume(&wrong, "sim-1a", 1)).1, "InvalidParameterValue");
        let mut launch = hand.launch(&ImageId::from(IMAGE), None);
        launch.token = Token(wrong);
        assert_eq!(hand.refused(run(&launch)).1, "InvalidParameterValue");
    }
    hand.must(volume(&"t".repeat(64), "sim-1a", 1));
}

#[test]
fn a_token_is_compared_by_all_but_the_zone() {
    let mut hand = Hand::new(SimConfig::prompt());
    let made = hand.must(volume("one", "sim-1a", 1));
    let elsewhere = hand.must(volume("one", "sim-1b", 1));
    let (Fact::Volume(made), Fact::Volume(again)) = (&made.facts[0], &elsewhere.facts[0]) else {
        panic!("{made:?}")
    };
    assert_eq!((&made.id, again.zone.as_str()), (&again.id, "sim-1a"), "silently the old one");
    assert_eq!(hand.refused(volume("one", "sim-1a", 2)).1, "IdempotentParameterMismatch");

    let mut launch = hand.launch(&ImageId::from(IMAGE), None);
    let first = hand.run(launch.clone());
    launch.market = market("m5.large", "sim-1b", Lifecycle::Spot);
    assert_eq!(hand.must(run(&launch)).facts[0].id(), first.as_str());
    launch.market = market("m5.xlarge", "sim-1a", Lifecycle::Spot);
    assert_eq!(hand.refused(run(&launch)).1, "IdempotentParameterMismatch");

    let interface = |token: &Token, groups: &[&str]| Command::CreateNetworkInterface {
        token: token.clone(),
        subnet: Hand::here().subnet,
        private_ip: None,
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        tags: Tags::new(),
    };
    let token = hand.token();
    hand.must(interface(&token, &[]));
    let other = interface(&token, &["sg-1"]);
    assert_eq!(hand.refused(other).1, "IdempotentParameterMismatch");
}

#[test]
fn a_token_whose_instance_has_been_terminated_launches_nothing_ever_again() {
    let mut hand = Hand::new(SimConfig::prompt());
    let launch = hand.launch(&ImageId::from(IMAGE), None);
    let first = hand.run(launch.clone());
    hand.must(Command::TerminateInstances { instance: first.clone() });
    let while_it_ends = hand.must(run(&launch));
    assert_eq!(while_it_ends.facts[0].id(), first.as_str());
    for _ in 0..2 {
        hand.pass(MINUTE);
        let answer = hand.refused(run(&launch));
        assert_eq!(answer, (ErrorClass::Refused, "IdempotentInstanceTerminated".to_owned()));
        hand.pass(2 * HOUR);
    }
    assert_eq!(hand.cloud.truly(first.as_str()), None, "it is no longer shown");
}

#[test]
fn each_action_has_the_bucket_that_ec2_publishes() {
    // The capacity of the requests' bucket, and what comes back in a second.
    let expected = [
        ("RunInstances", 5, 2),
        ("TerminateInstances", 100, 5),
        ("CreateSnapshot", 100, 5),
        ("CreateSnapshots", 100, 5),
        ("CreateVolume", 100, 5),
        ("DeleteSnapshot", 100, 5),
        ("CreateNetworkInterface", 100, 5),
        ("DeleteNetworkInterface", 100, 5),
        ("DeregisterImage", 100, 5),
        ("AttachVolume", 50, 5),
        ("DetachVolume", 50, 5),
        ("AttachNetworkInterface", 50, 5),
        ("DetachNetworkInterface", 50, 5),
        ("RegisterImage", 50, 5),
        ("ModifyInstanceAttribute", 50, 5),
        ("AssociateAddress", 50, 5),
        ("CreateTags", 100, 10),
    ];
    for (action, capacity, refill) in expected {
        let mut hand = Hand::new(SimConfig { throttle: Some(100), ..SimConfig::prompt() });
        hand.now = Time(HOUR);
        let call = some(&mut hand, action);
        assert_eq!(call.action(), action);
        let through = |hand: &mut Hand| {
            let throttled = |hand: &mut Hand| {
                let answer = hand.call(call.clone());
                matches!(answer, Err(e) if e.class == ErrorClass::Throttled
                    && e.code == "RequestLimitExceeded")
            };
            (0..1_000).take_while(|_| !throttled(hand)).count()
        };
        assert_eq!(through(&mut hand), capacity, "{action}: how much it holds");
        hand.pass(1_000);
        assert_eq!(through(&mut hand), refill, "{action}: how much comes back");
    }
}

/// A call of an action; what it comes to is no matter.
fn some(hand: &mut Hand, action: &str) -> Command {
    let (tags, instance) = (Tags::new(), || "i-0".into());
    let (volume, interface) = (|| VolumeId::from("vol-0"), || "eni-0".into());
    match action {
        "RunInstances" => run(&hand.launch(&ImageId::from(IMAGE), None)),
        "TerminateInstances" => Command::TerminateInstances { instance: instance() },
        "CreateSnapshot" => Command::CreateSnapshot { volume: volume(), tags },
        "CreateSnapshots" => Command::CreateSnapshots {
            instance: instance(),
            exclude_boot: false,
            exclude: Vec::new(),
            tags,
        },
        "CreateVolume" => self::volume("one", "sim-1a", 1),
        "DeleteSnapshot" => Command::DeleteSnapshot { snapshot: "snap-0".into() },
        "CreateNetworkInterface" => Command::CreateNetworkInterface {
            token: hand.token(),
            subnet: Hand::here().subnet,
            private_ip: None,
            groups: Vec::new(),
            tags,
        },
        "DeleteNetworkInterface" => Command::DeleteNetworkInterface { interface: interface() },
        "DeregisterImage" => Command::DeregisterImage { image: "ami-0".into() },
        "AttachVolume" => Command::AttachVolume {
            volume: volume(),
            instance: instance(),
            device: DATA.to_owned(),
        },
        "DetachVolume" => Command::DetachVolume { volume: volume(), instance: instance() },
        "AttachNetworkInterface" => Command::AttachNetworkInterface {
            interface: interface(),
            instance: instance(),
            device_index: 1,
        },
        "DetachNetworkInterface" => {
            Command::DetachNetworkInterface { interface: interface(), instance: instance() }
        }
        "RegisterImage" => Command::RegisterImage {
            name: "a name".to_owned(),
            snapshot: "snap-0".into(),
            like: ImageId::from(IMAGE),
            root_device: "/dev/xvda".to_owned(),
            tags,
        },
        "ModifyInstanceAttribute" => Command::SetDeleteOnTermination {
            instance: instance(),
            devices: vec![DATA.to_owned()],
            value: false,
        },
        "AssociateAddress" => Command::AssociateAddress {
            allocation: "eipalloc-0".into(),
            interface: interface(),
            allow_reassociation: false,
        },
        "CreateTags" => Command::CreateTags { resource: "vol-0".to_owned(), tags },
        other => panic!("no call of {other}"),
    }
}
