//! Everything the simulated region holds, and what happens in it by itself.

use crate::config::SimConfig;
use crate::events::{Event, Events};
use crate::faults::{Class, Faults};
use crate::latency::Latency;
use crate::refusal::{not_found, not_yet_visible};
use crate::resources::{Image, Instance, Interface, Snapshot, Volume};
use crate::rng::SplitMix64;
use crate::rules::capacity::Capacity;
use crate::rules::throttle::Throttle;
use crate::truth::Truth;
use crate::veil::Veil;
use holdfast_cloud::Notice;
use holdfast_model::facts::{Health, InstanceState, VolumeState};
use holdfast_model::time::SECOND;
use holdfast_model::{
    AllocationId, CloudError, Command, ImageId, InstanceId, InterfaceId, NodeId, SnapshotId, Time,
    Token, VolumeId, tags,
};
use std::collections::{BTreeMap, BTreeSet};

/// The most notices that wait to be taken; more are dropped, as a full queue would.
pub(crate) const MAX_NOTICES: usize = 10_000;
/// The most that a fault puts a Describe behind, in milliseconds: less than the half minute that
/// Holdfast allows EC2.
const LATE: u64 = 20 * SECOND;

#[derive(Clone)]
pub(crate) struct World {
    pub config: SimConfig,
    pub now: Time,
    /// How soon calls are answered, what Describe hides, and what a power cut loses.
    pub rng: SplitMix64,
    pub seed: u64,
    named: u64,
    pub instances: BTreeMap<InstanceId, Instance>,
    pub volumes: BTreeMap<VolumeId, Volume>,
    pub snapshots: BTreeMap<SnapshotId, Snapshot>,
    pub images: BTreeMap<ImageId, Image>,
    /// The image of each name.
    pub image_names: BTreeMap<String, ImageId>,
    /// The images that need a snapshot.
    pub image_users: BTreeMap<SnapshotId, BTreeSet<ImageId>>,
    pub interfaces: BTreeMap<InterfaceId, Interface>,
    pub addresses: crate::rules::interfaces::Addresses,
    /// Interfaces that are being taken from their instances.
    pub detaching: BTreeSet<InterfaceId>,
    /// Type, iops, encryption of volumes that were made by themselves, as asked for.
    pub volume_settings: BTreeMap<VolumeId, serde_json::Map<String, serde_json::Value>>,
    pub elastic_ips: BTreeMap<AllocationId, crate::rules::network::ElasticIp>,
    /// What each client token asked for, and made; by action, for EC2 keeps them apart.
    pub tokens: BTreeMap<(&'static str, Token), (Command, String)>,
    pub veil: Veil,
    pub events: Events,
    pub capacity: Capacity,
    pub throttle: Throttle,
    pub truth: Truth,
    pub notices: Vec<Notice>,
    pub faults: Faults,
    /// Until when nothing is shown, and whether Describe calls are answered meanwhile.
    pub blind: (Time, bool),
    /// Instances whose volumes somebody set to die with them, and that nobody set back since: and
    /// whether it came after they had been set to outlive them.
    pub doomed: BTreeMap<InstanceId, bool>,
    /// Instances whose volumes were set to outlive them.
    pub spared: BTreeSet<InstanceId>,
    /// Nodes of which a volume died because somebody had set it to.
    pub bereft: BTreeSet<NodeId>,
}

impl World {
    pub(crate) fn new(seed: u64, config: SimConfig) -> World {
        let images = config.images.iter().map(|i| (i.id.clone(), Image::offered(i))).collect();
        let mut seeds = SplitMix64::new(seed);
        World {
            config,
            now: Time(0),
            rng: SplitMix64::new(seeds.draw()),
            seed: seeds.draw(),
            named: 0,
            instances: BTreeMap::new(),
            volumes: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            images,
            image_names: BTreeMap::new(),
            image_users: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            addresses: <_>::default(),
            detaching: BTreeSet::new(),
            volume_settings: BTreeMap::new(),
            elastic_ips: BTreeMap::new(),
            tokens: BTreeMap::new(),
            veil: Veil::default(),
            events: Events::default(),
            capacity: Capacity::default(),
            throttle: Throttle::default(),
            truth: Truth::default(),
            notices: Vec::new(),
            faults: Faults::new(seeds.draw()),
            blind: (Time(0), true),
            doomed: BTreeMap::new(),
            spared: BTreeSet::new(),
            bereft: BTreeSet::new(),
        }
    }

    /// How many ids there have been.
    pub(crate) fn named(&self) -> u64 {
        self.named
    }

    /// Sixty-four bits that no other call of this gives.
    fn unique(&mut self) -> u64 {
        self.named += 1;
        // SplitMix64's output is a bijection of its state, so distinct states never collide.
        SplitMix64::new(self.seed.wrapping_add(self.named)).draw()
    }

    /// A new id as EC2 makes them: a prefix and 17 hexadecimal digits.
    pub(crate) fn new_id(&mut self, prefix: &str) -> String {
        format!("{prefix}-0{:016x}", self.unique())
    }

    /// The UUID of a new filesystem.
    pub(crate) fn new_uuid(&mut self) -> String {
        let (a, b) = (self.unique(), self.unique());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    pub(crate) fn after(&mut self, span: crate::config::Span) -> Time {
        self.now.plus(span.draw(&mut self.rng))
    }

    /// Notes that a resource is new: Describe may not show it for a while.
    pub(crate) fn born(&mut self, id: &str) {
        let until = self.after(self.config.appears);
        let late = self.late(Class::Missing, id);
        self.veil.hide(id, self.now, late.unwrap_or(until), late.is_some());
    }

    fn stale_until(&mut self, id: &str) -> (Time, bool) {
        let until = self.after(self.config.stale);
        let late = self.late(Class::Stale, id);
        (late.unwrap_or(until), late.is_some())
    }

    /// Until when a Describe may be behind, if a fault makes it so.
    fn late(&mut self, class: Class, id: &str) -> Option<Time> {
        if let Some(until) = self.faults.shown_late(self.now) {
            self.hit(class, id);
            return Some(until);
        }
        if !self.faults.draw(class) {
            return None;
        }
        let by = self.faults.between(class, 1, LATE);
        self.hit(class, id);
        Some(self.now.plus(by))
    }

    /// Notes a fault that happened to a resource.
    pub(crate) fn hit(&mut self, class: Class, id: &str) {
        let node = self.truly(id).and_then(|f| f.tags().get(tags::NODE).cloned());
        self.faults.hit(self.now, class, id, node.map(NodeId));
    }

    /// When something is over that usually takes so long, and with a fault of this class longer.
    pub(crate) fn slowly(&mut self, class: Class, what: Latency, subject: &str, id: &str) -> Time {
        let usually = self.ends(what, subject);
        match self.faults.slow(class, usually.since(self.now)) {
            None => usually,
            Some(slow) => {
                self.hit(class, id);
                self.now.plus(slow)
            }
        }
    }

    /// An instance about to be changed: Describe may show it as it was for a while.
    pub(crate) fn instance_mut(&mut self, id: &InstanceId) -> Option<&mut Instance> {
        let (until, wavers) = self.stale_until(id.as_str());
        let instance = self.instances.get_mut(id)?;
        self.veil.keep(instance.shown(), self.now, until, wavers);
        Some(instance)
    }

    /// A volume about to be changed.
    pub(crate) fn volume_mut(&mut self, id: &VolumeId) -> Option<&mut Volume> {
        let (until, wavers) = self.stale_until(id.as_str());
        let volume = self.volumes.get_mut(id)?;
        self.veil.keep(volume.shown(), self.now, until, wavers);
        Some(volume)
    }

    /// An interface about to be changed.
    pub(crate) fn interface_mut(&mut self, id: &InterfaceId) -> Option<&mut Interface> {
        let (until, wavers) = self.stale_until(id.as_str());
        let interface = self.interfaces.get_mut(id)?;
        self.veil.keep(interface.shown(), self.now, until, wavers);
        Some(interface)
    }

    /// A snapshot about to be changed.
    pub(crate) fn snapshot_mut(&mut self, id: &SnapshotId) -> Option<&mut Snapshot> {
        let (until, wavers) = self.stale_until(id.as_str());
        let snapshot = self.snapshots.get_mut(id)?;
        self.veil.keep(snapshot.shown(), self.now, until, wavers);
        Some(snapshot)
    }

    /// An image about to be changed.
    pub(crate) fn image_mut(&mut self, id: &ImageId) -> Option<&mut Image> {
        let (until, wavers) = self.stale_until(id.as_str());
        let image = self.images.get_mut(id)?;
        self.veil.keep(image.shown(), self.now, until, wavers);
        Some(image)
    }

    /// Refuses what does not exist, or is not known yet.
    pub(crate) fn check_known(&self, id: &str, exists: bool, code: &str) -> Result<(), CloudError> {
        if self.veil.hides(id, self.now) {
            return Err(not_yet_visible(code, id));
        }
        if exists { Ok(()) } else { Err(not_found(code, id)) }
    }

    pub(crate) fn known_instance(&self, id: &InstanceId) -> Result<&Instance, CloudError> {
        let found = self.instances.get(id);
        self.check_known(id.as_str(), found.is_some(), "InvalidInstanceID.NotFound")?;
        found.ok_or_else(|| not_found("InvalidInstanceID.NotFound", id.as_str()))
    }

    pub(crate) fn known_volume(&self, id: &VolumeId) -> Result<&Volume, CloudError> {
        let found = self.volumes.get(id);
        self.check_known(id.as_str(), found.is_some(), "InvalidVolume.NotFound")?;
        found.ok_or_else(|| not_found("InvalidVolume.NotFound", id.as_str()))
    }

    pub(crate) fn known_interface(&self, id: &InterfaceId) -> Result<&Interface, CloudError> {
        let found = self.interfaces.get(id);
        self.check_known(id.as_str(), found.is_some(), "InvalidNetworkInterfaceID.NotFound")?;
        found.ok_or_else(|| not_found("InvalidNetworkInterfaceID.NotFound", id.as_str()))
    }

    pub(crate) fn known_snapshot(&self, id: &SnapshotId) -> Result<&Snapshot, CloudError> {
        let found = self.snapshots.get(id);
        self.check_known(id.as_str(), found.is_some(), "InvalidSnapshot.NotFound")?;
        found.ok_or_else(|| not_found("InvalidSnapshot.NotFound", id.as_str()))
    }

    pub(crate) fn known_image(&self, id: &ImageId) -> Result<&Image, CloudError> {
        let found = self.images.get(id);
        self.check_known(id.as_str(), found.is_some(), "InvalidAMIID.NotFound")?;
        found.ok_or_else(|| not_found("InvalidAMIID.NotFound", id.as_str()))
    }

    /// Lets everything happen that is due by `now`, in its order. Time never goes back.
    pub(crate) fn advance(&mut self, now: Time) {
        while let Some((at, event)) = self.events.pop(now) {
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(now);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Runs(id) => self.runs(&id),
            Event::Healthy(id) => {
                let due = |i: &Instance| {
                    i.fact.state == InstanceState::Running && i.fact.health == Health::Initializing
                };
                if self.instances.get(&id).is_some_and(due)
                    && let Some(instance) = self.instance_mut(&id)
                {
                    instance.fact.health = Health::Ok;
                }
            }
            Event::Drained(id) => self.drained(&id),
            Event::Announced(id, at) => {
                self.announced(id, at);
            }
            Event::Interrupted(id) => {
                self.power_cut(&id, "Server.SpotInstanceTermination: taken back by the cloud");
            }
            Event::Terminated(id) => self.terminated(&id),
            Event::Released(id) => self.released(&id),
            Event::Vanished(id) => {
                self.instance_mut(&id);
                self.instances.remove(&id);
            }
            Event::VolumeMade(id) => {
                let creating = |v: &crate::resources::Volume| v.fact.state == VolumeState::Creating;
                if self.volumes.get(&id).is_some_and(creating)
                    && let Some(volume) = self.volume_mut(&id)
                {
                    volume.fact.state = VolumeState::Available;
                }
            }
            Event::Attached(volume, instance) => self.attached(&volume, &instance),
            Event::Detached(volume, instance) => self.detached(&volume, &instance),
            Event::InterfaceAttached(interface, instance) => {
                self.interface_attached(&interface, &instance);
            }
            Event::InterfaceDetached(interface, instance) => {
                self.free_interface(&interface, &instance);
            }
            Event::VolumeGone(id) => {
                self.volume_mut(&id);
                self.volumes.remove(&id);
                self.volume_settings.remove(&id);
            }
            Event::SnapshotMade(id) => {
                self.snapshot_made(&id);
            }
            Event::ImageMade(id) => {
                self.image_made(&id);
            }
        }
    }
}
