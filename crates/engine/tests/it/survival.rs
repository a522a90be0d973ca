//! What is learnt of markets from one state of a record to the next.

use crate::launches::market;
use holdfast_engine::observed::survival::{FIRST_GUESS, HALF_LIFE, Survival};
use holdfast_model::record::{ServingInstance, SpotLifetime};
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::{InstanceId, NodeId, Record, Time};

/// A node whose instance was launched then, if it has one.
fn node(launched_at: Option<Time>, lives: Vec<SpotLifetime>) -> Record {
    let mut record = Record::new(NodeId::from("smi-1"), serde_json::json!({}), Time(0));
    record.instance = launched_at.map(|launched_at| ServingInstance {
        id: InstanceId(format!("i-{}", launched_at.0)),
        market: market(),
        why: String::new(),
        launched_at,
        impaired_since: None,
    });
    record.memory.spot_lifetimes = lives.into();
    record
}

fn life(from: Time, to: Time, lost: bool) -> SpotLifetime {
    SpotLifetime { market: market(), ended_at: to, lived_ms: to.since(from), lost }
}

/// What is known to have been served, in minutes, and the losses.
fn seen(survival: &Survival, now: Time) -> (u64, f64) {
    let expected = survival.expect(&market(), now);
    ((expected.served_ms / MINUTE as f64).round() as u64, (expected.losses * 100.0).round() / 100.0)
}

#[test]
fn an_instance_that_took_the_place_of_another_counts_from_its_own_launch() {
    let mut survival = Survival::default();
    let (first, second) = (Time(2_000 * HOUR), Time(2_001 * HOUR));
    let mut before = None;
    let lives = vec![life(first, second, false)];
    for after in [
        node(Some(first), Vec::new()),
        // Between two instances there is none.
        node(None, lives.clone()),
        node(Some(second), lives.clone()),
    ] {
        survival.follow(before.as_ref(), Some(&after));
        before = Some(after);
    }
    // An hour and a half: one of the first (of which little has faded), and half of the second.
    let (served, losses) = seen(&survival, second.plus(HOUR / 2));
    assert!((89..=90).contains(&served), "{served}");
    assert_eq!(losses, 0.0);
    // And on it goes.
    let (later, _) = seen(&survival, second.plus(2 * HOUR));
    assert!((178..=180).contains(&later), "{later}");
    survival.follow(before.as_ref(), Some(&node(None, lives)));
    let (ended, _) = seen(&survival, second.plus(2 * HOUR));
    assert!((58..=60).contains(&ended), "nothing runs any more: {ended}");
}

#[test]
fn a_life_is_counted_once_however_often_its_record_changes() {
    let mut survival = Survival::default();
    let lost = |n: u64| life(Time(n * HOUR), Time((n + 1) * HOUR), true);
    let known = vec![lost(1), lost(2)];
    survival.follow(None, Some(&node(None, known.clone())));
    let now = Time(3 * HOUR);
    let (_, twice) = seen(&survival, now);
    assert!((1.9..=2.0).contains(&twice), "{twice}");
    let before = node(None, known.clone());
    for _ in 0..5 {
        survival.follow(Some(&before), Some(&before));
    }
    assert_eq!(seen(&survival, now).1, twice);
    let more = [known, vec![lost(3)]].concat();
    survival.follow(Some(&before), Some(&node(None, more)));
    let (_, thrice) = seen(&survival, Time(4 * HOUR));
    assert!((2.9..=3.0).contains(&thrice), "{thrice}");
}

#[test]
fn what_was_seen_long_ago_counts_half_and_a_market_that_was_bad_is_tried_again() {
    let mut survival = Survival::default();
    survival.note(&life(Time(0), Time(HOUR), true));
    let at_once = survival.expect(&market(), Time(HOUR));
    let later = survival.expect(&market(), Time(HOUR + HALF_LIFE));
    assert_eq!((at_once.losses, later.losses), (1.0, 0.5));
    assert!(later.life_ms > at_once.life_ms && later.life_ms < FIRST_GUESS);
}

#[test]
fn a_life_that_is_told_late_counts_as_little_as_if_it_had_been_told_in_time() {
    let early = life(Time(HOUR), Time(3 * HOUR), false);
    let ended = early.ended_at.plus(HALF_LIFE);
    let late = life(Time(ended.0 - HOUR), ended, true);
    for lives in [[&early, &late], [&late, &early]] {
        let mut survival = Survival::default();
        lives.into_iter().for_each(|life| survival.note(life));
        // Half of two hours, and one.
        assert_eq!(seen(&survival, ended), (120, 1.0));
    }
}
