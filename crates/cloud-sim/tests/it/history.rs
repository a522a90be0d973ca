use crate::node::Hand;
use holdfast_cloud_sim::{Class, SimCloud, SimConfig};
use holdfast_model::facts::{Query, ResourceKind};
use holdfast_model::{Command, Token};

/// A history with every kind of chance in it, as text.
fn history(seed: u64) -> String {
    let mut hand = Hand::new(SimConfig::default());
    hand.cloud = SimCloud::new(seed, SimConfig::default());
    hand.cloud.faults().set(Class::LostReply, 50_000);
    hand.cloud.faults().set(Class::Throttled, 50_000);
    let mut told = String::new();
    let (mut instance, data, interface) = hand.first();
    for _ in 0..3 {
        let (next, _, _, _) = hand.replace(&instance, &data, &interface);
        instance = next;
        for kind in ResourceKind::ALL {
            let whole = Query { kind, ids: Vec::new(), page: None };
            told.push_str(&format!("{:?}\n", hand.cloud.observe(hand.now, &whole)));
        }
    }
    let odd = Command::TerminateInstances { instance };
    told.push_str(&format!("{:?}\n{:?}\n", hand.cloud.call(hand.now, odd), hand.cloud.calls()));
    told.push_str(&format!("{} {:?}", hand.now.0, hand.cloud.next_change()));
    told.push_str(&format!(" {}", hand.cloud.acknowledged(&hand.node)));
    told
}

#[test]
fn the_same_seed_gives_the_same_history_and_another_one_another() {
    for seed in 1..=5 {
        assert_eq!(history(seed), history(seed), "seed {seed}");
    }
    assert_ne!(history(1), history(2));
}

#[test]
fn tokens_are_kept_apart_by_action() {
    let mut hand = Hand::new(SimConfig::prompt());
    let token = Token::from("the-same");
    let volume = Command::CreateVolume {
        token: token.clone(),
        zone: Hand::here().zone,
        size_gib: 1,
        snapshot: None,
        settings: serde_json::Map::new(),
        tags: hand.tags("data"),
    };
    let interface = Command::CreateNetworkInterface {
        token,
        subnet: Hand::here().subnet,
        private_ip: None,
        groups: Vec::new(),
        tags: hand.tags("interface"),
    };
    hand.must(volume);
    hand.must(interface);
    assert_eq!(hand.cloud.resources(&hand.node).len(), 2);
}

#[test]
fn what_a_thing_takes_does_not_depend_on_the_calls_before_it() {
    let took = |before: usize| {
        let mut hand = Hand::new(SimConfig::default());
        for _ in 0..before {
            let other = Query { kind: ResourceKind::Instance, ids: Vec::new(), page: None };
            drop(hand.cloud.observe(hand.now, &other));
        }
        let subject = holdfast_cloud_sim::latency::subject("smi-1", "instance", 3);
        hand.cloud.latency(holdfast_cloud_sim::Latency::Pending, &subject)
    };
    assert_eq!(took(0), took(17));
    let cloud = SimCloud::new(1, SimConfig::default());
    let draws: std::collections::BTreeSet<u64> = (0..100)
        .map(|n| holdfast_cloud_sim::latency::subject("smi-1", "instance", n))
        .map(|s| cloud.latency(holdfast_cloud_sim::Latency::Pending, &s))
        .collect();
    assert!(draws.len() > 90, "generations differ: {draws:?}");
}
