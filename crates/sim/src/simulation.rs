//! The driver in virtual time.

mod counted;
mod effects;
mod upsets;

pub use upsets::Upsets;

use crate::accepted::Accepted;
use crate::crash::{Crash, Side};
use crate::digest::Digest;
use crate::people::{Act, Doing};
use crate::tally::Tally;
use crate::watch::Watch;
use counted::Counted;
use holdfast_cloud_sim::{Class, SimCloud};
use holdfast_controller::{
    Effect, Fleet, FleetConfig, Input, Outcome, Refusal, Unreadable, standing,
};
use holdfast_model::facts::Page;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{
    CloudError, Command, Event, Invariant, NodeId, Record, Reply, Time, versions,
};
use holdfast_store::Store;
use holdfast_store::memory::MemoryStore;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How long a dead controller stays away, in milliseconds.
const DEAD_FOR: u64 = 1_500;
/// The most events of one run that are kept for the story.
const MAX_STORY: usize = 100_000;
/// The most inputs of one run: beyond it something turns in a circle.
const MAX_INPUTS: u64 = 2_000_000;
/// The most by which a wrong clock is wrong, in milliseconds, either way.
const MOST_SKEW: u64 = 2 * HOUR;
/// How long a controller that stands still does so, in milliseconds.
const STALL: (u64, u64) = (5 * SECOND, 5 * MINUTE);

/// A message on its way back to the controller. Messages of a dead controller never arrive.
#[derive(Debug, Clone)]
enum Message {
    Replied(u64, Result<Reply, CloudError>),
    Observed(u64, Result<Page, CloudError>),
    Committed(u64, Outcome),
    /// A commit that takes its time: it is durable when it is answered, and not before.
    Durable(u64, Box<Draft>),
}

/// What is to be committed.
#[derive(Debug, Clone)]
struct Draft {
    node: NodeId,
    expected: u64,
    record: Option<Arc<Record>>,
    events: Vec<Event>,
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
    watch: Watch,
}

/// The simulation. A copy shares nothing with it that could change, and goes on by itself.
#[derive(Clone)]
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
    /// What was hit by faults, and which replacements count.
    pub tally: Tally,
    /// The fingerprint of everything that happened.
    pub digest: Digest,
    /// Whether every record that is committed is read back, and must be the same.
    pub reads_back: bool,
    /// What happened, for people; nothing is noted where there is `None`.
    pub trace: Option<Vec<(Time, String)>>,
    /// What is to happen at single deeds.
    pub upsets: Upsets,
    /// Whether the ground truth follows what users say: otherwise a test tells it itself.
    pub follows_users: bool,
    accepted: Accepted,
    /// Words that are not answered, and what their nodes were doing.
    open_words: BTreeMap<u64, (Act, Doing)>,
    config: FleetConfig,
    watch: Watch,
    /// By how much the controller's clock is ahead of the cloud's, in milliseconds.
    skew: i64,
    stalled_until: Option<Time>,
    /// Nodes of which an instance dies, and when.
    dooms: BTreeMap<(Time, u64), NodeId>,
    fleet: Fleet,
    /// When the fleet wants to be woken: asked once after each input, for it is asked for often.
    wake: Time,
    messages: BTreeMap<(Time, u64), Message>,
    sequence: u64,
    inputs: u64,
    dead_until: Option<Time>,
    unheard: VecDeque<(u64, UserCommand)>,
    words: u64,
    counted: Counted,
}

impl Simulation {
    /// A controller that has just started on an empty store.
    #[must_use]
    pub fn new(cloud: SimCloud, config: FleetConfig) -> Simulation {
        Simulation::starting_at(Time(1_000), cloud, config)
    }

    /// The same, at another time: a clock that goes wrong backwards needs room.
    #[must_use]
    pub fn starting_at(now: Time, cloud: SimCloud, config: FleetConfig) -> Simulation {
        let mut simulation = Simulation {
            cloud,
            store: MemoryStore::new(),
            now,
            story: Vec::new(),
            answers: BTreeMap::new(),
            effects: 0,
            deaths: 0,
            crash: None,
            calls: Vec::new(),
            tally: Tally::default(),
            digest: Digest::default(),
            reads_back: true,
            trace: None,
            upsets: Upsets::default(),
            follows_users: false,
            accepted: Accepted::default(),
            open_words: BTreeMap::new(),
            watch: Watch::default(),
            skew: 0,
            stalled_until: None,
            dooms: BTreeMap::new(),
            fleet: Fleet::new(config.clone()),
            wake: now,
            config,
            messages: BTreeMap::new(),
            sequence: 0,
            inputs: 0,
            dead_until: None,
            unheard: VecDeque::new(),
            words: 0,
            counted: Counted::default(),
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
        if self.follows_users {
            self.accepted.said(&word);
        }
        self.unheard.push_back((self.words, word));
        self.words
    }

    /// The controller's clock.
    fn clock(&self) -> Time {
        Time(self.now.0.saturating_add_signed(self.skew))
    }

    /// Whether it has gone on for so long that something must be turning in a circle.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.inputs > MAX_INPUTS
    }

    /// Whether the controller lives and works.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.dead_until.is_none() && self.stalled_until.is_none()
    }

    /// What is durable of a node, whatever the controller knows.
    #[must_use]
    pub fn durable(&self, node: &NodeId) -> Option<&Arc<Record>> {
        self.watch.durable.get(node)
    }

    /// Notes something for people.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace
            && trace.len() < MAX_STORY
        {
            trace.push((self.now, what()));
        }
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

    /// When the next thing happens, at the latest `end`.
    fn next(&self, end: Time) -> Time {
        let mut next = end;
        if let Some(at) = self.cloud.next_change() {
            next = next.min(at);
        }
        if let Some(((at, _), _)) = self.dooms.first_key_value() {
            next = next.min(*at);
        }
        if let Some(until) = self.dead_until.or(self.stalled_until) {
            return next.min(until);
        }
        let wake = self.wake;
        if wake.0 < u64::MAX {
            next = next.min(Time(wake.0.saturating_add_signed(-self.skew)));
        }
        if let Some(((at, _), _)) = self.messages.first_key_value() {
            next = next.min(*at);
        }
        if self.unheard.is_empty() { next } else { self.now }
    }

    /// Goes to the next thing that happens, at the latest to `end`.
    pub fn step(&mut self, end: Time) {
        self.inputs += 1;
        self.now = self.now.max(self.next(end));
        self.cloud.advance(self.now);
        self.carry_out_dooms();
        if let Some(until) = self.dead_until.or(self.stalled_until) {
            if self.now >= until {
                self.stalled_until = None;
                if self.dead_until.take().is_some() {
                    self.boot();
                }
            }
            return;
        }
        for notice in self.cloud.take_notices(self.now) {
            self.take(Input::Noticed(notice));
        }
        if let Some((id, word)) = self.unheard.pop_front() {
            self.digest.debug(&word);
            let record = self.watch.durable.get(word.node());
            let doing = Doing::of(record.map(Arc::as_ref));
            self.open_words.insert(id, (Act::of(&word), doing));
            self.take(Input::Word(id, word));
            return;
        }
        let due = self.messages.first_key_value().is_some_and(|((at, _), _)| *at <= self.now);
        let input = match due.then(|| self.messages.pop_first()).flatten() {
            Some((_, Message::Replied(id, result))) => {
                self.digest.debug(&result);
                Input::Replied(id, result)
            }
            Some((_, Message::Observed(id, result))) => {
                self.digest.number(result.as_ref().map_or(u64::MAX, |p| p.facts.len() as u64));
                Input::Observed(id, result)
            }
            Some((_, Message::Committed(id, outcome))) => Input::Committed(id, outcome),
            Some((_, Message::Durable(id, draft))) => {
                let Draft { node, expected, record, events } = *draft;
                Input::Committed(id, self.commit(node, expected, record, events))
            }
            None => Input::Tick,
        };
        self.take(input);
        self.tally_hits(None);
        // After a standstill the time has come for much at once: first it is done.
        if self.wake > self.clock() {
            self.watch.look(self.now, self.skew, &self.fleet, &mut self.cloud);
        }
        // A fleet that wants to be woken in the past would spin, and stop virtual time.
        let idle = self.messages.first_key_value().is_none_or(|((at, _), _)| *at > self.now);
        if !due && idle && self.is_up() && self.wake <= self.clock() {
            let what = format!("the fleet wants to be woken in the past: {:?}", self.stuck());
            let node = NodeId::from("all");
            let now = self.now;
            self.cloud.truth_mut().broken(Invariant::WithinLimits, now, &node, what);
            self.inputs = MAX_INPUTS + 1;
        }
    }

    /// Instances die whose time has come.
    fn carry_out_dooms(&mut self) {
        while let Some(doom) = self.dooms.first_entry().filter(|d| d.key().0 <= self.now) {
            let node = doom.remove();
            let living = self.cloud.living(&node);
            let most = living.len().saturating_sub(1) as u64;
            let which = self.cloud.faults().between(Class::Death, 0, most) as usize;
            if let Some(instance) = living.get(which) {
                self.cloud.faults().hit(self.now, Class::Death, instance.as_str(), Some(node));
                self.cloud.kill(self.now, instance);
            }
        }
    }

    /// Takes note of the faults that have happened; `call` says to whose call.
    fn tally_hits(&mut self, call: Option<(&NodeId, &Command)>) {
        for hit in self.cloud.faults().take_hits() {
            let rows = self.tally.hit(&hit, call, &self.watch.durable);
            self.note(|| {
                let whom = call.map(|(node, _)| node).or(hit.node.as_ref());
                let whom = whom.map_or_else(String::new, |node| format!(" of {node}"));
                format!("FAULT {} to {}{whom} (in {rows})", hit.class, hit.to)
            });
        }
    }

    /// A controller starts: it knows what the store knows.
    fn boot(&mut self) {
        if self.cloud.faults().draw(Class::ClockJump) {
            let off = self.cloud.faults().between(Class::ClockJump, 0, 2 * MOST_SKEW);
            self.skew = off as i64 - MOST_SKEW as i64;
            let to = format!("the clock ({} s off)", self.skew / 1_000);
            self.cloud.faults().hit(self.now, Class::ClockJump, &to, None);
            self.cloud.clock_has_jumped();
        }
        self.note(|| "the controller starts".to_owned());
        self.tally.follow(self.fleet.overtakes());
        self.fleet = Fleet::new(self.config.clone());
        self.counted = Counted::default();
        self.wake = self.fleet.next_wake();
        let standing = standing::begin(&self.store, self.clock()).unwrap_or_default();
        self.take(Input::Standing(standing));
        let stored = self.store.load().unwrap_or_default();
        let records = stored
            .into_iter()
            .map(|s| {
                let read = versions::read(&s.json);
                (s.node, read.map_err(|e| Unreadable::of(&e, s.revision)))
            })
            .collect::<Vec<_>>();
        self.watch.stored(&records);
        let catalogue = self.cloud.catalogue();
        self.take(Input::Catalogue(catalogue));
        self.take(Input::Loaded(records));
    }

    /// The controller dies: everything that was on its way to it is lost.
    pub fn kill_controller(&mut self) {
        self.deaths += 1;
        self.note(|| "the controller dies".to_owned());
        self.stalled_until = None;
        self.messages.clear();
        self.upsets.forget();
        self.open_words.clear();
        self.dead_until = Some(self.now.plus(DEAD_FOR));
    }

    /// The controller dies, and starts again with a clock that is ahead of the cloud's by so many
    /// milliseconds.
    pub fn wrong_clock(&mut self, ahead: i64) {
        self.kill_controller();
        self.skew = ahead;
    }

    /// A person does something with a node at the cloud itself, of which nobody hears.
    pub fn done_by_user(&mut self, act: Act, node: &NodeId) {
        let record = self.watch.durable.get(node);
        self.tally.act(act, Doing::of(record.map(Arc::as_ref)));
    }

    /// A person takes a volume away that had joined a node.
    pub fn taken_by_user(&mut self, volume: &holdfast_model::VolumeId) {
        self.accepted.taken(volume.clone());
    }

    /// Something is said to the fleet as a whole.
    pub fn order(&mut self, input: Input) {
        self.take(input);
    }

    /// Something is done as if the fleet had wanted it: so what may never happen is tried.
    pub fn pretend(&mut self, effect: Effect) {
        self.carry_out(effect, None);
    }

    /// The watch looks at every node as if so many milliseconds had passed, and the fleet had not
    /// heard of it.
    pub fn look_later(&mut self, millis: u64) {
        let then = self.now.plus(millis);
        self.watch.look(then, self.skew, &self.fleet, &mut self.cloud);
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
            watch: Watch::shared(),
        }
    }

    /// The other controller has its turn. What was on its way to the first one waits for it.
    pub fn swap(&mut self, other: &mut Brain) {
        std::mem::swap(&mut self.store, &mut other.store);
        std::mem::swap(&mut self.config, &mut other.config);
        std::mem::swap(&mut self.fleet, &mut other.fleet);
        self.wake = self.fleet.next_wake();
        std::mem::swap(&mut self.messages, &mut other.messages);
        std::mem::swap(&mut self.dead_until, &mut other.dead_until);
        std::mem::swap(&mut self.unheard, &mut other.unheard);
        self.watch.is_shared = true;
        std::mem::swap(&mut self.watch, &mut other.watch);
    }

    /// From the next start on the controller is of another installation.
    pub fn installation(&mut self, name: &str) {
        self.config.installation = holdfast_model::Installation::from(name);
    }

    /// The controller dies, and starts again on another store.
    pub fn restore(&mut self, store: MemoryStore) {
        self.kill_controller();
        // What the store has forgotten, no record can speak of.
        self.watch.is_shared = true;
        self.store = store;
    }

    fn take(&mut self, input: Input) {
        if self.dead_until.is_some() {
            return;
        }
        if self.cloud.faults().draw(Class::Stall) {
            let millis = self.cloud.faults().between(Class::Stall, STALL.0, STALL.1);
            self.stalled_until = Some(self.now.plus(millis));
            let to = format!("the controller, for {} s", millis / 1_000);
            self.cloud.faults().hit(self.now, Class::Stall, &to, None);
        }
        let before = self.fleet.standing().clone();
        let now = self.clock();
        self.counted.hears(now, &input);
        let effects = self.fleet.handle(now, input);
        self.counted.sees(now, &effects, &self.fleet);
        self.wake = self.fleet.next_wake();
        if &before != self.fleet.standing() {
            // The memory store refuses commits on demand, but never a setting.
            let _ = standing::keep(&self.store, self.fleet.standing());
        }
        for effect in effects {
            let counts = matches!(effect, Effect::Commit { .. } | Effect::Call { .. });
            self.effects += u64::from(counts);
            let upset = self.deed(&effect);
            let dies_at = if counts { self.dies_at() } else { None };
            let dies_at = dies_at.or(Simulation::side(upset));
            if dies_at == Some(Side::Before) {
                self.kill_controller();
                return;
            }
            self.carry_out(effect, upset);
            if dies_at.is_some() {
                self.kill_controller();
                return;
            }
        }
    }

    /// Whether the controller dies at this effect, and on which side of it.
    fn dies_at(&mut self) -> Option<Side> {
        if let Some(crash) = self.crash.filter(|crash| crash.effect == self.effects) {
            return Some(crash.side);
        }
        if !self.cloud.faults().draw(Class::Killed) {
            return None;
        }
        let after = self.cloud.faults().between(Class::Killed, 0, 1) == 1;
        self.cloud.faults().hit(self.now, Class::Killed, "the controller", None);
        Some(if after { Side::After } else { Side::Before })
    }

    fn post(&mut self, at: Time, message: Message) {
        self.sequence += 1;
        self.messages.insert((at.max(self.now), self.sequence), message);
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
