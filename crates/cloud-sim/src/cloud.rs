//! [`SimCloud`]: the simulated EC2 as its driver sees it.

use crate::config::SimConfig;
use crate::faults::{Class, Fault, Faults};
use crate::latency::Latency;
use crate::refusal::{error, throttled, unknown_outcome};
use crate::truth::{Truth, Violation};
use crate::world::World;
use holdfast_cloud::Notice;
use holdfast_model::command::Launch;
use holdfast_model::facts::{Fact, Health, InstanceState, Page, Query, ResourceKind, VolumeState};
use holdfast_model::market::Catalogue;
use holdfast_model::{
    AllocationId, CloudError, Command, ErrorClass, InstanceId, Market, NodeId, Reply, SnapshotId,
    Time, VolumeId, tags,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most calls that are logged; of later ones only the number is kept.
pub const MAX_CALLS_LOGGED: usize = 1_000_000;

/// A call's answer, and when it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// When the answer arrives.
    pub reply_at: Time,
    /// The answer.
    pub result: Result<Reply, CloudError>,
}

/// A simulated EC2 region. Every method takes the time; earlier times than before count as the
/// latest one.
#[derive(Clone)]
pub struct SimCloud {
    pub(crate) world: World,
    calls: Vec<(Time, &'static str, String)>,
    made: BTreeMap<&'static str, u64>,
}

impl SimCloud {
    /// An empty region. The same seed, configuration and calls give the same history.
    #[must_use]
    pub fn new(seed: u64, config: SimConfig) -> SimCloud {
        SimCloud { world: World::new(seed, config), calls: Vec::new(), made: BTreeMap::new() }
    }

    /// Carries out a command at `now`: what it changes is changed at once, or goes on by itself;
    /// its answer arrives later. A fault may keep it from being done, or its answer from arriving.
    pub fn call(&mut self, now: Time, command: Command) -> Scheduled {
        self.advance(now);
        let throttled = self.world.is_throttled(command.action(), 1);
        let reply_at = self.world.after(self.world.config.reply);
        let about = command.touches().first().map(|id| (*id).to_owned());
        self.log(self.world.now, command.action(), about.unwrap_or_default());
        self.carry_out(command, throttled, reply_at)
    }

    /// Carries out commands at `now`. All TerminateInstances among them are one request, as EC2
    /// takes many instances in one: it needs one token for itself and one for each instance, and is
    /// refused whole if it names an instance that is not known yet. Everything else is a request
    /// each. The answers stand in the commands' order.
    pub fn call_together(&mut self, now: Time, commands: Vec<Command>) -> Vec<Scheduled> {
        self.advance(now);
        let ends = |c: &&Command| matches!(c, Command::TerminateInstances { .. });
        let ending = commands.iter().filter(ends).count();
        if ending < 2 {
            return commands.into_iter().map(|command| self.call(now, command)).collect();
        }
        let throttled = self.world.is_throttled("TerminateInstances", ending as u64);
        let reply_at = self.world.after(self.world.config.reply);
        if let Some(first) = commands.iter().find(ends) {
            let about = first.touches().first().map(|id| (*id).to_owned());
            self.log(self.world.now, first.action(), about.unwrap_or_default());
        }
        let unknown = commands.iter().find_map(|command| match command {
            Command::TerminateInstances { instance } => self.world.not_yet(instance),
            _ => None,
        });
        let mut answers = Vec::new();
        for command in commands {
            answers.push(match (&command, &unknown) {
                (Command::TerminateInstances { .. }, Some(error)) => {
                    Scheduled { reply_at, result: Err(error.clone()) }
                }
                (Command::TerminateInstances { .. }, None) => {
                    self.carry_out(command, throttled, reply_at)
                }
                _ => self.call(now, command),
            });
        }
        answers
    }

    fn carry_out(&mut self, command: Command, throttle: bool, mut reply_at: Time) -> Scheduled {
        let world = &mut self.world;
        let action = command.action();
        let timeout_at = world.now.plus(world.config.timeout);
        let mut made = None;
        let judged = world.faults.judge(&command, world.now);
        if let Some((_, Some(Class::Capacity))) = judged {
            world.dry_for_a_while(&command);
        }
        let fault = judged.map(|(fault, _)| fault);
        // EC2 developer guide, "Ensuring idempotency": a request that was carried out is answered
        // with its result, however often it is repeated; it cannot be refused any more.
        let fault =
            fault.filter(|f| !(matches!(f, Fault::Error { .. }) && world.has_made(&command)));
        let result = match fault {
            Some(Fault::Error { class, code }) => {
                Err(error(class, &code, format!("{action} fails, for the test wants it")))
            }
            Some(Fault::Throttled) => Err(throttled(action)),
            Some(Fault::LostRequest) => {
                reply_at = timeout_at;
                Err(unknown_outcome(action))
            }
            None if throttle => Err(throttled(action)),
            None | Some(Fault::LostReply | Fault::ShownLate | Fault::Stuck | Fault::Fails) => {
                let stuck = fault == Some(Fault::Stuck);
                world.faults.during(stuck, fault == Some(Fault::ShownLate));
                let (result, at) = world.carry_out(&command);
                world.faults.during(false, false);
                if let (Ok(reply), Some(Fault::Fails)) = (&result, &fault) {
                    reply.facts.iter().for_each(|made| world.faults.will_fail(made.id()));
                }
                if let (Ok(reply), Some(_)) = (&result, command.makes()) {
                    made = reply.facts.first().map(|f| f.id().to_owned());
                }
                reply_at = at.unwrap_or(reply_at).max(reply_at);
                if fault == Some(Fault::LostReply) {
                    reply_at = timeout_at;
                    Err(unknown_outcome(action))
                } else {
                    result
                }
            }
        };
        // What is logged of a creation is what it made.
        if let (Some(made), Some((_, _, about))) = (made, self.calls.last_mut()) {
            *about = made;
        }
        Scheduled { reply_at, result }
    }

    /// One page of what Describe shows at `now`, and when it arrives.
    pub fn observe(&mut self, now: Time, query: &Query) -> (Time, Result<Page, CloudError>) {
        self.advance(now);
        let world = &mut self.world;
        let now = world.now;
        let action = query.kind.describe_action();
        let at = world.after(world.config.describe);
        let (at, result) = if world.faults.loses_look() || world.faults.draw(Class::LostDescribe) {
            world.faults.hit(now, Class::LostDescribe, action, None);
            let message = format!("no answer to {action}; ask again");
            let lost = error(ErrorClass::Unreachable, "RequestTimeout", message);
            (now.plus(world.config.timeout), Err(lost))
        } else if world.faults.draw(Class::Throttled) {
            world.faults.hit(now, Class::Throttled, action, None);
            (at, Err(throttled(action)))
        } else if world.is_throttled(action, 1) {
            (at, Err(throttled(action)))
        } else if now < world.blind.0 && !world.blind.1 {
            let message = format!("no answer to {action}; ask again");
            let lost = error(ErrorClass::Unreachable, "RequestTimeout", message);
            (now.plus(world.config.timeout), Err(lost))
        } else if world.config.blind || now < world.blind.0 {
            (at, Ok(Page::default()))
        } else {
            (at, Ok(world.describe(query)))
        };
        self.log(now, action, query.ids.first().cloned().unwrap_or_default());
        (at, result)
    }

    /// Until then no Describe shows anything; or none is answered, if `answers` is false.
    pub fn blind(&mut self, now: Time, until: Time, answers: bool) {
        self.advance(now);
        self.world.faults.hit(now, Class::Blind, "every Describe", None);
        self.world.blind = (until, answers);
    }

    /// Until when no Describe shows anything.
    #[must_use]
    pub fn blind_until(&self) -> Time {
        self.world.blind.0
    }

    /// Somebody sets that some volumes of an instance die with it. If the cloud ends the instance
    /// then, or if it was set after Holdfast had set the opposite, they do (ARCHITECTURE.md, "What
    /// cannot be undone"): that is nobody's violation.
    ///
    /// # Errors
    /// What EC2 would say.
    pub fn doom(
        &mut self,
        now: Time,
        instance: &InstanceId,
        devices: &[String],
    ) -> Result<(), CloudError> {
        self.advance(now);
        self.world.set_delete_on_termination(instance, devices, true)?;
        let after = self.world.spared.contains(instance);
        self.world.doomed.insert(instance.clone(), after);
        Ok(())
    }

    /// Whether a volume of a node died because somebody had set it to die with its instance.
    #[must_use]
    pub fn is_bereft(&self, node: &NodeId) -> bool {
        self.world.bereft.contains(node)
    }

    /// For a while no Describe shows a resource, and no other call knows it.
    pub fn hide(&mut self, now: Time, id: &str, until: Time) {
        self.advance(now);
        self.world.veil.hide(id, now, until, false);
    }

    /// Lets everything happen that is due by `now`.
    pub fn advance(&mut self, now: Time) {
        self.world.advance(now);
    }

    /// When the next thing happens by itself.
    #[must_use]
    pub fn next_change(&self) -> Option<Time> {
        self.world.events.next()
    }

    /// The notices that have arrived by `now`.
    pub fn take_notices(&mut self, now: Time) -> Vec<Notice> {
        self.advance(now);
        std::mem::take(&mut self.world.notices)
    }

    /// How long something takes, in milliseconds: the draw that the simulation makes itself when
    /// it comes to that.
    #[must_use]
    pub fn latency(&self, what: Latency, subject: &str) -> u64 {
        what.draw(&self.world.config, self.world.seed, subject)
    }

    /// What the region offers.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        self.world.config.catalogue()
    }

    /// The configuration, which may change at any time.
    pub fn config(&mut self) -> &mut SimConfig {
        &mut self.world.config
    }

    /// The faults, which may change at any time.
    pub fn faults(&mut self) -> &mut Faults {
        &mut self.world.faults
    }

    /// The ground truth, as far as it has been worked out (see [`SimCloud::settle`]).
    #[must_use]
    pub fn truth(&self) -> &Truth {
        &self.world.truth
    }

    /// The ground truth, to say what is expected.
    pub fn truth_mut(&mut self) -> &mut Truth {
        &mut self.world.truth
    }

    /// What was broken so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        self.world.truth.violations()
    }

    /// Works out what a node's workload has written by `now`.
    pub fn settle(&mut self, now: Time, node: &NodeId) {
        self.advance(now);
        self.world.settle_node(node);
    }

    /// Calls and Describes so far, with their time, action, and the resource they made or were
    /// about (empty if there is none); at most [`MAX_CALLS_LOGGED`].
    #[must_use]
    pub fn calls(&self) -> &[(Time, &'static str, String)] {
        &self.calls
    }

    /// How many calls and Describes there were, logged or not.
    #[must_use]
    pub fn calls_made(&self) -> u64 {
        self.made.values().sum()
    }

    /// The same by action.
    #[must_use]
    pub fn calls_by_action(&self) -> &BTreeMap<&'static str, u64> {
        &self.made
    }

    fn log(&mut self, at: Time, action: &'static str, resource: String) {
        *self.made.entry(action).or_default() += 1;
        if self.calls.len() < MAX_CALLS_LOGGED {
            self.calls.push((at, action, resource));
        }
    }

    /// What there truly is, of one id: no veil, no delay.
    #[must_use]
    pub fn truly(&self, id: &str) -> Option<Fact> {
        self.world.truly(id)
    }

    /// What a node truly has, without terminated instances and volumes that are being deleted, in the order of kinds and ids.
    #[must_use]
    pub fn resources(&self, node: &NodeId) -> Vec<Fact> {
        self.tagged(tags::NODE, node)
    }

    /// What was let go with a node's instance, in the order of kinds and ids.
    #[must_use]
    pub fn released(&self, node: &NodeId) -> Vec<Fact> {
        self.tagged(tags::RELEASED, node)
    }

    fn tagged(&self, key: &str, node: &NodeId) -> Vec<Fact> {
        let ours = |f: &Fact| f.tags().get(key).map(String::as_str) == Some(node.as_str());
        let world = &self.world;
        ResourceKind::ALL
            .iter()
            .flat_map(|kind| -> Vec<Fact> {
                match kind {
                    ResourceKind::Instance => {
                        let over = InstanceState::Terminated;
                        let there = world.instances.values().filter(|i| i.fact.state != over);
                        there.map(|i| i.shown()).collect()
                    }
                    ResourceKind::Volume => {
                        let going = VolumeState::Deleting;
                        let there = world.volumes.values().filter(|v| v.fact.state != going);
                        there.map(|v| v.shown()).collect()
                    }
                    ResourceKind::Snapshot => world.snapshots.values().map(|s| s.shown()).collect(),
                    ResourceKind::Image => world.images.values().map(|i| i.shown()).collect(),
                    ResourceKind::Interface => {
                        world.interfaces.values().map(|i| i.shown()).collect()
                    }
                }
            })
            .filter(ours)
            .collect()
    }

    /// How many writes of a node, over all its devices, have been acknowledged by the latest time
    /// that the simulation was told.
    #[must_use]
    pub fn acknowledged(&self, node: &NodeId) -> u64 {
        self.world.acknowledged_by_now(node)
    }

    /// Checks that a node has nothing beyond `allowed`, and what goes with an instance that has ended
    /// once EC2 gets round to it; each thing more is a violation of `nothing-forgotten`.
    /// Returns what was left behind.
    pub fn check_leaks(&mut self, now: Time, node: &NodeId, allowed: &[&str]) -> Vec<String> {
        self.advance(now);
        let left: Vec<String> = self
            .resources(node)
            .iter()
            .map(|f| f.id().to_owned())
            .filter(|id| !allowed.contains(&id.as_str()) && !self.world.dies_by_itself(id))
            .collect();
        self.world.truth.leaked(self.world.now, node, &left);
        left
    }

    /// The request that launched an instance, while it is shown.
    #[must_use]
    pub fn launch_of(&self, instance: &InstanceId) -> Option<&Launch> {
        self.world.instances.get(instance)?.launch.as_ref()
    }

    /// Whether a volume or a snapshot truly holds every write that was acknowledged to a node on a
    /// device.
    #[must_use]
    pub fn holds_all(&self, node: &NodeId, device: &str, id: &str) -> bool {
        let volume = self.world.volumes.get(&VolumeId::from(id)).map(|v| &v.content);
        let snapshot = self.world.snapshots.get(&SnapshotId::from(id)).map(|s| &s.content);
        let content = volume.or(snapshot);
        content.is_some_and(|c| self.world.truth.is_held(node, device, &c.writes))
    }

    /// What a volume was asked to be: type, iops, encryption.
    #[must_use]
    pub fn settings_of(&self, volume: &VolumeId) -> Option<&Map<String, Value>> {
        self.world.volume_settings.get(volume)
    }

    /// Somebody else gives a command, with the account's own console say: no fault meets it, and
    /// it is in no log.
    ///
    /// # Errors
    /// What EC2 would say.
    pub fn as_user(&mut self, now: Time, command: &Command) -> Result<Reply, CloudError> {
        self.advance(now);
        self.world.carry_out(command).0
    }

    /// Allocates an Elastic IP, as a user does; `None` beyond the quota.
    pub fn allocate_address(&mut self, now: Time) -> Option<AllocationId> {
        self.advance(now);
        self.world.allocate_address()
    }

    /// Takes an instance back. With a notice of so many milliseconds, the instance shows it and a
    /// notice is sent (EC2 user guide, "Spot Instance interruption notices"); without, power is cut
    /// now and nobody is told. Unknown or dying instances are left as they are.
    pub fn interrupt(&mut self, now: Time, instance: &InstanceId, notice: Option<u64>) {
        self.advance(now);
        self.world.interrupt(instance, notice);
    }

    /// The host under an instance fails: power is cut now, and nobody is told.
    pub fn kill(&mut self, now: Time, instance: &InstanceId) {
        self.advance(now);
        self.world.power_cut(instance, "Server.InternalError: the host failed");
    }

    /// The instances of a node that run or begin to, in the order of ids.
    #[must_use]
    pub fn living(&self, node: &NodeId) -> Vec<InstanceId> {
        let ours = |i: &&crate::resources::Instance| {
            i.lives() && i.fact.tags.get(tags::NODE).map(String::as_str) == Some(node.as_str())
        };
        self.world.instances.values().filter(ours).map(|i| i.fact.id.clone()).collect()
    }

    /// Sets an instance's status checks.
    pub fn set_health(&mut self, now: Time, instance: &InstanceId, health: Health) {
        self.advance(now);
        if let Some(instance) = self.world.instance_mut(instance) {
            instance.fact.health = health;
        }
    }

    /// How many instances a market takes at once; `None`: any number. What runs goes on.
    pub fn set_capacity(&mut self, market: &Market, instances: Option<u32>) {
        self.world.capacity.set(market, instances);
    }

    /// A market refuses every launch until then.
    pub fn drought(&mut self, market: &Market, until: Time) {
        self.world.capacity.drought(market, until);
    }

    /// Somebody deletes a resource behind Holdfast's back, whatever its state. It counts as no
    /// violation; a gate that opens without its content later does.
    pub fn delete_behind(&mut self, now: Time, id: &str) {
        self.advance(now);
        self.world.delete_behind(id);
    }
}
