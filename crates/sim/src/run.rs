//! One run: nodes are made, everything goes wrong for a while, then nothing does any more, and
//! every node must reach what its spec asks for.

mod acts;
mod users;

use crate::people::Act;
use crate::scenario::{Mix, Scenario};
use crate::shape::{Shape, with_other_image};
use crate::simulation::Simulation;
use crate::tally::Tally;
use crate::watch::known;
use holdfast_cloud_sim::rng::SplitMix64;
use holdfast_cloud_sim::{Class, SimCloud, SimConfig, Violation};
use holdfast_controller::{FleetConfig, Input};
use holdfast_model::document::without_nulls;
use holdfast_model::record::Goal;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Deallocation, UserCommand};
use holdfast_model::{Installation, Invariant, Lifecycle, NodeId, Record, Row, Time, VolumeId};
use holdfast_store::memory::MemoryStore;
use serde_json::{Value, json};
use std::collections::BTreeSet;
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
/// Every so many actions the store is backed up.
const BACKUP_EVERY: usize = 16;
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
        // It hangs for up to three hours, and then is waited for or taken anew.
        Class::StuckSnapshot => 5 * HOUR,
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
    with_other_image(&mut world);
    world.sweep_page = scenario.page;
    let mut config = FleetConfig::ec2(Installation::from("0123abcd"));
    config.tuning.revert_interval = scenario.revert_interval;
    config.tuning.deallocation_grace = scenario.grace;
    change(&mut world, &mut config);
    let mut sim = Simulation::starting_at(BEGIN, SimCloud::new(seed, world), config);
    sim.reads_back = seed.is_multiple_of(READ_BACK);
    sim.trace = told.then(Vec::new);
    sim.follows_users = true;
    let mut run = Run {
        sim,
        rng: SplitMix64::new(seed ^ 0x00c0_ffee_0000_0000),
        slots: Vec::new(),
        made: 0,
        addresses: 0,
        backups: Vec::new(),
        acts: mix.acts.clone(),
    };
    for shape in &scenario.shapes {
        let slot = run.create(*shape);
        run.slots.push(slot);
    }
    run.make();
    run.storm(&scenario);
    let calm_ms = run.calm(&scenario);
    run.judge();
    let Run { mut sim, .. } = run;
    let overtakes = sim.fleet().overtakes().clone();
    sim.tally.follow(&overtakes);
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
    let state = record.work.as_ref().and_then(|r| r.rows.get(&row));
    state.is_some_and(|s| s.started_at.is_some() && s.done_at.is_none())
}

/// A node and what its user wants of it.
struct Slot {
    node: NodeId,
    shape: Shape,
    goal: Goal,
    /// The spec as its user wants it.
    document: Value,
    /// Which kinds of resources go at once where it is given up.
    flags: Deallocation,
    /// Whether its user accepts what a deletion took, to have the rest back.
    accepts: bool,
    /// Whether it has been given up once and was brought back.
    is_back: bool,
    /// The answer that its user waits for.
    asked: Option<u64>,
    /// Whether somebody has deleted what it needs.
    harmed: bool,
    /// How often its volumes have grown.
    grown: usize,
    /// A volume of its user's that is to be attached to it.
    attaching: Option<VolumeId>,
    /// Volumes that its user has taken away.
    theirs: Vec<VolumeId>,
}

struct Run {
    sim: Simulation,
    rng: SplitMix64,
    slots: Vec<Slot>,
    made: u64,
    /// How many addresses were chosen.
    addresses: u64,
    /// The store as it was from time to time.
    backups: Vec<MemoryStore>,
    /// What people may do of their own accord.
    acts: BTreeSet<Act>,
}

impl Run {
    fn create(&mut self, shape: Shape) -> Slot {
        self.made += 1;
        let node = NodeId(format!("smi-{:08x}", self.made));
        shape.expect(&mut self.sim.cloud, &node);
        self.sim.note(|| format!("USER makes {node}: {shape:?}"));
        let mut document = shape.spec();
        if shape.elastic
            && let Some(address) = self.sim.cloud.allocate_address(self.sim.now)
        {
            document["compute"]["elasticIp"] = json!(address);
        }
        let document = without_nulls(&document);
        self.sim.say(UserCommand::Create { id: node.clone(), document: document.clone() });
        Slot {
            node,
            shape,
            goal: Goal::Running,
            document,
            flags: Deallocation::EVERYTHING,
            accepts: false,
            is_back: false,
            asked: None,
            harmed: false,
            grown: 0,
            attaching: None,
            theirs: Vec::new(),
        }
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
            if action.number.is_multiple_of(BACKUP_EVERY) {
                self.backups.push(self.sim.store.copy());
            }
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
                self.look_after();
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
        let blind = self.sim.cloud.blind_until();
        if blind > self.sim.now {
            self.sim.cloud.blind(self.sim.now, Time(0), true);
        }
        // Some of those who have brought a node back want it to run again.
        for slot in self.slots.iter_mut().filter(|s| s.is_back && s.goal == Goal::Paused) {
            if self.rng.between(0, 2) > 0 {
                slot.goal = Goal::Running;
            }
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
            self.look_after();
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
            record.lifecycle.goal(),
            record.blocked.decision(),
            self.sim.fleet().frozen(),
            self.sim.fleet().stopped(&slot.node),
        )
    }

    /// Whether a node is where its user wants it.
    fn is_there(&mut self, index: usize) -> bool {
        let slot = &self.slots[index];
        let Some(record) = self.record(index) else { return slot.goal == Goal::Deleted };
        let rests = record.work.is_none();
        // What its user has changed is what it is asked to be.
        if slot.goal != Goal::Deleted && *record.document != slot.document {
            return false;
        }
        match slot.goal {
            Goal::Running => {
                let serving = self.sim.cloud.truth().serving(&slot.node);
                let holder = record.instance.as_ref().map(|h| &h.id);
                rests
                    && record.status() == "ACTIVE"
                    && record.kept.pending_deletion.is_empty()
                    && serving.iter().collect::<Vec<_>>() == holder.into_iter().collect::<Vec<_>>()
            }
            Goal::Paused => {
                rests && record.status() == "PAUSED" && self.sim.cloud.living(&slot.node).is_empty()
            }
            // What was not selected waits for the end of its grace, and nothing else.
            Goal::Deleted => {
                let waits = record.kept.pending_deletion.iter().all(|s| !s.is_due());
                record.lifecycle.is_deleted()
                    && rests
                    && waits
                    && !record.kept.pending_deletion.is_empty()
            }
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
            // What no record can account for, because the store was restored, is shown to a person
            // and otherwise left alone (ARCHITECTURE.md, "What a controller cannot account for"),
            // and so is what shows up after a record was forgotten.
            let strays = self.sim.fleet().strays(self.sim.now);
            let strays = strays.iter().filter(|s| s.node == node.as_str());
            allowed.extend(strays.flat_map(|s| &s.resources).map(|f| f.id().to_owned()));
            let kept = record
                .iter()
                .filter(|r| r.lifecycle.is_deleted())
                .flat_map(|r| &r.kept.pending_deletion);
            allowed.extend(kept.map(|s| s.id.clone()));
            // A paused node has no retire row: what is superseded goes at the next resume.
            for record in record.iter().filter(|r| r.instance.is_none()) {
                allowed.extend(record.kept.pending_deletion.iter().map(|s| s.id.clone()));
            }
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            let left = self.sim.cloud.check_leaks(self.sim.now, &node, &allowed);
            self.sim.note(|| format!("{node} is judged: left over {left:?}"));
            for volume in self.slots[index].theirs.clone() {
                if self.sim.cloud.truly(volume.as_str()).is_none() {
                    let what = format!("{volume} is its user's, and was deleted");
                    self.broken(Invariant::OthersLeftAlone, &node, what);
                }
            }
        }
    }
}
