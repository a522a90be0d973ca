//! Every time, limit and offer of the simulated region.

use crate::rng::SplitMix64;
use holdfast_model::market::{Catalogue, Cidr, InstanceType, MarketPrice, Subnet};
use holdfast_model::time::{HOUR, SECOND};
use holdfast_model::{ImageId, Lifecycle, Market, SubnetId, Zone};
use std::net::Ipv4Addr;

/// The region's name.
pub const REGION: &str = "sim-1";
/// The account that everything belongs to.
pub const ACCOUNT: &str = "000000000000";
/// The zones.
pub const ZONES: [&str; 3] = ["sim-1a", "sim-1b", "sim-1c"];
/// The image that is there from the start.
pub const IMAGE: &str = "ami-sim";
/// The root volume's device name under that image.
pub const ROOT_DEVICE: &str = "/dev/xvda";

/// A time that varies evenly, in milliseconds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The shortest.
    pub least: u64,
    /// The longest.
    pub most: u64,
}

impl Span {
    /// From `least` to `most` milliseconds.
    #[must_use]
    pub const fn new(least: u64, most: u64) -> Span {
        Span { least, most }
    }

    /// Always the same.
    #[must_use]
    pub const fn exactly(millis: u64) -> Span {
        Span { least: millis, most: millis }
    }

    pub(crate) fn draw(self, rng: &mut SplitMix64) -> u64 {
        rng.between(self.least, self.most)
    }
}

/// An image that is there from the start, without tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimImage {
    /// Its id.
    pub id: ImageId,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Device name of the root volume.
    pub root_device: String,
    /// The least size of the root volume in GiB.
    pub root_gib: u32,
}

/// An instance type and its on-demand price.
#[derive(Debug, Clone, PartialEq)]
pub struct SimType {
    /// As the catalogue shows it.
    pub offered: InstanceType,
    /// US dollars for an hour, on demand.
    pub on_demand_usd: f64,
}

/// The simulated region. Times are in milliseconds.
///
/// The defaults are what others measured of EC2 between 2021 and 2026: RunInstances to `running`
/// 5 to 18 s, first packet answered after about 26 s; attach and detach mostly 1 to 4 s;
/// CreateVolume 1.5 s median, 4 s p99; terminate to free volumes taken as 20 to 60 s.
#[derive(Debug, Clone, PartialEq)]
pub struct SimConfig {
    /// Until a call is answered.
    pub reply: Span,
    /// Until a Describe is answered.
    pub describe: Span,
    /// After how long a call without an answer is given up by the caller.
    pub timeout: u64,
    /// How long Describe (and every other call) may not know a new resource.
    pub appears: Span,
    /// How long Describe may show a resource as it was before a change.
    pub stale: Span,
    /// Most facts of one page.
    pub page: usize,
    /// Most facts of one page of a look at everything (EC2 takes no limit together with ids).
    pub sweep_page: usize,
    /// `pending` to `running`.
    pub pending: Span,
    /// `running` until the agent answers: before that the gate cannot be opened.
    pub boot: Span,
    /// Gate open until the status checks pass.
    pub healthy: Span,
    /// TerminateInstances to `terminated`; the workload may write all that time.
    pub shutting_down: Span,
    /// Power cut to `terminated`.
    pub cut: Span,
    /// `terminated` until volumes and interface are free.
    pub release: Span,
    /// How long a terminated instance is shown (EC2: about an hour).
    pub terminated_shown: u64,
    /// How long the shutdown script takes, if there is one.
    pub drain: Span,
    /// Volume `creating`.
    pub volume_creating: Span,
    /// Volume `attaching`.
    pub attaching: Span,
    /// Volume `detaching`.
    pub detaching: Span,
    /// Interface `attaching`.
    pub interface_attaching: Span,
    /// Interface `detaching`.
    pub interface_detaching: Span,
    /// Volume `deleting`.
    pub deleting: Span,
    /// Snapshot `pending`.
    pub snapshot: Span,
    /// Image `pending`.
    pub image: Span,
    /// Least time between two snapshots of one volume (EC2: 15 s).
    pub snapshot_interval: u64,
    /// Pending snapshots of one volume (EC2: 5).
    pub snapshots_pending: usize,
    /// Snapshots of the region at once (EC2: 100,000).
    pub snapshots_at_most: usize,
    /// From an interruption's announcement to the notice's arrival.
    pub notice: Span,
    /// Between two writes of a node.
    pub write_interval: u64,
    /// Every so many writes one is synced, which acknowledges it and all before it.
    pub ack_every: u64,
    /// vCPUs of spot instances at once; `None`: any number.
    pub spot_vcpus: Option<u32>,
    /// vCPUs of on-demand instances at once; `None`: any number.
    pub on_demand_vcpus: Option<u32>,
    /// How large the token buckets are that throttle the calls, in percent of what EC2 publishes
    /// (EC2 developer guide, "Request throttling for the Amazon EC2 API"); `None`: no limit.
    pub throttle: Option<u32>,
    /// Whether every Describe answers that there is nothing, as it does to the credentials of
    /// another account.
    pub blind: bool,
    /// The cloud breaks its own rule and attaches a volume that another instance holds, so that a
    /// test can see `one-writer` fire. Never set elsewhere.
    pub attaches_twice: bool,
    /// A volume is torn out of a running instance, which goes on acknowledging writes. Never set
    /// elsewhere.
    pub detaches_by_force: bool,
    /// A power cut loses writes that were acknowledged, as with a disk that says it has synced and
    /// has not, so that a test has a history that fails. Never set elsewhere.
    pub lies_about_syncing: bool,
    /// Images that are there from the start.
    pub images: Vec<SimImage>,
    /// Instance types.
    pub types: Vec<SimType>,
}

impl Default for SimConfig {
    fn default() -> SimConfig {
        SimConfig {
            reply: Span::new(80, 400),
            describe: Span::new(50, 250),
            timeout: 5 * SECOND,
            appears: Span::new(0, 2 * SECOND),
            stale: Span::new(0, SECOND),
            page: holdfast_model::facts::MAX_PAGE,
            sweep_page: holdfast_model::facts::MAX_PAGE,
            pending: Span::new(5 * SECOND, 18 * SECOND),
            boot: Span::new(6 * SECOND, 10 * SECOND),
            healthy: Span::new(0, 3 * SECOND),
            shutting_down: Span::new(20 * SECOND, 60 * SECOND),
            cut: Span::new(5 * SECOND, 30 * SECOND),
            release: Span::new(0, 3 * SECOND),
            terminated_shown: HOUR,
            drain: Span::new(SECOND, 15 * SECOND),
            volume_creating: Span::new(SECOND, 4 * SECOND),
            attaching: Span::new(SECOND, 4 * SECOND),
            detaching: Span::new(SECOND, 4 * SECOND),
            interface_attaching: Span::new(SECOND, 4 * SECOND),
            interface_detaching: Span::new(SECOND, 4 * SECOND),
            deleting: Span::new(0, 2 * SECOND),
            snapshot: Span::new(5 * SECOND, 90 * SECOND),
            image: Span::new(SECOND, 10 * SECOND),
            snapshot_interval: 15 * SECOND,
            snapshots_pending: 5,
            snapshots_at_most: 100_000,
            notice: Span::new(0, 2 * SECOND),
            write_interval: SECOND,
            ack_every: 3,
            spot_vcpus: None,
            on_demand_vcpus: None,
            throttle: None,
            blind: false,
            attaches_twice: false,
            detaches_by_force: false,
            lies_about_syncing: false,
            images: vec![SimImage {
                id: ImageId::from(IMAGE),
                architecture: "x86_64".to_owned(),
                root_device: ROOT_DEVICE.to_owned(),
                root_gib: 1,
            }],
            types: vec![
                sim_type("m5.large", 2, 8, "x86_64", 0.096),
                sim_type("m5.xlarge", 4, 16, "x86_64", 0.192),
                sim_type("c5.large", 2, 4, "x86_64", 0.085),
                sim_type("r5.large", 2, 16, "x86_64", 0.126),
                sim_type("m6g.large", 2, 8, "arm64", 0.077),
            ],
        }
    }
}

impl SimConfig {
    /// The same region in which everything that need not take time takes none, and what a Describe
    /// shows is true: for tests of rules, where latency would only blur the picture.
    #[must_use]
    pub fn prompt() -> SimConfig {
        let none = Span::exactly(0);
        SimConfig {
            reply: Span::exactly(1),
            describe: Span::exactly(1),
            appears: none,
            stale: none,
            pending: Span::exactly(100),
            boot: none,
            healthy: none,
            shutting_down: Span::exactly(100),
            cut: Span::exactly(100),
            release: none,
            drain: Span::exactly(100),
            volume_creating: Span::exactly(10),
            attaching: Span::exactly(10),
            detaching: Span::exactly(10),
            interface_attaching: Span::exactly(10),
            interface_detaching: Span::exactly(10),
            deleting: none,
            snapshot: Span::exactly(100),
            image: Span::exactly(10),
            snapshot_interval: 0,
            notice: none,
            write_interval: 10,
            ..SimConfig::default()
        }
    }

    pub(crate) fn instance_type(&self, name: &str) -> Option<&SimType> {
        self.types.iter().find(|t| t.offered.name == name)
    }

    /// What the region offers.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        let mut prices = Vec::new();
        for kind in &self.types {
            for (index, zone) in (0_u8..).zip(ZONES) {
                for lifecycle in [Lifecycle::Spot, Lifecycle::OnDemand] {
                    let share = match lifecycle {
                        // Spot is a third of the price, and each zone a little dearer.
                        Lifecycle::Spot => 0.30 + 0.03 * f64::from(index),
                        Lifecycle::OnDemand => 1.0,
                    };
                    let market = market(&kind.offered.name, zone, lifecycle);
                    prices.push(MarketPrice { market, hourly_usd: kind.on_demand_usd * share });
                }
            }
        }
        Catalogue {
            region: REGION.to_owned(),
            types: self.types.iter().map(|t| t.offered.clone()).collect(),
            subnets: (0_u8..)
                .zip(ZONES)
                .map(|(index, zone)| Subnet {
                    id: subnet_of(zone),
                    vpc: "vpc-sim".to_owned(),
                    zone: Zone::from(zone),
                    cidr: Cidr::new(Ipv4Addr::new(10, index, 0, 0), 16),
                })
                .collect(),
            prices,
        }
    }
}

/// The subnet of a zone.
#[must_use]
pub fn subnet_of(zone: &str) -> SubnetId {
    SubnetId(format!("subnet-{zone}"))
}

/// The zone that a subnet lies in, as its place in [`ZONES`].
pub(crate) fn zone_index(subnet: &SubnetId) -> Option<u8> {
    (0_u8..).zip(ZONES).find(|(_, zone)| &subnet_of(zone) == subnet).map(|(index, _)| index)
}

/// A market of the region.
#[must_use]
pub fn market(instance_type: &str, zone: &str, lifecycle: Lifecycle) -> Market {
    Market {
        instance_type: instance_type.to_owned(),
        zone: Zone::from(zone),
        subnet: subnet_of(zone),
        lifecycle,
    }
}

fn sim_type(name: &str, vcpus: u32, gib: u64, architecture: &str, usd: f64) -> SimType {
    SimType {
        offered: InstanceType {
            name: name.to_owned(),
            vcpus,
            memory_mib: gib << 10,
            // EC2 user guide, "Amazon EBS volume limits": 28 for most Nitro types, shared between
            // volumes and interfaces.
            attachment_limit: 28,
            architecture: architecture.to_owned(),
        },
        on_demand_usd: usd,
    }
}
