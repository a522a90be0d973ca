//! A node in a simulated cloud, and how each kind of replacement is brought about.

use holdfast_cloud_sim::{SimCloud, SimConfig};
use holdfast_controller::FleetConfig;
use holdfast_model::facts::Health;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Deallocation, Target, UserCommand};
use holdfast_model::{Installation, Kind, Lifecycle, NodeId, Time};
use holdfast_sim::Simulation;
use holdfast_sim::shape::with_other_image;
pub use holdfast_sim::shape::{LIGHT, OTHER_IMAGE, ROAMING, SNAPSHOTS, Shape, WHOLE};
use holdfast_sim::watch::known;

/// How long any replacement may take in virtual time, faults and deaths included.
pub const LIMIT: u64 = 3 * HOUR;

pub struct Scene {
    pub sim: Simulation,
    pub node: NodeId,
    pub seed: u64,
}

impl Scene {
    /// A cloud and a controller; no node yet.
    pub fn empty(seed: u64, shape: Shape) -> Scene {
        Scene::empty_with(seed, shape, |_| {})
    }

    /// A cloud, and a controller that is told something else than usual.
    pub fn empty_with(seed: u64, shape: Shape, tell: impl FnOnce(&mut FleetConfig)) -> Scene {
        let mut sim = SimConfig::default();
        with_other_image(&mut sim);
        let cloud = SimCloud::new(seed, sim);
        let node = NodeId::from("smi-00000001");
        let mut config = FleetConfig::ec2(Installation::from("0123abcd"));
        tell(&mut config);
        let mut scene = Scene { sim: Simulation::new(cloud, config), node, seed };
        scene.expect(shape);
        scene
    }

    /// What must never be lost or change of this node.
    pub fn expect(&mut self, shape: Shape) {
        shape.expect(&mut self.sim.cloud, &self.node);
    }

    /// A node that serves and has acknowledged writes.
    pub fn serving(seed: u64, shape: Shape) -> Scene {
        let mut scene = Scene::empty(seed, shape);
        scene.create(shape);
        scene.wait("ACTIVE", |s, node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"));
        scene.sim.run_for(2 * MINUTE);
        assert!(scene.acknowledged() > 0, "the workload writes");
        scene
    }

    pub fn create(&mut self, shape: Shape) {
        let document = shape.spec();
        self.sim.say(UserCommand::Create { id: self.node.clone(), document });
    }

    pub fn acknowledged(&mut self) -> u64 {
        self.sim.cloud.settle(self.sim.now, &self.node);
        self.sim.cloud.truth().acknowledged(&self.node, "/dev/xvdb")
    }

    /// No capacity (or capacity again) in all markets of a lifecycle, or of a zone.
    pub fn drought(&mut self, lifecycle: Option<Lifecycle>, zone: Option<&str>, dry: bool) {
        for price in self.sim.cloud.catalogue().prices {
            let market = price.market;
            if lifecycle.is_none_or(|l| l == market.lifecycle)
                && zone.is_none_or(|z| z == market.zone.as_str())
            {
                let until = if dry { Time(u64::MAX) } else { Time(0) };
                self.sim.cloud.drought(&market, until);
            }
        }
    }

    pub fn generation(&self) -> u64 {
        self.sim.record(&self.node).map_or(0, |r| r.generations.number())
    }

    pub fn status(&self) -> &'static str {
        self.sim.record(&self.node).map_or("GONE", |r| r.status())
    }

    /// Runs until the test holds, or fails with the story.
    pub fn wait(&mut self, wish: &str, test: impl Fn(&Simulation, &NodeId) -> bool) {
        let node = self.node.clone();
        if let Err(stuck) = self.sim.run_until(LIMIT, |s| test(s, &node)) {
            let record = self.sim.record(&self.node);
            panic!(
                "seed {}: not {wish}: {stuck:?}\n{}\n{:#?}",
                self.seed,
                self.sim.told(),
                record.and_then(|r| r.work.clone())
            );
        }
    }

    /// Brings about what this kind of replacement needs first.
    pub fn prepare(kind: Kind, seed: u64, shape: Shape) -> Scene {
        match kind {
            Kind::Create => Scene::empty(seed, shape),
            Kind::Resume => {
                let mut scene = Scene::serving(seed, shape);
                scene.sim.say(UserCommand::Pause(scene.node.clone()));
                scene.wait("PAUSED", |s, n| s.record(n).is_some_and(|r| r.status() == "PAUSED"));
                scene
            }
            Kind::Revert => {
                let mut scene = Scene::empty(seed, shape);
                scene.drought(Some(Lifecycle::Spot), None, true);
                scene.create(shape);
                scene.wait("ACTIVE on demand", |s, n| {
                    s.record(n).is_some_and(|r| r.status() == "ACTIVE")
                });
                scene.sim.run_for(2 * MINUTE);
                scene
            }
            Kind::Rollback => {
                let mut scene = Scene::serving(seed, shape);
                let before = scene.generation();
                scene.trigger(Kind::Recycle, shape);
                scene.wait_for_end(Kind::Recycle, before);
                scene.sim.run_for(2 * MINUTE);
                scene
            }
            _ => Scene::serving(seed, shape),
        }
    }

    /// Brings about the replacement itself.
    pub fn trigger(&mut self, kind: Kind, shape: Shape) {
        let node = self.node.clone();
        let holder = self.sim.record(&node).and_then(|r| r.instance.clone()).map(|h| h.id);
        let now = self.sim.now;
        match (kind, holder) {
            (Kind::Create, _) => self.create(shape),
            (Kind::Notice, Some(id)) => self.sim.cloud.interrupt(now, &id, Some(120 * SECOND)),
            (Kind::Lost, Some(id)) => self.sim.cloud.kill(now, &id),
            (Kind::Unhealthy, Some(id)) => self.sim.cloud.set_health(now, &id, Health::Impaired),
            (Kind::Recycle, _) => drop(self.sim.say(UserCommand::Recycle(node))),
            // Looked for by itself, once spot has capacity again.
            (Kind::Revert, _) => self.drought(Some(Lifecycle::Spot), None, false),
            (Kind::Rollback, _) => {
                let record = self.sim.record(&node).expect("a node");
                let to = record
                    .kept
                    .final_snapshots
                    .first()
                    .expect("a generation that is kept")
                    .generation;
                self.sim.cloud.truth_mut().returns(&node);
                let to = Target::Generation(to);
                self.sim.say(UserCommand::Rollback { id: node, to, data: None });
            }
            (Kind::Pause, _) => drop(self.sim.say(UserCommand::Pause(node))),
            (Kind::Resume, _) => drop(self.sim.say(UserCommand::Resume(node))),
            (Kind::Delete, _) => {
                let deallocation = Deallocation::EVERYTHING;
                self.sim.cloud.truth_mut().release(&node);
                self.sim.say(UserCommand::Delete { id: node, deallocation });
            }
            (kind, _) => panic!("{kind:?} needs an instance, or is not brought about by a word"),
        }
    }

    /// Waits for the end of the replacement that was triggered when the node had this generation.
    pub fn wait_for_end(&mut self, kind: Kind, before: u64) {
        match kind {
            Kind::Pause => self.wait("PAUSED", |s, n| {
                s.record(n).is_some_and(|r| r.status() == "PAUSED" && r.work.is_none())
            }),
            Kind::Delete => self.wait("gone", |s, n| s.record(n).is_none()),
            Kind::Tidy => self.wait("tidied up", |s, n| {
                s.record(n).is_some_and(|r| r.kept.pending_deletion.is_empty() && r.work.is_none())
            }),
            _ => self.wait("ACTIVE again", |s, n| {
                s.record(n)
                    .is_some_and(|r| r.generations.number() > before && r.status() == "ACTIVE")
            }),
        }
    }

    /// Every resource that the record knows.
    pub fn known(&self) -> Vec<String> {
        let Some(record) = self.sim.record(&self.node) else { return Vec::new() };
        let mut known: Vec<String> = known(&record, &self.sim.cloud).into_iter().collect();
        // A paused node has no retire row: what is superseded goes at the next resume, but for
        // an instance.
        if record.instance.is_none() {
            known.extend(record.kept.pending_deletion.iter().map(|s| s.id.clone()));
        }
        known
    }

    /// Nothing that may never happen has happened, and nothing is left over.
    pub fn judge(&mut self, kind: Kind) {
        self.sim.run_for(3 * MINUTE);
        self.sim.cloud.settle(self.sim.now, &self.node);
        let known = if kind == Kind::Delete { Vec::new() } else { self.known() };
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        self.sim.cloud.check_leaks(self.sim.now, &self.node, &known);
        let violations = self.sim.cloud.violations();
        assert!(violations.is_empty(), "seed {}: {violations:#?}\n{}", self.seed, self.sim.told());
        let broken = self.sim.story.iter().find(|e| e.code == "invariant-broken");
        assert!(broken.is_none(), "seed {}: {broken:?}\n{}", self.seed, self.sim.told());
    }
}
