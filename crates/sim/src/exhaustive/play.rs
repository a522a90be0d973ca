//! One course of one shape under way.

use super::course::{self, Course};
use crate::digest::Digest;
use crate::shape::Shape;
use crate::simulation::{Simulation, Stuck};
use crate::watch::known;
use holdfast_cloud_sim::{Fault, When};
use holdfast_controller::Refusal;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{Kind, Lifecycle, NodeId, Record, Time};
use std::sync::Arc;

/// How long any course may take in virtual time, faults and deaths included.
pub const LIMIT: u64 = 3 * HOUR;
/// The node that everything happens to.
pub const NODE: &str = "smi-00000001";
/// What is kept of a node that is let go is kept for so long.
const GRACE: u64 = 10 * MINUTE;
/// How long a user waits for an answer after the controller has died, in milliseconds.
const PATIENCE: u64 = 10 * SECOND;
/// How long before a user says again what could not be taken, in milliseconds.
const AGAIN: u64 = SECOND;
/// How often a user says the same word at most.
const MOST_TIMES: u32 = 20;

/// What the user has said and has no answer to.
#[derive(Debug, Clone)]
struct Asked {
    id: u64,
    word: UserCommand,
    at: Time,
    deaths: u64,
    times: u32,
}

/// See the module.
#[derive(Clone)]
pub struct Play {
    /// The simulation.
    pub sim: Simulation,
    /// The node.
    pub node: NodeId,
    /// What is brought about.
    pub course: Course,
    /// Of which shape the node is.
    pub shape: Shape,
    /// The node's record before.
    before: Option<Arc<Record>>,
    began: Time,
    asked: Option<Asked>,
    released: bool,
}

impl Play {
    /// A cloud and a controller; no node yet.
    #[must_use]
    pub fn empty(seed: u64, course: Course, shape: Shape) -> Play {
        let sim = course::empty(seed, |config| {
            if course == Course::LetGo {
                config.tuning.deallocation_grace = GRACE;
            }
        });
        let node = NodeId::from(NODE);
        let mut play = Play {
            began: sim.now,
            sim,
            node,
            course,
            shape,
            before: None,
            asked: None,
            released: false,
        };
        shape.expect(&mut play.sim.cloud, &play.node);
        play
    }

    /// Brings about what this course needs first.
    ///
    /// # Errors
    /// If it does not come about.
    pub fn prepare(seed: u64, course: Course, shape: Shape) -> Result<Play, Stuck> {
        let mut play = Play::empty(seed, course, shape);
        match course {
            Course::Of(Kind::Create) => {}
            Course::Of(Kind::Revert) => {
                course::drought(&mut play.sim, Some(Lifecycle::Spot), None, true);
                play.serve()?;
            }
            Course::Of(Kind::Resume) => {
                play.serve()?;
                play.sim.say(UserCommand::Pause(play.node.clone()));
                play.until_status("PAUSED")?;
            }
            Course::Of(Kind::Rollback) => {
                play.serve()?;
                play.brings(Kind::Recycle)?;
                play.sim.run_for(2 * MINUTE);
            }
            Course::Of(Kind::Tidy) => {
                play.serve()?;
                let deletes = |c: &holdfast_model::Command| {
                    ["Delete", "Deregister"].iter().any(|verb| c.action().starts_with(verb))
                };
                let always = When::Matches(Arc::new(deletes), u32::MAX);
                play.sim.cloud.faults().add(always, Fault::refused());
                play.brings(Kind::Lost)?;
                let node = play.node.clone();
                play.sim.run_until(LIMIT, |s| {
                    s.record(&node)
                        .is_some_and(|r| !r.kept.pending_deletion.is_empty() && r.work.is_none())
                })?;
            }
            Course::Undelete => {
                play.serve()?;
                let deallocation =
                    Deallocation { should_terminate_instance: true, ..Deallocation::default() };
                play.sim.say(UserCommand::Delete { id: play.node.clone(), deallocation });
                let node = play.node.clone();
                play.sim.run_until(LIMIT, |s| {
                    s.record(&node).is_some_and(|r| r.lifecycle.is_deleted() && r.work.is_none())
                })?;
                play.sim.run_for(2 * MINUTE);
            }
            _ => play.serve()?,
        }
        Ok(play)
    }

    /// A node that serves and has acknowledged writes.
    fn serve(&mut self) -> Result<(), Stuck> {
        self.sim.say(course::creation(&self.node, self.shape));
        self.until_status("ACTIVE")?;
        self.sim.run_for(2 * MINUTE);
        Ok(())
    }

    fn until_status(&mut self, status: &str) -> Result<(), Stuck> {
        let node = self.node.clone();
        self.sim.run_until(LIMIT, |s| s.record(&node).is_some_and(|r| r.status() == status))
    }

    /// Brings about a replacement before the one that counts.
    fn brings(&mut self, kind: Kind) -> Result<(), Stuck> {
        let before = self.generation();
        let (node, course) = (self.node.clone(), Course::Of(kind));
        let at = self.sim.now;
        let stuck = |why| Stuck { at, waits: vec![why] };
        course::trigger(&mut self.sim, &node, course, self.shape).map_err(stuck)?;
        self.sim.run_until(LIMIT, |s| course::has_ended(s, &node, course, before))
    }

    fn generation(&self) -> u64 {
        self.sim.record(&self.node).map_or(0, |r| r.generations.number())
    }

    /// Brings the course about.
    ///
    /// # Errors
    /// If the node is in no state for it.
    pub fn trigger(&mut self) -> Result<(), String> {
        self.before = self.sim.record(&self.node);
        self.began = self.sim.now;
        let word = course::trigger(&mut self.sim, &self.node, self.course, self.shape)?;
        let deaths = self.sim.deaths;
        let at = self.sim.now;
        self.asked = word.map(|(id, word)| Asked { id, word, at, deaths, times: 1 });
        Ok(())
    }

    /// Goes to the next thing that happens.
    pub fn step(&mut self) {
        let end = self.began.plus(LIMIT);
        let next = self.asked.as_ref().map_or(end, |asked| asked.at.plus(AGAIN).max(self.sim.now));
        let next = if next > self.sim.now { next } else { self.sim.now.plus(AGAIN) };
        self.sim.step(next.min(end));
        self.insist();
        if self.course == Course::LetGo && !self.released {
            let record = self.sim.record(&self.node);
            if record.is_some_and(|r| r.lifecycle.is_deleted() && r.work.is_none()) {
                // What is kept for a time of grace alone may go then.
                self.sim.cloud.truth_mut().release(&self.node);
                self.released = true;
            }
        }
    }

    /// The user says again what was not heard.
    fn insist(&mut self) {
        let Some(asked) = &mut self.asked else { return };
        if self.sim.deaths != asked.deaths {
            (asked.deaths, asked.at) = (self.sim.deaths, self.sim.now);
        }
        let waited = self.sim.now.since(asked.at);
        let again = match self.sim.answers.get(&asked.id) {
            Some(Err(Refusal::Unavailable(_))) => waited >= AGAIN,
            Some(_) => {
                self.asked = None;
                return;
            }
            None => asked.deaths > 0 && waited >= PATIENCE && self.sim.is_up(),
        };
        if !again || asked.times >= MOST_TIMES {
            return;
        }
        if course::is_heard(&self.sim, &self.node, &asked.word, self.before.as_deref()) {
            self.asked = None;
            return;
        }
        asked.id = self.sim.say(asked.word.clone());
        asked.at = self.sim.now;
        asked.times += 1;
    }

    /// The fingerprint of everything that decides how it goes on and how it is judged, but for what
    /// chance will draw ([`Simulation::likeness`]): the same for two copies of one play if they
    /// stand at the same instant in the same state, their user waits for the same, and as much is
    /// broken.
    #[must_use]
    pub fn likeness(&self) -> u64 {
        let mut digest = Digest::default();
        digest.number(self.sim.likeness());
        let answer = self.asked.as_ref().and_then(|asked| self.sim.answers.get(&asked.id));
        let died = self.asked.as_ref().map(|asked| asked.deaths != self.sim.deaths);
        digest.debug(&(&self.asked, answer, died, self.released));
        digest.debug(&self.broken());
        digest.value()
    }

    /// From now on chance draws what the state decides: the same state has the same future.
    pub fn settle_chance(&mut self) {
        let state = self.likeness();
        self.sim.cloud.reseed(state);
    }

    /// Whether it has come to its end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let before = self.before.as_ref().map_or(0, |r| r.generations.number());
        self.sim.is_up() && course::has_ended(&self.sim, &self.node, self.course, before)
    }

    /// Whether it has gone on for too long.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.sim.now >= self.began.plus(LIMIT) || self.sim.is_spent()
    }

    /// Goes on to the end and judges it; returns what is broken, if anything is.
    #[must_use]
    pub fn finish(mut self) -> Vec<String> {
        self.run_out()
    }

    /// The same, and the play can be looked at afterwards.
    pub fn run_out(&mut self) -> Vec<String> {
        while !self.has_ended() {
            if self.is_stuck() {
                let mut broken = self.broken();
                broken.push(format!("it has not ended after {} h", LIMIT / HOUR));
                return broken;
            }
            self.step();
        }
        self.judge()
    }

    /// Nothing that may never happen has happened, and nothing is left over.
    fn judge(&mut self) -> Vec<String> {
        self.sim.run_for(3 * MINUTE);
        // What has happened late has begun another replacement: that ends too.
        let node = self.node.clone();
        let rests = |s: &Simulation| s.is_up() && s.record(&node).is_none_or(|r| r.work.is_none());
        if !rests(&self.sim) {
            let _ = self.sim.run_until(LIMIT, rests);
            self.sim.run_for(3 * MINUTE);
        }
        let mut broken = Vec::new();
        if !self.is_well() {
            let record = self.sim.record(&self.node);
            let status = record.map_or("gone", |r| r.status());
            broken.push(format!("in the end it is {status}"));
        }
        self.sim.cloud.settle(self.sim.now, &self.node);
        let known = known_to(&self.sim, &self.node);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        self.sim.cloud.check_leaks(self.sim.now, &self.node, &known);
        broken.extend(self.broken());
        broken
    }

    /// Whether the node is what its user wants, and rests.
    fn is_well(&self) -> bool {
        let record = self.sim.record(&self.node);
        match self.course {
            Course::Of(Kind::Delete) | Course::LetGo => record.is_none(),
            Course::Of(Kind::Pause) | Course::Undelete => {
                record.is_some_and(|r| r.status() == "PAUSED" && r.work.is_none())
            }
            Course::Of(_) => record.is_some_and(|r| r.status() == "ACTIVE" && r.work.is_none()),
        }
    }

    /// What was found broken so far.
    fn broken(&self) -> Vec<String> {
        let violations = self.sim.cloud.violations().iter().map(ToString::to_string);
        let said = self.sim.story.iter().filter(|e| e.code == "invariant-broken");
        violations.chain(said.map(|e| e.message.clone())).collect()
    }
}

/// Every resource that a node's record knows.
#[must_use]
pub fn known_to(sim: &Simulation, node: &NodeId) -> Vec<String> {
    let Some(record) = sim.record(node) else { return Vec::new() };
    let mut known: Vec<String> = known(&record, &sim.cloud).into_iter().collect();
    // A paused node has no retire row: what is superseded goes at the next resume, but for
    // an instance.
    if record.instance.is_none() {
        known.extend(record.kept.pending_deletion.iter().map(|s| s.id.clone()));
    }
    known
}
