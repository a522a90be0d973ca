//! One run: nodes are made, everything goes wrong for a while, then nothing does any more, and
//! every node must reach what its spec asks for.

use crate::scenario::{Action, Deed, Mix, Scenario};
use crate::shape::Shape;
use crate::simulation::Simulation;
use crate::tally::Tally;
use crate::watch::known;
use holdfast_cloud_sim::config::ZONES;
use holdfast_cloud_sim::rng::SplitMix64;
use holdfast_cloud_sim::{Class, SimCloud, SimConfig, Violation};
use holdfast_controller::{FleetConfig, Input};
use holdfast_model::facts::{Fact, Health, ImageState, InterfaceState, VolumeState};
use holdfast_model::record::Goal;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Choice, Deallocation, UserCommand};
use holdfast_model::{Installation, Invariant, Lifecycle, NodeId, Record, Row, Time};
use serde_json::json;
use std::sync::Arc;

/// When a run begins: a clock that goes wrong backwards needs room.
const BEGIN: Time = Time(48 * HOUR);
/// How long making the nodes may take; no fault is on.
const MAKING: u64 = 30 * MINUTE;
/// How often the user looks, in milliseconds.
const USER_LOOKS: u64 = 2 * MINUTE;
/// How long a person looks at a frozen fleet before lifting that, once nothing goes wrong any more.
const LOOKS_BEFORE_THAW: u64 = 10 * MINUTE;
/// How long every node must stay well: what was announced or has begun to fail comes in that time.
const STAYS_WELL: u64 = 4 * MINUTE;
/// How long an action waits for the row that it is to meet.
const WAITS_FOR_ROW: u64 = 90 * SECOND;
/// Every so manieth seed's records are all read back when they are committed: it takes longer
/// than everything else together.
const READ_BACK: u64 = 16;

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// Its seed.
    pub seed: u64,
    /// The history's fingerprint.
    pub digest: u64,
    /// Faults and replacements.
    pub tally: Tally,
    /// What was broken, in order.
    pub violations: Vec<Violation>,
    /// How much virtual time it took, in milliseconds.
    pub virtual_ms: u64,
    /// How long after the last fault every node was where its spec wants it, in milliseconds.
    pub calm_ms: u64,
    /// What happened, for people, if it was asked for.
    pub trace: Vec<(Time, String)>,
    /// Whether it did not even come to its end.
    pub panicked: bool,
}

impl RunReport {
    /// The report of a run that panicked.
    #[must_use]
    pub fn panicked(seed: u64) -> RunReport {
        let violation = Violation {
            name: Invariant::Converges,
            at: BEGIN,
            node: NodeId::from("all"),
            sentence: "the run panicked; what it said stands above".to_owned(),
        };
        RunReport {
            seed,
            digest: 0,
            tally: Tally::default(),
            violations: vec![violation],
            virtual_ms: 0,
            calm_ms: 0,
            trace: Vec::new(),
            panicked: true,
        }
    }
}

/// How long after the last fault a node may need, in milliseconds: the longest of its faults.
#[must_use]
pub fn calm_within(class: Class) -> u64 {
    match class {
        // What is stuck stays so for up to forty minutes.
        Class::SlowLaunch
        | Class::SlowAttach
        | Class::SlowDetach
        | Class::SlowTerminate
        | Class::SlowSnapshot => 2 * HOUR,
        // A deletion that is refused again and again is left alone for an hour.
        Class::Refused | Class::Permanent | Class::Conflict => 3 * HOUR,
        // The pause after launches that were lost again and again has doubled a few times, and a
        // person is asked.
        Class::Death => 90 * MINUTE,
        // A dry market is not asked again for a while, and a person may have been asked.
        _ => HOUR,
    }
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, mix: &Mix) -> RunReport {
    play(seed, mix, false, |_, _| {})
}

/// The same, and tells what happened.
#[must_use]
pub fn told(seed: u64, mix: &Mix) -> RunReport {
    play(seed, mix, true, |_, _| {})
}

/// The same on a cloud, and with a fleet, of which something is changed first: a cloud that breaks a
/// promise, say.
#[must_use]
pub fn told_in(
    seed: u64,
    mix: &Mix,
    change: impl FnOnce(&mut SimConfig, &mut FleetConfig),
) -> RunReport {
    play(seed, mix, true, change)
}

fn play(
    seed: u64,
    mix: &Mix,
    told: bool,
    change: impl FnOnce(&mut SimConfig, &mut FleetConfig),
) -> RunReport {
    let scenario = Scenario::draw(seed, mix);
    let mut world = SimConfig::default();
    let mut config = FleetConfig::ec2(Installation::from("0123abcd"));
    config.tuning.revert_interval = scenario.revert_interval;
    change(&mut world, &mut config);
    let mut sim = Simulation::starting_at(BEGIN, SimCloud::new(seed, world), config);
    sim.reads_back = seed.is_multiple_of(READ_BACK);
    sim.trace = told.then(Vec::new);
    let mut run =
        Run { sim, rng: SplitMix64::new(seed ^ 0x00c0_ffee_0000_0000), slots: Vec::new(), made: 0 };
    for shape in &scenario.shapes {
        let slot = run.create(*shape);
        run.slots.push(slot);
    }
    run.make();
    run.storm(&scenario);
    let calm_ms = run.calm(&scenario);
    run.judge();
    let Run { mut sim, .. } = run;
    RunReport {
        seed,
        digest: sim.digest.value(),
        tally: std::mem::take(&mut sim.tally),
        violations: sim.cloud.violations().to_vec(),
        virtual_ms: sim.now.since(BEGIN),
        calm_ms,
        trace: sim.trace.take().unwrap_or_default(),
        panicked: false,
    }
}

/// Whether a row of the node's replacement has begun and is not done.
fn is_in(record: &Record, row: Row) -> bool {
    let state = record.replacement.as_ref().and_then(|r| r.rows.get(&row));
    state.is_some_and(|s| s.started_at.is_some() && s.done_at.is_none())
}

/// A node and what its user wants of it.
struct Slot {
    node: NodeId,
    shape: Shape,
    goal: Goal,
    /// Whether somebody has deleted what it needs.
    harmed: bool,
}

struct Run {
    sim: Simulation,
    rng: SplitMix64,
    slots: Vec<Slot>,
    made: u64,
}

impl Run {
    fn create(&mut self, shape: Shape) -> Slot {
        self.made += 1;
        let node = NodeId(format!("smi-{:08x}", self.made));
        shape.expect(&mut self.sim.cloud, &node);
        self.sim.note(|| format!("USER makes {node}: {shape:?}"));
        self.sim.say(UserCommand::Create { id: node.clone(), document: shape.spec() });
        Slot { node, shape, goal: Goal::Running, harmed: false }
    }

    fn record(&self, slot: usize) -> Option<Arc<Record>> {
        self.sim.durable(&self.slots[slot].node).cloned()
    }

    fn broken(&mut self, which: Invariant, node: &NodeId, what: String) {
        self.sim.note(|| format!("VIOLATION {which}: {node}: {what}"));
        let now = self.sim.now;
        self.sim.cloud.truth_mut().broken(which, now, node, what);
    }

    /// Makes the nodes, without faults.
    fn make(&mut self) {
        let nodes: Vec<NodeId> = self.slots.iter().map(|s| s.node.clone()).collect();
        let all = |s: &Simulation| {
            nodes.iter().all(|n| s.durable(n).is_some_and(|r| r.status() == "ACTIVE"))
        };
        if let Err(stuck) = self.sim.run_until(MAKING, all) {
            let answers: Vec<String> = self
                .sim
                .answers
                .values()
                .filter_map(|a| a.as_ref().err())
                .map(ToString::to_string)
                .collect();
            let what =
                format!("nodes are not made: {} {}", stuck.waits.join("; "), answers.join("; "));
            self.broken(Invariant::Converges, &nodes[0], what);
        }
        // So that there is something to lose.
        self.sim.run_for(20 * SECOND);
    }

    /// Everything goes wrong.
    fn storm(&mut self, scenario: &Scenario) {
        for (class, chance) in &scenario.chances {
            self.sim.cloud.faults().set(*class, *chance);
        }
        let deaths = scenario.chances.iter().any(|(class, _)| *class == Class::Death);
        for action in &scenario.actions {
            if let Some(row) = action.at {
                let node = self.slots[action.node].node.clone();
                let begun = |s: &Simulation| s.durable(&node).is_some_and(|r| is_in(r, row));
                // It happens all the same if the row does not come.
                let _ = self.sim.run_until(WAITS_FOR_ROW, begun);
            }
            self.act(action, deaths);
            let mut left = action.then;
            while left > 0 {
                let now = left.min(USER_LOOKS);
                self.sim.run_for(now);
                left -= now;
                self.decide();
            }
        }
    }

    /// `deaths`: whether an instance that fails while something is done with its node is a fault.
    fn act(&mut self, action: &Action, deaths: bool) {
        let Action { number, node: index, deed, .. } = *action;
        let node = self.slots[index].node.clone();
        self.sim.note(|| format!("ACTION {number}: {deed:?} to {node}"));
        let now = self.sim.now;
        let living = self.sim.cloud.living(&node).pop();
        match deed {
            Deed::Kill => {
                let Some(id) = living else { return };
                if deaths {
                    // While its node is at rest it is only a reason to replace it.
                    let node = Some(node);
                    self.sim.cloud.faults().hit(now, Class::Death, id.as_str(), node);
                }
                self.sim.cloud.kill(now, &id);
            }
            Deed::TakeBack | Deed::Notice(_) => {
                let Some(id) = living else { return };
                let notice = if let Deed::Notice(millis) = deed { Some(millis) } else { None };
                // The cloud takes back only what runs on spot.
                match self.sim.cloud.truly(id.as_str()) {
                    Some(Fact::Instance(i)) if i.lifecycle == Lifecycle::Spot => {
                        self.sim.cloud.interrupt(now, &id, notice);
                    }
                    _ => self.sim.cloud.kill(now, &id),
                }
            }
            Deed::Impair => {
                let fails = Health::Impaired;
                living.into_iter().for_each(|id| self.sim.cloud.set_health(now, &id, fails));
            }
            Deed::Recycle => drop(self.sim.say(UserCommand::Recycle(node))),
            Deed::Pause => self.want(index, Goal::Paused),
            Deed::Resume => self.want(index, Goal::Running),
            Deed::Retype => {
                let types = if number % 2 == 0 {
                    json!(["r5.large", "m5.large"])
                } else {
                    json!(["c5.large", "m5.xlarge"])
                };
                let patch = json!({"compute": {"launchSpecification": {"instanceTypes":
                    {"types": types}}}});
                self.sim.say(UserCommand::Update { id: node, patch });
            }
            Deed::GiveUp => {
                self.want(index, Goal::Deleted);
                let shape = self.slots[index].shape;
                let slot = self.create(shape);
                let old = std::mem::replace(&mut self.slots[index], slot);
                self.slots.push(old);
            }
            Deed::DeleteBehind(number) => self.delete_behind(index, number),
            Deed::DrySpot(millis) => self.dry(|l, _| l == Lifecycle::Spot, now.plus(millis)),
            Deed::DryZone(zone, millis) => {
                self.dry(|_, z| ZONES.get(zone) == Some(&z), now.plus(millis));
            }
            Deed::DryAll(millis) => {
                self.dry(|_, _| true, now.plus(millis));
                self.sim.say(UserCommand::Recycle(node));
            }
            Deed::KillController => {
                if self.sim.is_up() {
                    self.sim.kill_controller();
                }
            }
        }
    }

    fn want(&mut self, index: usize, goal: Goal) {
        self.slots[index].goal = goal;
        let node = self.slots[index].node.clone();
        let word = match goal {
            Goal::Running => UserCommand::Resume(node),
            Goal::Paused => UserCommand::Pause(node),
            Goal::Deleted => {
                self.sim.cloud.truth_mut().release(&node);
                let deallocation = Deallocation::EVERYTHING;
                UserCommand::Delete { id: node, deallocation }
            }
        };
        self.sim.say(word);
    }

    /// Somebody deletes one of a node's resources, as far as EC2 lets them.
    fn delete_behind(&mut self, index: usize, number: u64) {
        let node = self.slots[index].node.clone();
        let can_go = |fact: &Fact| match fact {
            Fact::Instance(i) => i.state <= holdfast_model::facts::InstanceState::Running,
            Fact::Volume(v) => v.state == VolumeState::Available,
            Fact::Interface(e) => e.state == InterfaceState::Available,
            Fact::Image(i) => i.state == ImageState::Available,
            Fact::Snapshot(_) => true,
        };
        let all = self.sim.cloud.resources(&node);
        let in_use = |fact: &Fact| {
            all.iter().any(|f| match f {
                Fact::Image(i) => i.snapshot.as_ref().is_some_and(|s| s.as_str() == fact.id()),
                _ => false,
            })
        };
        let mut there: Vec<&Fact> = all.iter().filter(|f| can_go(f) && !in_use(f)).collect();
        // A kept interface is free for short times only, and one of many things then: every other
        // time it is the one.
        let free = |f: &&Fact| matches!(f, Fact::Interface(_));
        if number.is_multiple_of(2) && there.iter().any(free) {
            there.retain(free);
        }
        let Some(count) = (there.len() as u64).checked_sub(1) else { return };
        let fact = there[SplitMix64::new(number).between(0, count) as usize];
        let id = fact.id().to_owned();
        let now = self.sim.now;
        self.sim.cloud.faults().hit(now, Class::Deleted, &id, Some(node));
        // What is being made may be needed in a moment: only an instance is nobody's content.
        self.slots[index].harmed |= !matches!(fact, Fact::Instance(_));
        self.sim.cloud.delete_behind(now, &id);
    }

    fn dry(&mut self, which: impl Fn(Lifecycle, &str) -> bool, until: Time) {
        for price in self.sim.cloud.catalogue().prices {
            if which(price.market.lifecycle, price.market.zone.as_str()) {
                self.sim.cloud.drought(&price.market, until);
            }
        }
    }

    /// The user answers the questions that nodes ask.
    fn decide(&mut self) {
        for index in 0..self.slots.len() {
            let asks = self
                .record(index)
                .and_then(|r| r.stuck.clone())
                .is_some_and(|stuck| !stuck.choices.is_empty());
            if asks {
                let retry = self.rng.between(0, 2) > 0;
                let choice = if retry { Choice::Retry } else { Choice::Wait };
                let id = self.slots[index].node.clone();
                self.sim.note(|| format!("USER decides for {id}: {choice:?}"));
                self.sim.say(UserCommand::Decide { id, choice });
            }
        }
    }

    /// Nothing goes wrong any more. Returns how long it took until all was well.
    fn calm(&mut self, scenario: &Scenario) -> u64 {
        self.sim.note(|| "CALM: from here on nothing goes wrong any more".to_owned());
        self.sim.cloud.faults().stop();
        self.dry(|_, _| true, Time(0));
        if scenario.ends_without_spot {
            self.sim.note(|| "and spot capacity never comes back".to_owned());
            self.dry(|l, _| l == Lifecycle::Spot, Time(u64::MAX));
        }
        let began = self.sim.now;
        let within = scenario.chances.iter().map(|(class, _)| calm_within(*class)).max();
        let end = began.plus(within.unwrap_or(HOUR).max(HOUR));
        loop {
            let left: Vec<usize> = (0..self.slots.len()).filter(|i| !self.is_there(*i)).collect();
            if left.is_empty() {
                let calm = self.sim.now.since(began);
                self.sim.run_for(STAYS_WELL);
                if (0..self.slots.len()).all(|index| self.is_there(index)) {
                    return calm;
                }
                continue;
            }
            if self.sim.now >= end || self.sim.is_spent() {
                for index in left {
                    let node = self.slots[index].node.clone();
                    let what = self.state_of(index);
                    self.broken(Invariant::Converges, &node, what);
                }
                return self.sim.now.since(began);
            }
            for index in left {
                self.say_again(index);
            }
            self.sim.run_for(USER_LOOKS / 4);
            self.decide();
            // What was there shows again by now: what does not is gone, and a person who looks sees
            // that.
            let looked = self.sim.now.since(began) > LOOKS_BEFORE_THAW && self.sim.is_up();
            if looked && self.sim.fleet().frozen().is_some() {
                self.sim.note(|| "USER thaws the fleet".to_owned());
                self.sim.order(Input::Thaw);
            }
        }
    }

    fn state_of(&self, index: usize) -> String {
        let slot = &self.slots[index];
        let Some(record) = self.record(index) else {
            return format!("wanted {:?}, there is no record", slot.goal);
        };
        let waits = self.sim.fleet().view(&slot.node).and_then(|v| v.waits_for);
        format!(
            "wanted {:?}, is {} (goal {:?}), waits for {waits:?}, stuck {:?}, frozen {:?}, stopped {:?}",
            slot.goal,
            record.status(),
            record.goal,
            record.stuck,
            self.sim.fleet().frozen(),
            self.sim.fleet().stopped(&slot.node),
        )
    }

    /// Whether a node is where its user wants it.
    fn is_there(&mut self, index: usize) -> bool {
        let slot = &self.slots[index];
        let Some(record) = self.record(index) else { return slot.goal == Goal::Deleted };
        let rests = record.replacement.is_none();
        match slot.goal {
            Goal::Running => {
                let serving = self.sim.cloud.truth().serving(&slot.node);
                let holder = record.holder.as_ref().map(|h| &h.id);
                rests
                    && record.status() == "ACTIVE"
                    && record.superseded.is_empty()
                    && serving.iter().collect::<Vec<_>>() == holder.into_iter().collect::<Vec<_>>()
            }
            Goal::Paused => {
                rests && record.status() == "PAUSED" && self.sim.cloud.living(&slot.node).is_empty()
            }
            Goal::Deleted => false,
        }
    }

    /// A user whose word was not heard says it again; one whose node lost what it needs gives it
    /// up, once it has said so.
    fn say_again(&mut self, index: usize) {
        let (goal, harmed) = (self.slots[index].goal, self.slots[index].harmed);
        match self.record(index) {
            None => {
                let Slot { node, shape, .. } = &self.slots[index];
                let (id, document) = (node.clone(), shape.spec());
                self.sim.say(UserCommand::Create { id, document });
            }
            Some(record) if record.goal != goal => self.want(index, goal),
            Some(record) if harmed && record.status() == "ERROR" => {
                self.want(index, Goal::Deleted);
            }
            Some(_) => {}
        }
    }

    /// Nothing is left over, and nothing was lost.
    fn judge(&mut self) {
        for index in 0..self.slots.len() {
            let node = self.slots[index].node.clone();
            self.sim.cloud.settle(self.sim.now, &node);
            let record = self.record(index);
            let mut allowed =
                record.as_ref().map(|r| known(r, &self.sim.cloud)).unwrap_or_default();
            // A paused node has no retire row: what is superseded goes at the next resume.
            for record in record.iter().filter(|r| r.holder.is_none()) {
                allowed.extend(record.superseded.iter().map(|s| s.id.clone()));
            }
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            let left = self.sim.cloud.check_leaks(self.sim.now, &node, &allowed);
            self.sim.note(|| format!("{node} is judged: left over {left:?}"));
        }
    }
}
