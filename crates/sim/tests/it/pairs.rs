//! Pairs of faults, in a few small courses: what `holdfast-trials sim --pairs` does at length.

use holdfast_model::Kind;
use holdfast_sim::exhaustive::{Cell, Course, Pair, Plan, Play, SHAPES, Sum, pairs};

fn plan(course: Course, shape: &'static str) -> Plan {
    Plan::of(vec![Cell::prepare(course, shape).expect("prepared")])
}

fn walked(plan: &Plan, mut sum: Sum, firsts: std::ops::Range<usize>) -> Sum {
    for first in firsts {
        sum.add(first, plan.outcome(first));
    }
    sum
}

#[test]
fn some_pairs_of_faults_break_nothing_and_the_rest_is_extrapolated() {
    let plan = plan(Course::Of(Kind::Pause), "light");
    let sum = walked(&plan, Sum::default(), 0..3);
    assert_eq!(sum.broken, [].into());
    assert!(sum.walked() > 20, "{}", sum.json(&plan));
    assert!(sum.pairs(&plan) > sum.walked(), "{}", sum.json(&plan));
    let json = sum.json(&plan);
    assert_eq!(json["extrapolated"], true);
    assert!(json["pairs"].as_u64() > Some(sum.pairs(&plan)), "{json}");
}

#[test]
fn a_course_whose_pairs_are_all_done_extrapolates_nothing() {
    let plan = plan(Course::Undelete, "light");
    let sum = walked(&plan, Sum::default(), 0..plan.len());
    let json = sum.json(&plan);
    assert_eq!(json["extrapolated"], false, "{json}");
    assert_eq!(json["pairs"], sum.pairs(&plan) + plan.idle());
    assert_eq!(sum.broken, [].into());
}

#[test]
fn pairs_that_are_gone_on_with_come_to_the_same_as_without_a_break() {
    let made = plan(Course::Of(Kind::Pause), "light");
    let at_once = walked(&made, Sum::default(), 0..4);
    let kept = walked(&made, Sum::default(), 0..2).kept(&made);
    let later = plan(Course::Of(Kind::Pause), "light");
    let read = Sum::read(&kept, &later).expect("it is of the same pairs");
    assert_eq!(read.firsts(), 2);
    assert_eq!(walked(&later, read, 2..4), at_once);
    let other = plan(Course::Undelete, "light");
    assert!(Sum::read(&kept, &other).is_err(), "what was kept is of other pairs");
    assert!(Sum::read("{}", &later).is_err() && Sum::read("", &later).is_err());
}

#[test]
fn a_disk_that_lies_about_syncing_is_found_in_a_pair_that_can_be_done_again() {
    let (shape, of) = SHAPES[3];
    let mut play = Play::prepare(23, Course::Of(Kind::Lost), of).expect("prepared");
    play.sim.cloud.config().lies_about_syncing = true;
    play.trigger().expect("brought about");
    let plan = Plan::of(vec![Cell::of(play, shape)]);
    let broken = plan.outcome(0).broken;
    let (name, what) =
        broken.iter().find(|(name, _)| name.contains('+')).expect("a pair is broken");
    assert!(what.starts_with("no-write-lost"), "{name}: {what}");
    // The same pair breaks nothing on disks that tell the truth, and its faults are told.
    let (play, broken) = pairs::again(Pair::read(name).expect("its name")).expect("done again");
    assert_eq!(broken, [] as [String; 0]);
    let told = play.sim.trace.expect("traced");
    let faults = told.iter().filter(|(_, line)| line.starts_with("FAULT")).count();
    assert!(faults >= 2, "{name}");
}
