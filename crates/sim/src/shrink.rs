//! Makes a failing history smaller: leaves out faults, nodes and actions as long as the same
//! invariant still breaks.

use crate::people::Act;
use crate::run::run;
use crate::scenario::{Mix, Scenario};
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
    shorten(seed, &mut best, &mut fails);
    try_it(&mut best, &mut fails, |m| m.acts.clear());
    loop {
        let before = best.clone();
        for class in before.classes.clone() {
            try_it(&mut best, &mut fails, |m| m.classes.retain(|c| c != &class));
        }
        // Actions are left out one by one: this is for what people do when they look.
        for act in [Act::AdoptKnown, Act::DecideRestore] {
            try_it(&mut best, &mut fails, |m| m.acts.retain(|a| *a != act));
        }
        for nodes in 1..Scenario::draw(seed, &best).shapes.len() {
            if try_it(&mut best, &mut fails, |m| m.nodes = Some(nodes)) {
                break;
            }
        }
        drop_actions(seed, &mut best, &mut fails);
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

/// Leaves out runs of actions, long ones first.
fn drop_actions(seed: u64, best: &mut Mix, fails: &mut impl FnMut(&Mix) -> bool) {
    let mut length = Scenario::draw(seed, best).actions.len().div_ceil(2);
    while length > 0 {
        let left: Vec<usize> =
            Scenario::draw(seed, best).actions.iter().map(|a| a.number).collect();
        for chunk in left.chunks(length) {
            try_it(best, fails, |m| m.skipped.extend(chunk.iter().copied()));
        }
        length /= 2;
    }
}
