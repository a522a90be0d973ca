//! What happens to nodes, and what their users and others do with them.

use super::Run;
use crate::people::Act;
use crate::scenario::{self, Action, Change, Deed, To};
use crate::shape::OTHER_IMAGE;
use holdfast_cloud_sim::Class;
use holdfast_cloud_sim::config::{IMAGE, ZONES};
use holdfast_cloud_sim::rng::SplitMix64;
use holdfast_model::facts::{
    Fact, Health, ImageState, InstanceFact, InstanceState, InterfaceState, VolumeState,
};
use holdfast_model::record::{DataHead, Goal, Record};
use holdfast_model::time::{HOUR, MINUTE};
use holdfast_model::user::{Target, UserCommand};
use holdfast_model::{Command, InstanceId, Lifecycle, Time, Token, VolumeId, document, tags};
use holdfast_store::memory::MemoryStore;
use serde_json::{Map, json};
use std::collections::BTreeSet;

/// The device of a volume that a user attaches.
pub(super) const JOINS_AS: &str = "/dev/xvdf";
/// Before a long blindness ends, so much of it is left for other things.
const BLIND_WHILE_MORE: u64 = 20 * MINUTE;

impl Run {
    /// `deaths`: whether an instance that fails while something is done with its node is a fault.
    pub(super) fn act(&mut self, action: &Action, deaths: bool) {
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
            Deed::Change(change) => self.change(index, change, number),
            Deed::GiveUp(bits) => {
                self.slots[index].flags = scenario::flags(bits);
                self.want(index, Goal::Deleted);
                let shape = self.slots[index].shape;
                let slot = self.create(shape);
                let old = std::mem::replace(&mut self.slots[index], slot);
                self.slots.push(old);
            }
            Deed::Undelete(which, accepts) => self.undelete(which, accepts),
            Deed::Rollback(to, data) => self.roll_back(index, to, data),
            Deed::DeleteVolume(which) => self.delete_volume(index, which),
            Deed::Attach => self.make_volume(index, living),
            Deed::TakeAway => self.take_away(index),
            Deed::Doom(which) => self.doom(index, living, which),
            Deed::Restore(which) => self.restore(which),
            Deed::Blind(millis, answers) => {
                self.sim.cloud.blind(now, now.plus(millis), answers);
                if millis > HOUR {
                    self.sim.run_for(millis - BLIND_WHILE_MORE);
                }
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

    pub(super) fn want(&mut self, index: usize, goal: Goal) {
        let slot = &mut self.slots[index];
        slot.goal = goal;
        let node = slot.node.clone();
        let word = match goal {
            Goal::Running => UserCommand::Resume(node),
            Goal::Paused => UserCommand::Pause(node),
            Goal::Deleted => UserCommand::Delete { id: node, deallocation: slot.flags },
        };
        self.sim.say(word);
    }

    /// The user changes the spec.
    fn change(&mut self, index: usize, change: Change, number: usize) {
        let slot = &mut self.slots[index];
        let even = number.is_multiple_of(2);
        let launch = match change {
            Change::Types if even => json!({"instanceTypes": {"types": ["r5.large", "m5.large"]}}),
            Change::Types => json!({"instanceTypes": {"types": ["c5.large", "m5.xlarge"]}}),
            Change::Image => {
                let is = &slot.document["compute"]["launchSpecification"]["imageId"];
                json!({"imageId": if is == IMAGE { OTHER_IMAGE } else { IMAGE }})
            }
            Change::Volumes => {
                slot.grown += 1;
                json!({"blockDeviceMappings": slot.shape.volumes_of(slot.grown)})
            }
            Change::Address => json!({}),
        };
        let mut patch = json!({"compute": {"launchSpecification": launch}});
        if change == Change::Address {
            // In more than one zone an address would choose among them.
            if !slot.shape.private_ip || slot.shape.zones > 1 {
                return;
            }
            self.addresses += 1;
            patch = json!({"compute": {"privateIp": format!("10.0.200.{}", self.addresses)}});
        }
        document::merge(&mut slot.document, &patch);
        let id = slot.node.clone();
        self.sim.say(UserCommand::Update { id, patch });
    }

    /// The user of a node that was given up wants it back.
    fn undelete(&mut self, which: u64, accepts: bool) {
        let can_come =
            |r: &Record| r.lifecycle.goal() == Goal::Deleted && !r.lifecycle.is_handed_over();
        let all: Vec<usize> = (0..self.slots.len())
            .filter(|i| self.slots[*i].goal == Goal::Deleted)
            .filter(|i| self.record(*i).is_some_and(|r| can_come(&r)))
            .collect();
        let Some(index) = picked(&all, which).copied() else { return };
        let slot = &mut self.slots[index];
        (slot.goal, slot.accepts, slot.is_back) = (Goal::Paused, accepts, true);
        let id = slot.node.clone();
        self.slots[index].asked =
            Some(self.sim.say(UserCommand::Undelete { id, accept_loss: accepts }));
    }

    /// The user returns to something that the node keeps.
    fn roll_back(&mut self, index: usize, to: To, data: Option<bool>) {
        let Some(record) = self.record(index) else { return };
        let sets = &record.upkeep.sets;
        let (all, which): (Vec<Target>, u64) = match to {
            To::Generation(which) => {
                let finals = record.kept.final_snapshots.iter().map(|f| f.generation);
                let all: BTreeSet<u64> = finals.chain(sets.iter().map(|s| s.generation)).collect();
                (all.into_iter().map(Target::Generation).collect(), which)
            }
            To::Snapshot(which) => {
                let of_sets = sets.iter().flat_map(|s| s.snapshots.values());
                let all = record.kept.final_snapshots.iter().map(|f| &f.snapshot).chain(of_sets);
                (all.cloned().map(Target::Snapshot).collect(), which)
            }
        };
        let Some(to) = picked(&all, which).cloned() else { return };
        if self.slots[index].goal != Goal::Deleted {
            // Who returns to something wants it to run.
            self.slots[index].goal = Goal::Running;
        }
        self.sim.say(UserCommand::Rollback { id: record.id.clone(), to, data });
    }

    /// The user deletes one data volume of a paused node.
    fn delete_volume(&mut self, index: usize, which: u64) {
        let Some(record) = self.record(index) else { return };
        let rests = record.lifecycle.goal() == Goal::Paused && record.instance.is_none();
        if !rests || self.slots[index].goal != Goal::Paused {
            return self.want(index, Goal::Paused);
        }
        let volumes: Vec<VolumeId> = record
            .identity
            .data
            .iter()
            .filter_map(|d| match &d.head {
                DataHead::Volume { id, .. } => Some(id.clone()),
                DataHead::Fresh => None,
            })
            .collect();
        let Some(volume) = picked(&volumes, which).cloned() else { return };
        self.sim.say(UserCommand::DeleteVolume { id: record.id.clone(), volume });
    }

    fn instance(&self, id: &InstanceId) -> Option<InstanceFact> {
        match self.sim.cloud.truly(id.as_str()) {
            Some(Fact::Instance(i)) if i.state == InstanceState::Running => Some((*i).clone()),
            _ => None,
        }
    }

    /// The user makes a volume where the node runs; it is attached once it is there.
    fn make_volume(&mut self, index: usize, living: Option<InstanceId>) {
        let Some(instance) = living.and_then(|id| self.instance(&id)) else { return };
        let slot = &self.slots[index];
        if slot.shape.data.is_none() || slot.attaching.is_some() {
            return;
        }
        self.made += 1;
        let command = Command::CreateVolume {
            token: Token(format!("users-{}", self.made)),
            zone: instance.zone,
            size_gib: 7,
            snapshot: None,
            settings: Map::new(),
            tags: tags::Tags::new(),
        };
        let made = self.sim.cloud.as_user(self.sim.now, &command).ok();
        let id = made.and_then(|reply| reply.facts.first().map(|f| VolumeId(f.id().to_owned())));
        self.slots[index].attaching = id;
    }

    /// What its user has made is attached as soon as it can be; if it cannot, they let it be.
    pub(super) fn attach(&mut self, index: usize) {
        let Some(volume) = self.slots[index].attaching.clone() else { return };
        let node = self.slots[index].node.clone();
        let ready = matches!(self.sim.cloud.truly(volume.as_str()),
            Some(Fact::Volume(v)) if v.state == VolumeState::Available);
        let living = self.sim.cloud.living(&node).pop();
        let Some(instance) = living.and_then(|id| self.instance(&id)).filter(|_| ready) else {
            return;
        };
        self.slots[index].attaching = None;
        let device = JOINS_AS.to_owned();
        let command = Command::AttachVolume { volume, instance: instance.id, device };
        if self.sim.cloud.as_user(self.sim.now, &command).is_ok() {
            self.sim.note(|| format!("USER of {node}: {command:?}"));
            self.sim.done_by_user(Act::Attach, &node);
        }
    }

    /// The user takes a volume away that they had attached.
    fn take_away(&mut self, index: usize) {
        let Some(record) = self.record(index) else { return };
        let node = record.id.clone();
        let joined = record.identity.data.iter().find(|d| d.user_attached.is_some());
        let Some(DataHead::Volume { id: volume, .. }) = joined.map(|d| &d.head) else { return };
        let Some(Fact::Volume(seen)) = self.sim.cloud.truly(volume.as_str()) else { return };
        let Some((instance, device)) = seen.attached_to.clone() else { return };
        if self.instance(&instance).is_none() {
            return;
        }
        let command = Command::DetachVolume { volume: volume.clone(), instance };
        if self.sim.cloud.as_user(self.sim.now, &command).is_ok() {
            self.sim.note(|| format!("USER of {node}: {command:?}"));
            self.sim.done_by_user(Act::TakeAway, &node);
            self.sim.taken_by_user(volume);
            self.sim.cloud.truth_mut().expect_no_device(&node, &device);
            self.slots[index].theirs.push(volume.clone());
        }
    }

    /// Somebody sets one volume of the instance to die with it, or all of them.
    fn doom(&mut self, index: usize, living: Option<InstanceId>, which: u64) {
        let Some(instance) = living.and_then(|id| self.instance(&id)) else { return };
        let node = self.slots[index].node.clone();
        let kept: BTreeSet<&str> = self.slots[index].shape.kept().collect();
        let devices = instance.attachments.iter().map(|a| a.device.clone());
        let all: Vec<String> = devices.filter(|d| kept.contains(d.as_str())).collect();
        let one = picked(&all, which / 2).cloned().filter(|_| which.is_multiple_of(2));
        let devices = one.map_or(all, |device| vec![device]);
        if self.sim.cloud.doom(self.sim.now, &instance.id, &devices).is_ok() {
            self.sim.done_by_user(Act::Doom, &node);
        }
    }

    /// The store is lost, and what there is of it is a backup, or nothing.
    fn restore(&mut self, which: u64) {
        let last = self.backups.len() as u64;
        let at = SplitMix64::new(which).between(0, last) as usize;
        let store = self.backups.get(at).map_or_else(MemoryStore::new, MemoryStore::copy);
        self.sim.note(|| format!("the store is lost; backup {at} of {last} takes its place"));
        let node = self.slots[0].node.clone();
        self.sim.done_by_user(Act::LoseStore, &node);
        self.sim.restore(store);
    }

    /// Somebody deletes one of a node's resources, as far as EC2 lets them.
    fn delete_behind(&mut self, index: usize, number: u64) {
        let node = self.slots[index].node.clone();
        let can_go = |fact: &Fact| match fact {
            Fact::Instance(i) => i.state <= InstanceState::Running,
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
        let Some(fact) = picked(&there, number).copied() else { return };
        let id = fact.id().to_owned();
        let now = self.sim.now;
        self.sim.cloud.faults().hit(now, Class::Deleted, &id, Some(node));
        // What is being made may be needed in a moment: only an instance is nobody's content.
        self.slots[index].harmed |= !matches!(fact, Fact::Instance(_));
        self.slots[index].theirs.retain(|volume| volume.as_str() != id);
        self.sim.cloud.delete_behind(now, &id);
    }

    pub(super) fn dry(&mut self, which: impl Fn(Lifecycle, &str) -> bool, until: Time) {
        for price in self.sim.cloud.catalogue().prices {
            if which(price.market.lifecycle, price.market.zone.as_str()) {
                self.sim.cloud.drought(&price.market, until);
            }
        }
    }
}

/// One of them, by a number.
fn picked<T>(all: &[T], which: u64) -> Option<&T> {
    let last = (all.len() as u64).checked_sub(1)?;
    all.get(SplitMix64::new(which).between(0, last) as usize)
}
