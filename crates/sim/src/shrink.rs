//! Makes a failing history smaller: leaves out faults, nodes and actions as long as the same
//! invariant still breaks.

use crate::people::Act;
use crate::run::run;
use crate::scenario::{Mix, Scenario};
use holdfast_cloud_sim::Class;
use holdfast_model::Invariant;

/// The most runs that are spent on it.
pub const MAX_TRIALS: usize = 400;

/// Makes a mix smaller that breaks an invariant under this seed. `told` hears how many trials there
/// have been; it says whether to go on.
#[must_use]
pub fn shrink(seed: u64, mix: &Mix, broken: Invariant, mut told: impl FnMut(usize) -> bool) -> Mix {
    let mut trials = 0;
    shrink_by(seed, mix, |candidate| {
        trials += 1;
        told(trials) && run(seed, candidate).violations.iter().any(|v| v.name == broken)
    })
}

/// The same for whatever `fails` says of a mix under this seed.
#[must_use]
pub fn shrink_by(seed: u64, mix: &Mix, mut fails: impl FnMut(&Mix) -> bool) -> Mix {
    let mut best = mix.clone();
    let mut trials = 0;
    let mut fails = |candidate: &Mix| {
        trials += 1;
        trials <= MAX_TRIALS && fails(candidate)
    };
    if !keep_one(seed, &mut best, &mut fails) {
        shorten(seed, &mut best, &mut fails);
    }
    loop {
        let before = best.clone();
        // What people do first: each kind is many actions.
        let acts: Vec<Act> = before.acts.iter().copied().collect();
        drop_runs(acts, |acts| {
            try_it(&mut best, &mut fails, |m| m.acts.retain(|a| !acts.contains(a)))
        });
        let classes: Vec<Class> = before.classes.iter().copied().collect();
        drop_runs(classes, |classes| {
            try_it(&mut best, &mut fails, |m| m.classes.retain(|c| !classes.contains(c)))
        });
        for nodes in 1..Scenario::draw(seed, &best).shapes.len() {
            if try_it(&mut best, &mut fails, |m| m.nodes = Some(nodes)) {
                break;
            }
        }
        drop_runs(numbers(seed, &best), |numbers| {
            try_it(&mut best, &mut fails, |m| m.skipped.extend(numbers.iter().copied()))
        });
        if best == before {
            return best;
        }
    }
}

fn try_it(
    best: &mut Mix,
    fails: &mut impl FnMut(&Mix) -> bool,
    change: impl FnOnce(&mut Mix),
) -> bool {
    let mut candidate = best.clone();
    change(&mut candidate);
    let better = &candidate != best && fails(&candidate);
    if better {
        *best = candidate;
    }
    better
}

/// The fewest actions from the beginning, by halving.
fn shorten(seed: u64, best: &mut Mix, fails: &mut impl FnMut(&Mix) -> bool) {
    let last = Scenario::draw(seed, best).actions.last().map_or(0, |a| a.number + 1);
    let (mut enough, mut too_few) = (last, 0);
    while enough > too_few + 1 {
        let middle = usize::midpoint(enough, too_few);
        if try_it(best, fails, |m| m.actions = Some(middle)) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
}

/// Many a history breaks by one action alone. That is tried at once: leaving out one after the other
/// may end in several that need each other by chance.
fn keep_one(seed: u64, best: &mut Mix, fails: &mut impl FnMut(&Mix) -> bool) -> bool {
    let all = numbers(seed, best);
    all.iter().any(|one| {
        try_it(best, fails, |m| m.skipped.extend(all.iter().copied().filter(|n| n != one)))
    })
}

/// The actions that are left.
fn numbers(seed: u64, mix: &Mix) -> Vec<usize> {
    Scenario::draw(seed, mix).actions.iter().map(|a| a.number).collect()
}

/// Leaves out runs of them, long ones first; `leave_out` says whether they could be.
fn drop_runs<T: Copy + PartialEq>(mut left: Vec<T>, mut leave_out: impl FnMut(&[T]) -> bool) {
    let mut length = left.len();
    while length > 0 {
        for run in left.clone().chunks(length) {
            if leave_out(run) {
                left.retain(|one| !run.contains(one));
            }
        }
        length /= 2;
    }
}
