//! Pairs of faults: each first fault is walked on from, and at each later deed a copy meets each
//! second one.
//!
//! Whatever leads to a state that another fault of the same course and shape has led to is counted
//! and not followed ([`Play::likeness`]): after each fault chance is made to draw what the state
//! alone decides, so that the same state has the same future.

use super::course::{Course, SHAPES};
use super::play::Play;
use super::point::{Pair, Point};
use super::walk::{Step, Walk};
use crate::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The seed of every play.
const SEED: u64 = 23;

/// One course of one shape that has been brought about, and every single fault of it.
pub struct Cell {
    play: Play,
    shape: &'static str,
    /// The states that a single fault leads to, and those without any.
    seen: BTreeSet<u64>,
    firsts: Vec<(Point, u64)>,
    singles: u64,
    idle: u64,
}

/// A first fault.
#[derive(Debug, Clone, Copy)]
struct First {
    cell: usize,
    point: Point,
    /// How many single faults of the cell lead to the same state.
    times: u64,
}

/// All that is to be done, in a fixed order that mixes courses and shapes.
pub struct Plan {
    cells: Vec<Cell>,
    firsts: Vec<First>,
}

/// What the pairs with one first fault came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many there are.
    pub pairs: u64,
    /// How many of them led to a state of their own, and were followed to their end.
    pub walked: u64,
    /// What is broken, by the name of the pair (or of the first fault, where it is enough).
    pub broken: Vec<(String, String)>,
}

impl Cell {
    /// Brings a course about, and counts what can upset it.
    ///
    /// # Errors
    /// If it does not come about.
    pub fn prepare(course: Course, shape: &'static str) -> Result<Cell, String> {
        Ok(Cell::of(ready(course, shape)?, shape))
    }

    /// The same, of a play whose course is brought about.
    #[must_use]
    pub fn of(play: Play, shape: &'static str) -> Cell {
        let mut walk = Walk::new(play.clone());
        let mut clean = BTreeSet::from([play.likeness()]);
        let mut firsts: BTreeMap<u64, (Point, u64)> = BTreeMap::new();
        let (mut points, mut idle) = (Vec::new(), Vec::new());
        while let Some(step) = walk.step() {
            clean.insert(walk.play().likeness());
            for point in step.points {
                points.push(point.deed);
                let mut fork = walk.fork(&step.before, point);
                fork.step();
                let state = fork.likeness();
                if clean.contains(&state) {
                    idle.push(point.deed);
                } else {
                    firsts.entry(state).or_insert((point, 0)).1 += 1;
                }
            }
        }
        let later = |deed: &u64| points.iter().filter(|other| *other > deed).count() as u64;
        let (singles, idle) = (points.len() as u64, idle.iter().map(later).sum());
        clean.extend(firsts.keys());
        let mut firsts: Vec<(Point, u64)> = firsts.into_values().collect();
        firsts.sort_unstable();
        Cell { play, shape, seen: clean, firsts, singles, idle }
    }

    fn named(&self, first: Point, second: Option<Point>) -> Pair {
        Pair { course: self.play.course, shape: self.shape, first, second }
    }

    /// Walks on from a first fault, and lets the second ones happen.
    fn outcome(&self, first: Point) -> Outcome {
        let mut outcome = Outcome::default();
        let mut broken = Vec::new();
        let alone = safely(|| {
            let mut walk = After::new(self.play.clone(), first);
            let mut seen = BTreeSet::new();
            while let Some(step) = walk.step() {
                seen.insert(walk.play().likeness());
                for second in step.points {
                    outcome.pairs += 1;
                    let mut walked = false;
                    let found = safely(|| {
                        let mut fork = walk.fork(&step.before, second);
                        let state = fork.likeness();
                        walked = !self.seen.contains(&state) && seen.insert(state);
                        if walked { fork.run_out() } else { Vec::new() }
                    });
                    outcome.walked += u64::from(walked);
                    let name = || self.named(first, Some(second)).to_string();
                    broken.extend(found.into_iter().map(|what| (name(), what)));
                }
            }
            walk.walk.into_play().finish()
        });
        let name = || self.named(first, None).to_string();
        outcome.broken = alone.into_iter().map(|what| (name(), what)).chain(broken).collect();
        outcome
    }
}

/// A walk on which a first fault happens.
struct After {
    walk: Walk,
    first: Point,
}

impl After {
    fn new(play: Play, first: Point) -> After {
        let mut walk = Walk::new(play);
        walk.meet(first);
        After { walk, first }
    }

    fn play(&self) -> &Play {
        self.walk.play()
    }

    /// The next step with points that come after the first fault.
    fn step(&mut self) -> Option<Step> {
        loop {
            let mut step = self.walk.step()?;
            let is_it = step.points.iter().any(|point| point.deed == self.first.deed);
            if is_it {
                self.walk.settle_chance();
            }
            step.points.retain(|point| point.deed > self.first.deed);
            if is_it || !step.points.is_empty() {
                return Some(step);
            }
        }
    }

    /// A copy that has met a second fault.
    fn fork(&self, before: &Play, second: Point) -> Play {
        let mut fork = self.walk.fork(before, second);
        fork.step();
        fork.settle_chance();
        fork
    }
}

/// What panics is broken, and the others go on.
fn safely(what: impl FnOnce() -> Vec<String>) -> Vec<String> {
    catch_unwind(AssertUnwindSafe(what)).unwrap_or_else(|_| vec!["it panicked".to_owned()])
}

fn ready(course: Course, shape: &'static str) -> Result<Play, String> {
    let name = course.name();
    let of = SHAPES.iter().find(|(name, _)| *name == shape).map(|(_, of)| *of);
    let of = of.ok_or_else(|| format!("there is no shape {shape}"))?;
    course.can_be(of).map_err(|why| format!("{name}/{shape} cannot be: {why}"))?;
    let mut play = Play::prepare(SEED, course, of)
        .map_err(|stuck| format!("{name}/{shape} cannot be prepared: {stuck:?}"))?;
    play.trigger().map_err(|why| format!("{name}/{shape} cannot be brought about: {why}"))?;
    Ok(play)
}

/// Does one pair again, or one fault, and returns the play with what happened, and what it broke.
///
/// # Errors
/// If there is no such deed, or the fault cannot happen there.
pub fn again(pair: Pair) -> Result<(Play, Vec<String>), String> {
    let mut play = ready(pair.course, pair.shape)?;
    play.sim.trace = Some(Vec::new());
    let mut walk = After::new(play, pair.first);
    let mut met = false;
    while let Some(step) = walk.step() {
        met = true;
        if let Some(second) = pair.second.filter(|second| step.points.contains(second)) {
            let mut fork = walk.fork(&step.before, second);
            let broken = fork.run_out();
            return Ok((fork, broken));
        }
    }
    if !met || pair.second.is_some() {
        return Err(format!("{pair}: nothing is done there that this could happen to"));
    }
    let mut play = walk.walk.into_play();
    let broken = play.run_out();
    Ok((play, broken))
}

impl Plan {
    /// All pairs of these.
    #[must_use]
    pub fn of(cells: Vec<Cell>) -> Plan {
        let mut firsts = Vec::new();
        for (cell, of) in cells.iter().enumerate() {
            firsts.extend(of.firsts.iter().map(|&(point, times)| First { cell, point, times }));
        }
        let mut plan = Plan { cells, firsts };
        let mut firsts = std::mem::take(&mut plan.firsts);
        firsts.sort_by_cached_key(|first| digest_of(&plan.name_of(first)));
        plan.firsts = firsts;
        plan
    }

    fn name_of(&self, first: &First) -> String {
        self.cells[first.cell].named(first.point, None).to_string()
    }

    /// How many first faults there are that lead to a state of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.firsts.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// How many single faults there are.
    #[must_use]
    pub fn singles(&self) -> u64 {
        self.cells.iter().map(|cell| cell.singles).sum()
    }

    /// How many pairs there are whose first fault changes nothing: each is a single fault.
    #[must_use]
    pub fn idle(&self) -> u64 {
        self.cells.iter().map(|cell| cell.idle).sum()
    }

    /// Of each course and shape: its name, how many single faults there are, and how many of them
    /// lead to a state of their own.
    pub fn cells(&self) -> impl Iterator<Item = (String, u64, u64)> {
        self.cells.iter().map(|cell| {
            let name = format!("{}/{}", cell.play.course.name(), cell.shape);
            (name, cell.singles, cell.firsts.len() as u64)
        })
    }

    /// How many single faults lead to the state of this first fault.
    #[must_use]
    pub fn times(&self, first: usize) -> u64 {
        self.firsts.get(first).map_or(0, |first| first.times)
    }

    /// Does all pairs with this first fault.
    #[must_use]
    pub fn outcome(&self, first: usize) -> Outcome {
        let first = self.firsts.get(first);
        first.map_or_else(Outcome::default, |first| self.cells[first.cell].outcome(first.point))
    }

    /// The fingerprint of what is to be done.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut digest = Digest::default();
        for cell in &self.cells {
            digest.number(cell.singles);
            cell.seen.iter().for_each(|state| digest.number(*state));
        }
        self.firsts.iter().for_each(|first| digest.debug(first));
        digest.value()
    }
}

fn digest_of(name: &str) -> u64 {
    let mut digest = Digest::default();
    digest.bytes(name.as_bytes());
    // What the last letters change must reach every bit.
    (0..4).for_each(|round| digest.number(round));
    digest.value()
}
