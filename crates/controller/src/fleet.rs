//! The fleet: a state machine over all nodes. Inputs go in with the time, effects come out;
//! nothing here waits, sleeps, reads a clock or draws a number. Two drivers run it: [`crate::serve`]
//! with real clouds and stores, and the simulation, on one thread in virtual time.
//!
//! For each node there is one runner, so that two plans of one node never exist at once. A runner
//! plans, commits, and only then lets calls leave; every answer and every fact makes it plan again.

mod adoption;
pub mod brake;
pub mod buckets;
mod calls;
mod config;
mod damaged;
mod hearing;
mod kept;
mod likeness;
mod looking;
mod messages;
mod overlooked;
pub mod priority;
mod queue;
mod reads;
mod runner;
mod standing;
mod unreadable;

pub use buckets::{Belief, BucketSize, CallLimits};
pub use config::{FleetConfig, VOLUNTARY_PER_HOUR};
pub use messages::{Departure, Effect, Input, Outcome};
pub use unreadable::Unreadable;

use crate::refusal::Refusal;
use crate::view::NodeView;
use brake::Brake;
use buckets::Buckets;
use holdfast_engine::World;
use holdfast_engine::context::clock;
use holdfast_engine::observed::survival::Survival;
use holdfast_engine::tables::overtakes::Followed;
use holdfast_model::facts::Fact;
use holdfast_model::market::Catalogue;
use holdfast_model::record::DataHead;
use holdfast_model::standing::Standing;
use holdfast_model::user::UserCommand;
use holdfast_model::{NodeId, Record, Spec, Time};
use queue::Queue;
use reads::Reads;
use runner::Runner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most nodes of one installation.
pub const MAX_NODES: usize = 200_000;

/// The fleet. A copy goes on by itself.
#[derive(Clone)]
pub struct Fleet {
    config: FleetConfig,
    world: World,
    catalogue: Arc<Catalogue>,
    runners: BTreeMap<NodeId, Runner>,
    reads: Reads,
    queue: Queue,
    dirty: BTreeSet<NodeId>,
    /// Nodes that wait for something: what changes for all concerns only them.
    waiting: BTreeSet<NodeId>,
    wakes: BTreeSet<(Time, NodeId)>,
    commits: BTreeMap<u64, NodeId>,
    next_id: u64,
    standing: Standing,
    /// What all nodes together have seen of spot markets.
    survival: Survival,
    brake: Brake,
    /// Whether what the records need has been looked for since the start.
    looked: bool,
    /// Since when most of what had vanished shows again, while the fleet is still frozen for it.
    view_back: Option<Time>,
    /// How many volumes of all nodes have snapshots taken from time to time.
    snapshot_volumes: u64,
    /// How often each line of the table of what overtakes a replacement was followed.
    overtakes: BTreeMap<Followed, u64>,
}

impl Fleet {
    /// An empty fleet.
    #[must_use]
    pub fn new(config: FleetConfig) -> Fleet {
        Fleet {
            world: World::new(config.tuning.consistency_window),
            queue: Queue::new(Buckets::new(config.limits)),
            brake: Brake::new(config.voluntary_per_hour),
            config,
            catalogue: Arc::default(),
            runners: BTreeMap::new(),
            reads: Reads::default(),
            dirty: BTreeSet::new(),
            waiting: BTreeSet::new(),
            wakes: BTreeSet::new(),
            commits: BTreeMap::new(),
            next_id: 0,
            standing: Standing::default(),
            survival: Survival::default(),
            looked: false,
            view_back: None,
            snapshot_volumes: 0,
            overtakes: BTreeMap::new(),
        }
    }

    /// Takes an input in, and says what is to be done.
    pub fn handle(&mut self, now: Time, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.brake.pass(now);
        match input {
            Input::Loaded(records) => self.load(records, now),
            Input::Catalogue(catalogue) => {
                self.catalogue = Arc::new(catalogue);
                self.dirty.extend(self.waiting.iter().cloned());
            }
            Input::Observed(id, result) => self.observed(id, result, now, &mut effects),
            Input::Replied(id, result) => self.replied(id, result, now),
            Input::Committed(id, outcome) => self.committed(id, outcome, now, &mut effects),
            Input::Noticed(notice) => {
                let lags = self.config.tuning.consistency_window.min(reads::HINT_LASTS);
                self.reads.hint(notice.instance.as_str(), now.plus(lags));
            }
            Input::Word(id, word) => self.word(id, word, now, &mut effects),
            Input::Standing(standing) => self.standing = standing,
            Input::Freeze(cause, reason) => self.freeze(cause, reason, now, &mut effects),
            Input::Thaw => self.thaw(now, &mut effects),
            Input::Tick => {}
        }
        self.dirty.extend(self.world.take_changed());
        self.wake_due(now);
        self.run_dirty(now, &mut effects);
        self.send(now, &mut effects);
        self.look(now, &mut effects);
        effects
    }

    /// How often each line of the table of what overtakes a replacement was followed since the start.
    #[must_use]
    pub fn overtakes(&self) -> &BTreeMap<Followed, u64> {
        &self.overtakes
    }

    /// When [`Input::Tick`] is due at the latest.
    #[must_use]
    pub fn next_wake(&self) -> Time {
        let runner = self.wakes.first().map(|(at, _)| *at);
        let calls = self.queue.next_try(self.config.calls_at_once);
        let wakes = [runner, calls, Some(self.next_read())];
        wakes.into_iter().flatten().min().unwrap_or(Time(u64::MAX))
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn load(&mut self, records: Vec<(NodeId, Result<Record, Unreadable>)>, now: Time) {
        for (id, record) in records {
            let runner = match record {
                Ok(mut record) => {
                    clock::set_right(&mut record, now, &self.config.tuning);
                    self.survival.follow(None, Some(&record));
                    // What was committed by an earlier process may have left.
                    self.queue.suspect(&record, now);
                    self.snapshot_volumes += record.upkeep.volumes();
                    self.brake.load(&record, now);
                    Runner::new(Arc::new(record))
                }
                Err(unreadable) => Runner::stopped(unreadable),
            };
            self.dirty.insert(id.clone());
            self.runners.insert(id, runner);
        }
    }

    fn word(&mut self, id: u64, word: UserCommand, now: Time, effects: &mut Vec<Effect>) {
        let node = word.node().clone();
        if let UserCommand::Adopt { .. } = &word {
            self.adopt(id, word, now, effects);
            return;
        }
        if let UserCommand::Create { document, .. } = &word {
            if self.runners.len() >= MAX_NODES {
                let why = format!("this installation has its limit of {MAX_NODES} nodes");
                let answer = Err(Refusal::Unavailable(why));
                effects.push(Effect::Answer { id, answer });
                return;
            }
            if self.runners.contains_key(&node) {
                let why = "a node with this id exists already".to_owned();
                let answer = Err(Refusal::Conflict { node, why });
                effects.push(Effect::Answer { id, answer });
                return;
            }
            let document = holdfast_model::document::without_nulls(document);
            match Spec::accept(&document, None).and_then(|spec| self.check_spec(&spec)) {
                Ok(()) => {
                    let record = Record::new(node.clone(), document, now);
                    let mut runner = Runner::new(Arc::new(record));
                    runner.words.push_back((id, word));
                    self.runners.insert(node.clone(), runner);
                    self.dirty.insert(node);
                }
                Err(errors) => {
                    effects.push(Effect::Answer { id, answer: Err(Refusal::Invalid(errors)) });
                }
            }
            return;
        }
        match self.runners.get_mut(&node) {
            None => {
                effects.push(Effect::Answer { id, answer: Err(Refusal::NoSuchNode(node)) });
            }
            Some(runner) if runner.is_damaged() && matches!(word, UserCommand::Delete { .. }) => {
                self.forget(id, node, now, effects);
            }
            Some(runner) => {
                runner.words.push_back((id, word));
                self.dirty.insert(node);
            }
        }
    }

    /// What a spec names must exist in this region.
    fn check_spec(&self, spec: &Spec) -> Result<(), Vec<holdfast_model::FieldError>> {
        let errors = crate::offered::check(spec, &self.catalogue);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn wake_due(&mut self, now: Time) {
        while let Some((at, node)) = self.wakes.first().cloned() {
            if at > now {
                return;
            }
            self.wakes.pop_first();
            if let Some(runner) = self.runners.get_mut(&node) {
                runner.settled = false;
            }
            self.dirty.insert(node);
        }
    }

    fn run_dirty(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for node in std::mem::take(&mut self.dirty) {
            self.run(&node, now, effects);
        }
    }

    /// Plans one node, unless its last plan is still being committed.
    fn run(&mut self, node: &NodeId, now: Time, effects: &mut Vec<Effect>) {
        let Some(mut runner) = self.runners.remove(node) else { return };
        let held = self.held();
        let watched = runner.watch.clone();
        let span = crate::trace::plan(node, runner.record.as_deref());
        let next = span.in_scope(|| runner.plan(&self.scene(now), held, &self.catalogue, effects));
        if let Some(at) = runner.wake {
            self.wakes.insert((at.max(Time(now.0 + 1)), node.clone()));
        }
        if let Some(draft) = next {
            self.brake.follow(&draft.before, draft.record.as_deref());
            for followed in &draft.overtaken {
                *self.overtakes.entry(*followed).or_default() += 1;
            }
            let id = self.id();
            self.commits.insert(id, node.clone());
            let expected = runner.stored_revision();
            effects.push(Effect::Commit {
                id,
                node: node.clone(),
                expected,
                record: draft.record.clone(),
                events: draft.events.clone(),
            });
            runner.committing = Some(draft);
        } else if runner.stopped.is_some() {
            self.queue.withdraw(node);
        } else if runner.committing.is_none()
            && let Some(record) = &runner.record
            && held.is_none()
        {
            if record.blocked.quarantine().is_some() {
                self.queue.withdraw(node);
            } else {
                self.queue.offer(node, record);
            }
        }
        self.reads.watch(node, &watched, &runner.watch);
        self.reads.await_sweep(node, runner.awaits_sweep());
        if runner.waits_for.is_some() || !runner.watch.is_empty() || runner.is_over() {
            self.waiting.insert(node.clone());
        } else {
            self.waiting.remove(node);
        }
        effects.push(Effect::Show(node.clone()));
        if runner.is_unborn() {
            // What was to take its place was refused: a damaged record is what there still is.
            let damaged = runner.replaces.take();
            self.runners.insert(node.clone(), runner);
            self.forget_runner(node);
            let Some(damaged) = damaged else { return };
            runner = Runner::stopped(damaged);
        }
        self.runners.insert(node.clone(), runner);
    }

    fn committed(&mut self, id: u64, outcome: Outcome, now: Time, effects: &mut Vec<Effect>) {
        let Some(node) = self.commits.remove(&id) else { return };
        let Some(runner) = self.runners.get_mut(&node) else { return };
        let Some(draft) = runner.committing.take() else { return };
        match outcome {
            Outcome::Done => {
                let after = draft.record.as_ref().map_or(0, |r| r.upkeep.volumes());
                let before = draft.before.upkeep.volumes();
                self.snapshot_volumes = (self.snapshot_volumes + after).saturating_sub(before);
                for word in draft.words {
                    let answer = Ok(draft.record.clone().unwrap_or_else(|| draft.before.clone()));
                    effects.push(Effect::Answer { id: word, answer });
                }
                self.survival.follow(runner.record.as_deref(), draft.record.as_deref());
                let replaces = |r: &Record| r.work.is_some();
                if replaces(&draft.before) && !draft.record.as_deref().is_some_and(replaces) {
                    // What an ended replacement still wanted to say is no longer true.
                    match draft.record.as_deref() {
                        Some(record) => self.queue.keep_only(&node, record),
                        None => self.queue.withdraw(&node),
                    }
                }
                runner.record.clone_from(&draft.record);
                runner.replaces = None;
                if draft.record.is_none() {
                    self.forget_runner(&node);
                    effects.push(Effect::Show(node));
                    return;
                }
                runner.settled =
                    !runner.again && runner.words.is_empty() && runner.replies.is_empty();
                self.dirty.insert(node);
            }
            Outcome::Conflict => {
                let why = "its record was written by another process; nothing more is done with \
                           it until this server is started again";
                runner.stop(why, draft.words, effects);
                self.queue.withdraw(&node);
            }
            Outcome::Failed(why) => {
                // Nothing has left, so nothing is lost: the plan is made again later.
                let unborn = runner.record.as_ref().is_some_and(|r| r.revision.is_none());
                for word in draft.words {
                    let answer = Err(Refusal::Unavailable(why.clone()));
                    effects.push(Effect::Answer { id: word, answer });
                }
                if unborn {
                    let damaged = runner.replaces.take();
                    self.forget_runner(&node);
                    if let Some(damaged) = damaged {
                        self.runners.insert(node.clone(), Runner::stopped(damaged));
                    }
                    effects.push(Effect::Show(node));
                    return;
                }
                runner.replies.extend(draft.replies);
                runner.waits_for = Some(format!("the store: {why}"));
                self.wakes.insert((now.plus(self.config.commit_retry), node));
            }
        }
    }

    /// The record of a node that can be worked on, as committed.
    #[must_use]
    pub fn record(&self, node: &NodeId) -> Option<Arc<Record>> {
        self.runners.get(node).and_then(|r| r.record.clone()).filter(|r| r.revision.is_some())
    }

    /// Every node.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.runners.keys()
    }

    /// Why a node is stopped, if its record cannot be used.
    #[must_use]
    pub fn stopped(&self, node: &NodeId) -> Option<&str> {
        self.runners.get(node).and_then(|r| r.stopped.as_deref())
    }

    /// What is known of the cloud.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What all nodes together have seen of spot markets.
    #[must_use]
    pub fn survival(&self) -> &Survival {
        &self.survival
    }

    /// What the region offers.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue)
    }

    /// A node as people see it.
    #[must_use]
    pub fn view(&self, node: &NodeId) -> Option<NodeView> {
        let record = self.record(node)?;
        let instance = record.instance.as_ref().and_then(|holder| {
            match self.world.last_seen(holder.id.as_str()) {
                Some(Fact::Instance(i)) => Some(i.clone()),
                _ => None,
            }
        });
        let mut volumes = Vec::new();
        let root = instance.iter().flat_map(|i| &i.attachments).map(|a| a.volume.0.clone());
        let data = record.identity.data.iter().filter_map(|d| match &d.head {
            DataHead::Volume { id, .. } => Some(id.0.clone()),
            DataHead::Fresh => None,
        });
        let ids: BTreeSet<String> = root.chain(data).collect();
        for id in ids {
            if let Some(Fact::Volume(v)) = self.world.last_seen(&id) {
                volumes.push(v.clone());
            }
        }
        let kept = record.identity.interfaces().map(|i| i.id.0.clone());
        let own = instance.iter().flat_map(|i| &i.interface).map(|i| i.0.clone());
        let ids: BTreeSet<String> = kept.chain(own).collect();
        let seen = ids.iter().filter_map(|id| match self.world.last_seen(id) {
            Some(Fact::Interface(interface)) => Some(interface.clone()),
            _ => None,
        });
        let mut interfaces: Vec<_> = seen.collect();
        interfaces.sort_by_key(|i| i.device_index);
        let image = instance.as_ref().and_then(|i| match self.world.last_seen(i.image.as_str()) {
            Some(Fact::Image(image)) => Some(image.clone()),
            _ => None,
        });
        let waits_for = self.runners.get(node).and_then(|r| r.waits_for.clone());
        Some(NodeView { record, instance, volumes, interfaces, image, waits_for })
    }
}
