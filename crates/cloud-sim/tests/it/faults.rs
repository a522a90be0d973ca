use crate::node::Hand;
use holdfast_cloud_sim::config::IMAGE;
use holdfast_cloud_sim::{Class, Fault, SimConfig, When};
use holdfast_model::facts::Fact;
use holdfast_model::{Command, ErrorClass, ImageId};
use std::sync::Arc;

fn volumes(hand: &Hand) -> usize {
    hand.cloud.resources(&hand.node).iter().filter(|f| matches!(f, Fact::Volume(_))).count()
}

fn volume(hand: &mut Hand) -> Command {
    Command::CreateVolume {
        token: hand.token(),
        zone: Hand::here().zone,
        size_gib: 1,
        snapshot: None,
        settings: serde_json::Map::new(),
        tags: hand.tags("data:/dev/xvdb"),
    }
}

#[test]
fn a_lost_reply_leaves_the_deed_done_and_the_token_finds_it_again() {
    let mut hand = Hand::new(SimConfig::prompt());
    hand.cloud.faults().add(When::Nth("CreateVolume", 1), Fault::LostReply);
    let command = volume(&mut hand);
    let scheduled = hand.cloud.call(hand.now, command.clone());
    assert_eq!(scheduled.result.map_err(|e| e.class), Err(ErrorClass::OutcomeUnknown));
    assert!(scheduled.reply_at > hand.now.plus(1_000), "a lost answer is waited for");
    assert_eq!(volumes(&hand), 1);
    hand.must(command);
    assert_eq!(volumes(&hand), 1);
}

#[test]
fn a_lost_request_looks_the_same_and_nothing_is_done() {
    let mut hand = Hand::new(SimConfig::prompt());
    hand.cloud.faults().add(When::Call(1), Fault::LostRequest);
    let command = volume(&mut hand);
    assert_eq!(hand.refused(command.clone()).0, ErrorClass::OutcomeUnknown);
    assert_eq!(volumes(&hand), 0);
    hand.must(command);
    assert_eq!(volumes(&hand), 1);
}

#[test]
fn errors_by_predicate_meet_only_what_they_are_meant_for_and_only_so_often() {
    let mut hand = Hand::new(SimConfig::prompt());
    let launches = Arc::new(|c: &Command| matches!(c, Command::RunInstances(_)));
    let error = Fault::Error { class: ErrorClass::Quota, code: "VcpuLimitExceeded".to_owned() };
    hand.cloud.faults().add(When::Matches(launches, 2), error);
    hand.cloud.faults().add(When::next("CreateVolume"), Fault::Throttled);
    let other = volume(&mut hand);
    assert_eq!(hand.refused(other.clone()).0, ErrorClass::Throttled);
    hand.must(other);
    let launch = hand.launch(&ImageId::from(IMAGE), None);
    let run = Command::RunInstances(Box::new(launch));
    for _ in 0..2 {
        assert_eq!(hand.refused(run.clone()), (ErrorClass::Quota, "VcpuLimitExceeded".into()));
    }
    hand.must(run);
    let launched = hand.cloud.calls().iter().filter(|(_, action, _)| *action == "RunInstances");
    assert_eq!(launched.count(), 3, "refused calls are counted");
}

#[test]
fn random_faults_come_about_as_often_as_asked_and_stop() {
    let mut hand = Hand::new(SimConfig::prompt());
    hand.cloud.faults().set(Class::LostReply, 100_000);
    hand.cloud.faults().set(Class::Throttled, 100_000);
    let failed = |hand: &mut Hand| {
        (0..1_000)
            .filter(|_| {
                let command = volume(hand);
                hand.call(command).is_err()
            })
            .count()
    };
    let some = failed(&mut hand);
    assert!((100..300).contains(&some), "{some} of 1000 at a chance of 19 in 100");
    hand.cloud.faults().stop();
    assert_eq!(failed(&mut hand), 0);
}

#[test]
fn a_lost_notice_leaves_the_interruption_as_it_is() {
    let mut hand = Hand::new(SimConfig::prompt());
    let (first, _, _) = hand.first();
    hand.cloud.faults().set(Class::NoticeLost, 1_000_000);
    hand.cloud.interrupt(hand.now, &first, Some(1_000));
    hand.pass(500);
    assert!(hand.cloud.take_notices(hand.now).is_empty());
    hand.pass(60_000);
    assert!(hand.cloud.truth().serving(&hand.node).is_empty());
}
