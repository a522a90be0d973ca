//! The leanest driver of the fleet: virtual time, a simulated EC2, and a store that is always there
//! and keeps nothing. What is measured here is the fleet, and not the judges around it; that nothing
//! is lost is proved elsewhere (the simulation), and the ground truth is asked here all the same.

use crate::BenchError;
use holdfast_cloud_sim::SimCloud;
use holdfast_controller::{Effect, Fleet, FleetConfig, Input, Outcome};
use holdfast_model::facts::Fact;
use holdfast_model::{Command, Record, Shared, Standing, Time};
use std::collections::{BTreeMap, VecDeque};

/// How long a commit takes, in milliseconds.
const COMMIT_TAKES: u64 = 2;

/// A call that was made, and what it made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub at: Time,
    pub command: Command,
    pub facts: Vec<Fact>,
}

/// See the module.
pub(crate) struct Drive {
    pub cloud: SimCloud,
    pub fleet: Fleet,
    pub now: Time,
    /// What the cloud shows shares nothing with it, as if it came over a wire: then the fleet's
    /// memory is its own, and it finds out for itself that nothing has changed.
    pub apart: bool,
    /// Every call with what it made, if somebody asked for it.
    pub log: Option<Vec<Made>>,
    messages: BTreeMap<(Time, u64), Input>,
    words: VecDeque<Input>,
    sequence: u64,
    /// Inputs that the fleet has taken in.
    pub inputs: u64,
}

impl Drive {
    /// A controller starts with these records.
    pub(crate) fn start(
        cloud: SimCloud,
        now: Time,
        config: FleetConfig,
        records: Vec<Record>,
    ) -> Drive {
        let mut drive = Drive {
            cloud,
            fleet: Fleet::new(config),
            now,
            apart: false,
            log: None,
            messages: BTreeMap::new(),
            words: VecDeque::new(),
            sequence: 0,
            inputs: 0,
        };
        let catalogue = drive.cloud.catalogue();
        drive.take(Input::Standing(Standing::default()));
        drive.take(Input::Catalogue(catalogue));
        let loaded = records.into_iter().map(|r| (r.id.clone(), Ok(r))).collect();
        drive.take(Input::Loaded(loaded));
        drive
    }

    /// Says something to the fleet.
    pub(crate) fn say(&mut self, input: Input) {
        self.words.push_back(input);
    }

    /// Runs until the test holds.
    pub(crate) fn run_until(
        &mut self,
        what: &str,
        limit: u64,
        mut test: impl FnMut(&Drive) -> bool,
    ) -> Result<(), BenchError> {
        let end = self.now.plus(limit);
        while !test(self) {
            if self.now >= end {
                return Err(BenchError::Stuck { what: what.to_owned(), waits: self.waits() });
            }
            self.step(end);
        }
        Ok(())
    }

    /// Runs for so many milliseconds.
    pub(crate) fn run_for(&mut self, millis: u64) {
        let end = self.now.plus(millis);
        while self.now < end {
            self.step(end);
        }
    }

    fn waits(&self) -> String {
        let waits = self.fleet.nodes().filter_map(|id| {
            let view = self.fleet.view(id)?;
            view.record.work.as_ref()?;
            Some(format!("{id}: {}", view.waits_for.unwrap_or_else(|| "nothing".to_owned())))
        });
        waits.take(3).collect::<Vec<_>>().join("; ")
    }

    fn step(&mut self, end: Time) {
        let mut next = end.min(self.fleet.next_wake());
        if let Some(at) = self.cloud.next_change() {
            next = next.min(at);
        }
        if let Some(((at, _), _)) = self.messages.first_key_value() {
            next = next.min(*at);
        }
        if !self.words.is_empty() {
            next = self.now;
        }
        self.now = self.now.max(next);
        self.cloud.advance(self.now);
        for notice in self.cloud.take_notices(self.now) {
            self.take(Input::Noticed(notice));
        }
        while let Some(word) = self.words.pop_front() {
            self.take(word);
        }
        while self.messages.first_key_value().is_some_and(|((at, _), _)| *at <= self.now) {
            if let Some((_, message)) = self.messages.pop_first() {
                self.take(message);
            }
        }
        if self.fleet.next_wake() <= self.now {
            self.take(Input::Tick);
        }
    }

    fn take(&mut self, input: Input) {
        self.inputs += 1;
        for effect in self.fleet.handle(self.now, input) {
            match effect {
                Effect::Commit { id, .. } => {
                    let done = Input::Committed(id, Outcome::Done);
                    self.post(self.now.plus(COMMIT_TAKES), done);
                }
                Effect::Call { calls } => {
                    let commands: Vec<Command> = calls.iter().map(|c| c.command.clone()).collect();
                    let answers = self.cloud.call_together(self.now, commands);
                    for (call, answer) in calls.into_iter().zip(answers) {
                        if let (Some(log), Ok(reply)) = (&mut self.log, &answer.result) {
                            let (command, facts) = (call.command, reply.facts.clone());
                            log.push(Made { at: self.now, command, facts });
                        }
                        self.post(answer.reply_at, Input::Replied(call.id, answer.result));
                    }
                }
                Effect::Observe { id, query } => {
                    let (at, mut result) = self.cloud.observe(self.now, &query);
                    if let (true, Ok(page)) = (self.apart, &mut result) {
                        page.facts.iter_mut().for_each(set_apart);
                    }
                    self.post(at, Input::Observed(id, result));
                }
                Effect::Answer { .. } | Effect::Show(_) => {}
            }
        }
    }

    fn post(&mut self, at: Time, message: Input) {
        self.sequence += 1;
        self.messages.insert((at.max(self.now), self.sequence), message);
    }
}

/// Makes a fact share nothing with its copies.
fn set_apart(fact: &mut Fact) {
    fn own<T: Clone>(shared: &mut Shared<T>) -> &mut T {
        *shared = Shared::from(T::clone(shared));
        shared
    }
    let tags = match fact {
        Fact::Instance(f) => &mut own(f).tags,
        Fact::Volume(f) => &mut own(f).tags,
        Fact::Snapshot(f) => &mut own(f).tags,
        Fact::Image(f) => &mut own(f).tags,
        Fact::Interface(f) => &mut own(f).tags,
    };
    own(tags);
}
