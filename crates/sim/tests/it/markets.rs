//! Where a node goes, and why: droughts, on-demand, the way back, and what is learnt on the way.

use crate::scene::{ROAMING, Scene, WHOLE};
use holdfast_cloud_sim::{Fault, When};
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::user::UserCommand;
use holdfast_model::{Command, Kind, Lifecycle, Market};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn lifecycle(scene: &Scene) -> Option<Lifecycle> {
    let record = scene.sim.record(&scene.node)?;
    record.instance.as_ref().map(|h| h.market.lifecycle)
}

fn told(scene: &Scene, code: &str) -> Vec<String> {
    let of = scene.sim.story.iter().filter(|e| e.code == code);
    of.map(|e| e.message.clone()).collect()
}

#[test]
fn a_dry_zone_leads_to_the_next_and_dry_spot_to_on_demand_and_back() {
    let mut scene = Scene::serving(11, ROAMING);
    let home = scene.sim.record(&scene.node).and_then(|r| r.instance.clone()).expect("serves");
    scene.drought(Some(Lifecycle::Spot), Some(home.market.zone.as_str()), true);
    let before = scene.generation();
    scene.trigger(Kind::Lost, ROAMING);
    scene.wait_for_end(Kind::Lost, before);
    let moved = scene.sim.record(&scene.node).and_then(|r| r.instance.clone()).expect("serves");
    assert_ne!(moved.market.zone, home.market.zone);
    assert_eq!(moved.market.lifecycle, Lifecycle::Spot);
    assert!(moved.why.contains("moving zones"), "{}", moved.why);

    scene.drought(Some(Lifecycle::Spot), None, true);
    let before = scene.generation();
    scene.trigger(Kind::Lost, ROAMING);
    scene.wait_for_end(Kind::Lost, before);
    assert_eq!(lifecycle(&scene), Some(Lifecycle::OnDemand));
    let dear = scene.sim.record(&scene.node).and_then(|r| r.instance.clone()).expect("serves");
    assert!(dear.why.contains("better ones refused lately"), "{}", dear.why);

    scene.drought(Some(Lifecycle::Spot), None, false);
    let before = scene.generation();
    scene.wait_for_end(Kind::Revert, before);
    assert_eq!(lifecycle(&scene), Some(Lifecycle::Spot));
    scene.judge(Kind::Revert);
    let placed = told(&scene, "placed");
    assert!(
        placed.iter().all(|why| why.contains("$")),
        "every choice gives its reason: {placed:?}"
    );
}

#[test]
fn while_spot_is_dry_a_node_on_demand_is_left_alone() {
    let mut scene = Scene::prepare(Kind::Revert, 12, WHOLE);
    let before = scene.sim.record(&scene.node).expect("it is there");
    scene.sim.run_for(3 * HOUR);
    let after = scene.sim.record(&scene.node).expect("it is there");
    assert_eq!(before.instance, after.instance, "{}", scene.sim.told());
    assert!(!told(&scene, "revert-postponed").is_empty(), "people are told that it was asked");
    assert_eq!(
        before.memory.history.len(),
        after.memory.history.len(),
        "what was not begun is no history"
    );
    scene.judge(Kind::Revert);
}

#[test]
fn a_market_that_dries_up_after_it_was_asked_leads_back_to_on_demand() {
    let mut scene = Scene::prepare(Kind::Revert, 13, WHOLE);
    scene.trigger(Kind::Revert, WHOLE);
    scene.wait("asked", |s, n| {
        let probed = |r: &holdfast_model::Replacement| r.is_done(holdfast_model::Row::Probe);
        s.record(n).is_some_and(|r| r.work.as_ref().is_some_and(probed))
    });
    scene.drought(Some(Lifecycle::Spot), None, true);
    let before = scene.generation();
    scene.wait_for_end(Kind::Revert, before);
    assert_eq!(lifecycle(&scene), Some(Lifecycle::OnDemand));
    scene.judge(Kind::Revert);
}

#[test]
fn a_pause_during_the_question_wins() {
    let mut scene = Scene::prepare(Kind::Revert, 14, WHOLE);
    scene.trigger(Kind::Revert, WHOLE);
    scene.wait("asking", |s, n| {
        s.record(n).is_some_and(|r| r.work.as_ref().is_some_and(|r| r.kind == Kind::Revert))
    });
    scene.sim.say(UserCommand::Pause(scene.node.clone()));
    scene.wait_for_end(Kind::Pause, 0);
    scene.judge(Kind::Pause);
}

#[test]
fn what_a_question_to_a_market_needed_is_no_matter_once_it_is_given_up() {
    let mut scene = Scene::prepare(Kind::Revert, 16, WHOLE);
    let silent = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&silent);
    let probes =
        move |c: &Command| matches!(c, Command::Probe { .. }) && asked.load(Ordering::Relaxed);
    let never_answered = When::Matches(Arc::new(probes), u32::MAX);
    scene.sim.cloud.faults().add(never_answered, Fault::conflict());
    scene.trigger(Kind::Revert, WHOLE);
    scene.wait("a decision", |s, n| s.record(n).is_some_and(|r| r.blocked.decision().is_some()));
    scene.drought(Some(Lifecycle::Spot), None, true);
    silent.store(false, Ordering::Relaxed);
    scene.wait("given up", |s, n| s.record(n).is_some_and(|r| r.work.is_none()));
    let record = scene.sim.record(&scene.node).expect("it is there");
    assert_eq!(record.blocked.decision(), None, "{}", scene.sim.told());
    assert_eq!(scene.status(), "ACTIVE");
}

#[test]
fn what_was_learnt_of_a_market_outlives_the_controller() {
    let mut scene = Scene::serving(15, ROAMING);
    for _ in 0..6 {
        let before = scene.generation();
        scene.trigger(Kind::Lost, ROAMING);
        scene.wait_for_end(Kind::Lost, before);
        scene.sim.run_for(10 * MINUTE);
    }
    let lives =
        |scene: &Scene| scene.sim.record(&scene.node).map(|r| r.memory.spot_lifetimes.len());
    assert_eq!(lives(&scene), Some(6));
    let learnt = scene.sim.fleet().survival().clone();
    scene.sim.kill_controller();
    scene.sim.run_for(MINUTE);
    let now = scene.sim.now;
    let markets: BTreeSet<Market> =
        scene.sim.cloud.catalogue().prices.into_iter().map(|p| p.market).collect();
    let spot = |m: &&Market| m.lifecycle == Lifecycle::Spot;
    let mut losses = 0.0;
    for market in markets.iter().filter(spot) {
        let (was, is) = (learnt.expect(market, now), scene.sim.fleet().survival());
        let is = is.expect(market, now);
        assert!((was.life_ms - is.life_ms).abs() < 1.0, "{market}: {was:?} {is:?}");
        losses += is.losses;
    }
    assert!((5.9..=6.0).contains(&losses), "six losses, hardly faded: {losses}");
}

#[test]
fn the_way_back_is_braked_once_the_fleet_has_used_up_its_hour_and_a_loss_is_not() {
    let mut scene = Scene::empty_with(16, WHOLE, |config| config.voluntary_per_hour = 1);
    scene.drought(Some(Lifecycle::Spot), None, true);
    scene.create(WHOLE);
    scene.wait("ACTIVE", |s, n| s.record(n).is_some_and(|r| r.status() == "ACTIVE"));
    let began = |scene: &Scene| {
        let record = scene.sim.record(&scene.node).expect("it is there");
        let reverts = record.memory.history.iter().filter(|h| h.kind == Kind::Revert);
        reverts.map(|h| h.started_at).collect::<Vec<_>>()
    };
    for round in 0..2 {
        scene.drought(Some(Lifecycle::Spot), None, false);
        let before = scene.generation();
        scene.wait_for_end(Kind::Revert, before);
        assert_eq!(began(&scene).len(), round + 1);
        if round == 0 {
            assert_eq!(told(&scene, "braked"), [] as [&str; 0]);
            scene.drought(Some(Lifecycle::Spot), None, true);
            let before = scene.generation();
            scene.trigger(Kind::Lost, WHOLE);
            scene.wait_for_end(Kind::Lost, before);
            assert_eq!(lifecycle(&scene), Some(Lifecycle::OnDemand), "a loss is not braked");
        }
    }
    let began = began(&scene);
    assert!(began[1].since(began[0]) >= HOUR, "{began:?}");
    let braked = told(&scene, "braked");
    assert!(braked.iter().any(|why| why.contains("--voluntary-per-hour")), "{braked:?}");
}
