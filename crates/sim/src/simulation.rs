//! The driver in virtual time.

use crate::crash::{Crash, Fault, Side};
use holdfast_cloud_sim::SimCloud;
use holdfast_controller::{Effect, Fleet, FleetConfig, Input, Outcome, Refusal, standing};
use holdfast_model::facts::Page;
use holdfast_model::user::UserCommand;
use holdfast_model::{CloudError, Event, NodeId, Record, Reply, Time, versions};
use holdfast_store::memory::MemoryStore;
use holdfast_store::{Store, Write, Written};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How long a commit takes, in milliseconds.
const COMMIT_TAKES: u64 = 2;
/// How long a dead controller stays away, in milliseconds.
const DEAD_FOR: u64 = 1_500;
/// The most events of one run that are kept for the story.
const MAX_STORY: usize = 100_000;
/// The most inputs of one run: beyond it something turns in a circle.
const MAX_INPUTS: u64 = 2_000_000;

/// A message on its way back to the controller. Messages of a dead controller never arrive.
enum Message {
    Replied(u64, Result<Reply, CloudError>),
    Observed(u64, Result<Page, CloudError>),
    Committed(u64, Outcome),
}

/// A run came to no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// When it was given up.
    pub at: Time,
    /// What each node waits for.
    pub waits: Vec<String>,
}

/// A controller with its store, while another one has its turn: two servers on one cloud.
pub struct Brain {
    store: MemoryStore,
    config: FleetConfig,
    fleet: Fleet,
    messages: BTreeMap<(Time, u64), Message>,
    dead_until: Option<Time>,
    unheard: VecDeque<(u64, UserCommand)>,
}

/// The simulation.
pub struct Simulation {
    /// The cloud, with its ground truth.
    pub cloud: SimCloud,
    /// The store, which outlives the controller.
    pub store: MemoryStore,
    /// Virtual time.
    pub now: Time,
    /// Everything that was told, in order.
    pub story: Vec<Event>,
    /// Answers to words, by their number.
    pub answers: BTreeMap<u64, Result<Arc<Record>, Refusal>>,
    /// How many effects (commits and calls) there have been.
    pub effects: u64,
    /// How often the controller has died.
    pub deaths: u64,
    /// Where it is to die.
    pub crash: Option<Crash>,
    /// How many calls there have been, and what they were.
    pub calls: Vec<&'static str>,
    /// What is to happen to which call, counted from 1.
    pub fault: Option<(usize, Fault)>,
    config: FleetConfig,
    fleet: Fleet,
    messages: BTreeMap<(Time, u64), Message>,
    sequence: u64,
    inputs: u64,
    dead_until: Option<Time>,
    unheard: VecDeque<(u64, UserCommand)>,
    words: u64,
}

impl Simulation {
    /// A controller that has just started on an empty store.
    #[must_use]
    pub fn new(cloud: SimCloud, config: FleetConfig) -> Simulation {
        let mut simulation = Simulation {
            cloud,
            store: MemoryStore::new(),
            now: Time(1_000),
            story: Vec::new(),
            answers: BTreeMap::new(),
            effects: 0,
            deaths: 0,
            crash: None,
            calls: Vec::new(),
            fault: None,
            fleet: Fleet::new(config.clone()),
            config,
            messages: BTreeMap::new(),
            sequence: 0,
            inputs: 0,
            dead_until: None,
            unheard: VecDeque::new(),
            words: 0,
        };
        simulation.boot();
        simulation
    }

    /// The fleet, to look at.
    #[must_use]
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Says a word; its answer will stand in `answers` under the returned number.
    pub fn say(&mut self, word: UserCommand) -> u64 {
        self.words += 1;
        self.unheard.push_back((self.words, word));
        self.words
    }

    /// The committed record of a node.
    #[must_use]
    pub fn record(&self, node: &NodeId) -> Option<Arc<Record>> {
        self.fleet.record(node)
    }

    /// Runs until the test holds.
    ///
    /// # Errors
    /// [`Stuck`] if it does not within `limit` milliseconds of virtual time.
    pub fn run_until(
        &mut self,
        limit: u64,
        mut test: impl FnMut(&Simulation) -> bool,
    ) -> Result<(), Stuck> {
        let end = self.now.plus(limit);
        while !test(self) {
            if self.now >= end || self.inputs > MAX_INPUTS {
                return Err(self.stuck());
            }
            self.step(end);
        }
        Ok(())
    }

    /// Runs for so many milliseconds.
    pub fn run_for(&mut self, millis: u64) {
        let end = self.now.plus(millis);
        while self.now < end && self.inputs <= MAX_INPUTS {
            self.step(end);
        }
    }

    fn stuck(&self) -> Stuck {
        let waits = self.fleet.nodes().filter_map(|id| {
            let view = self.fleet.view(id)?;
            let what = view.waits_for.unwrap_or_else(|| "nothing".to_owned());
            Some(format!("{id} ({}) waits for {what}", view.record.status()))
        });
        Stuck { at: self.now, waits: waits.collect() }
    }

    /// Goes to the next thing that happens, at the latest to `end`.
    fn step(&mut self, end: Time) {
        self.inputs += 1;
        let mut next = end;
        if let Some(at) = self.cloud.next_change() {
            next = next.min(at);
        }
        match self.dead_until {
            Some(until) => next = next.min(until),
            None => {
                next = next.min(self.fleet.next_wake());
                if let Some(((at, _), _)) = self.messages.first_key_value() {
                    next = next.min(*at);
                }
                if !self.unheard.is_empty() {
                    next = self.now;
                }
            }
        }
        self.now = self.now.max(next);
        self.cloud.advance(self.now);
        if let Some(until) = self.dead_until {
            if self.now >= until {
                self.dead_until = None;
                self.boot();
            }
            return;
        }
        for notice in self.cloud.take_notices(self.now) {
            self.take(Input::Noticed(notice));
        }
        if let Some((id, word)) = self.unheard.pop_front() {
            self.take(Input::Word(id, word));
            return;
        }
        let due = self.messages.first_key_value().is_some_and(|((at, _), _)| *at <= self.now);
        let input = match due.then(|| self.messages.pop_first()).flatten() {
            Some((_, Message::Replied(id, result))) => Input::Replied(id, result),
            Some((_, Message::Observed(id, result))) => Input::Observed(id, result),
            Some((_, Message::Committed(id, outcome))) => Input::Committed(id, outcome),
            None => Input::Tick,
        };
        self.take(input);
        // A fleet that wants to be woken in the past would spin, and stop virtual time.
        let idle = self.messages.first_key_value().is_none_or(|((at, _), _)| *at > self.now);
        assert!(
            due || !idle || self.dead_until.is_some() || self.fleet.next_wake() > self.now,
            "the fleet wants to be woken in the past at {:?}: {:?}",
            self.now,
            self.stuck()
        );
    }

    /// A controller starts: it knows what the store knows.
    fn boot(&mut self) {
        self.fleet = Fleet::new(self.config.clone());
        let standing = standing::begin(&self.store, self.now).unwrap_or_default();
        self.take(Input::Standing(standing));
        let stored = self.store.load().unwrap_or_default();
        let records = stored
            .into_iter()
            .map(|s| (s.node, versions::read(&s.json).map_err(|e| e.to_string())))
            .collect();
        let catalogue = self.cloud.catalogue();
        self.take(Input::Catalogue(catalogue));
        self.take(Input::Loaded(records));
    }

    /// The controller dies: everything that was on its way to it is lost.
    pub fn kill_controller(&mut self) {
        self.deaths += 1;
        self.messages.clear();
        self.dead_until = Some(self.now.plus(DEAD_FOR));
    }

    /// Something is said to the fleet as a whole.
    pub fn order(&mut self, input: Input) {
        self.take(input);
    }

    /// Another controller, which starts on this store when its first turn comes.
    #[must_use]
    pub fn second(&self, store: MemoryStore) -> Brain {
        Brain {
            store,
            config: self.config.clone(),
            fleet: Fleet::new(self.config.clone()),
            messages: BTreeMap::new(),
            dead_until: Some(self.now),
            unheard: VecDeque::new(),
        }
    }

    /// The other controller has its turn. What was on its way to the first one waits for it.
    pub fn swap(&mut self, other: &mut Brain) {
        std::mem::swap(&mut self.store, &mut other.store);
        std::mem::swap(&mut self.config, &mut other.config);
        std::mem::swap(&mut self.fleet, &mut other.fleet);
        std::mem::swap(&mut self.messages, &mut other.messages);
        std::mem::swap(&mut self.dead_until, &mut other.dead_until);
        std::mem::swap(&mut self.unheard, &mut other.unheard);
    }

    /// From the next start on the controller is of another installation.
    pub fn installation(&mut self, name: &str) {
        self.config.installation = holdfast_model::Installation::from(name);
    }

    /// The controller dies, and starts again on another store.
    pub fn restore(&mut self, store: MemoryStore) {
        self.kill_controller();
        self.store = store;
    }

    fn take(&mut self, input: Input) {
        if self.dead_until.is_some() {
            return;
        }
        let before = self.fleet.standing().clone();
        let effects = self.fleet.handle(self.now, input);
        if &before != self.fleet.standing() {
            // The memory store refuses commits on demand, but never a setting.
            let _ = standing::keep(&self.store, self.fleet.standing());
        }
        for effect in effects {
            let counts = matches!(effect, Effect::Commit { .. } | Effect::Call { .. });
            self.effects += u64::from(counts);
            let crash = self.crash.filter(|c| counts && c.effect == self.effects);
            if crash.is_some_and(|c| c.side == Side::Before) {
                self.kill_controller();
                return;
            }
            self.carry_out(effect);
            if crash.is_some() {
                self.kill_controller();
                return;
            }
        }
    }

    fn post(&mut self, at: Time, message: Message) {
        self.sequence += 1;
        self.messages.insert((at.max(self.now), self.sequence), message);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Commit { id, node, expected, record, events } => {
                let json = match record.as_deref().map(serde_json::to_string).transpose() {
                    Ok(json) => json,
                    Err(e) => {
                        let failed = Outcome::Failed(e.to_string());
                        self.post(self.now, Message::Committed(id, failed));
                        return;
                    }
                };
                if let (Some(json), Some(record)) = (&json, record.as_deref()) {
                    let read = versions::read(json);
                    assert!(
                        read.as_ref().is_ok_and(|r| r == record),
                        "what is committed must be readable after a crash: {:?} {json}",
                        read.err()
                    );
                }
                let write = Write { node, expected, record: json, events: events.clone() };
                let outcome = match self.store.commit(&[write]) {
                    Ok(written) if written.first() == Some(&Written::Done) => {
                        let room = MAX_STORY.saturating_sub(self.story.len());
                        self.story.extend(events.into_iter().take(room));
                        Outcome::Done
                    }
                    Ok(_) => Outcome::Conflict,
                    Err(e) => Outcome::Failed(e.to_string()),
                };
                self.post(self.now.plus(COMMIT_TAKES), Message::Committed(id, outcome));
            }
            Effect::Call { id, command } => {
                self.calls.push(command.action());
                let number = self.calls.len();
                let fault = self.fault.filter(|(n, _)| *n == number).map(|(_, fault)| fault);
                let mut reply = match fault {
                    Some(fault) if !fault.is_done_anyway() => (self.now.plus(50), None),
                    _ => {
                        let scheduled = self.cloud.call(self.now, command);
                        (scheduled.reply_at, Some(scheduled.result))
                    }
                };
                if let Some(fault) = fault {
                    reply.1 = Some(Err(fault.error()));
                }
                if let (at, Some(result)) = reply {
                    self.post(at, Message::Replied(id, result));
                }
            }
            Effect::Observe { id, query } => {
                let (at, result) = self.cloud.observe(self.now, &query);
                self.post(at, Message::Observed(id, result));
            }
            Effect::Answer { id, answer } => {
                self.answers.insert(id, answer);
            }
            Effect::Show(_) => {}
        }
    }

    /// The story so far, for people.
    #[must_use]
    pub fn told(&self) -> String {
        self.story.iter().fold(String::new(), |mut text, e| {
            text.push_str(&format!("{:>10} {} {:<18} {}\n", e.at.0, e.node, e.code, e.message));
            text
        })
    }
}
