//! Going through a course once, and letting copies of it meet faults.

use super::play::Play;
use super::point::Point;
use crate::upset::{Deed, Upset};
use std::collections::BTreeSet;

/// Of so many looks one is upset.
const LOOKS: u64 = 16;

/// A course that is walked through: at each step, the play before it and what was done in it.
pub struct Walk {
    play: Play,
    /// How many deeds there had been before the course was brought about.
    base: u64,
    looks: u64,
}

/// What a step of the walk did.
pub struct Step {
    /// The play before it.
    pub before: Play,
    /// Where it can be upset.
    pub points: Vec<Point>,
}

impl Walk {
    /// Begins to walk through a play whose course is brought about.
    #[must_use]
    pub fn new(mut play: Play) -> Walk {
        play.sim.upsets.begin();
        let base = play.sim.upsets.deeds;
        Walk { play, base, looks: 0 }
    }

    /// The play where it is.
    #[must_use]
    pub fn play(&self) -> &Play {
        &self.play
    }

    /// The next step in which something was done; `None` if the play has come to its end, or to none.
    pub fn step(&mut self) -> Option<Step> {
        while !self.play.has_ended() && !self.play.is_stuck() {
            let before = self.play.clone();
            self.play.step();
            let noted = self.play.sim.upsets.noted.as_mut().map(std::mem::take).unwrap_or_default();
            let mut points = Vec::new();
            for (deed, what) in noted {
                if what == Deed::Look {
                    self.looks += 1;
                    if !self.looks.is_multiple_of(LOOKS) {
                        continue;
                    }
                }
                let deed = deed - self.base;
                let upsets = Upset::ALL.into_iter().filter(|upset| upset.can_hit(what));
                points.extend(upsets.map(|upset| Point { deed, upset }));
            }
            if !points.is_empty() {
                return Some(Step { before, points });
            }
        }
        None
    }

    /// The play where it is, and no walk any more.
    #[must_use]
    pub fn into_play(mut self) -> Play {
        self.play.sim.upsets.noted = None;
        self.play
    }

    /// A fault that the play itself will meet.
    pub fn meet(&mut self, point: Point) {
        self.play.sim.upsets.planned.insert(self.base + point.deed, point.upset);
    }

    /// From now on chance draws what the state decides.
    pub fn settle_chance(&mut self) {
        self.play.settle_chance();
    }

    /// A copy of a play that will meet a fault. Its deeds are not noted.
    #[must_use]
    pub fn fork(&self, before: &Play, point: Point) -> Play {
        let mut fork = before.clone();
        fork.sim.upsets.noted = None;
        fork.sim.upsets.planned.insert(self.base + point.deed, point.upset);
        fork
    }
}

/// How many single faults there are, and how many of them led to a state of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// All of them.
    pub points: u64,
    /// Those that were followed to their end.
    pub distinct: u64,
}

/// Lets every single fault happen to a course, and tells of each what it broke. A fault that changes
/// nothing, or that has led to the same state as another one, is counted and not followed.
pub fn singles(play: Play, mut tell: impl FnMut(Point, &Play, &[String])) -> Count {
    let mut walk = Walk::new(play);
    let mut seen = BTreeSet::new();
    let mut count = Count::default();
    while let Some(Step { before, points }) = walk.step() {
        seen.insert(walk.play.likeness());
        for point in points {
            let mut fork = walk.fork(&before, point);
            fork.step();
            count.points += 1;
            if !seen.insert(fork.likeness()) {
                continue;
            }
            count.distinct += 1;
            let broken = fork.run_out();
            tell(point, &fork, &broken);
        }
    }
    count
}
