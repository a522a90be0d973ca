//! Nodes of every shape: what is kept of them, and where they may go.

use holdfast_cloud_sim::config::{ROOT_DEVICE, SimImage};
use holdfast_cloud_sim::rng::SplitMix64;
use holdfast_cloud_sim::{SimCloud, SimConfig};
use holdfast_model::{ImageId, Lifecycle, NodeId};
use serde_json::{Value, json};

/// An image beside the one that the shapes' specs name.
pub const OTHER_IMAGE: &str = "ami-sim-other";

/// What the shapes' nodes need of a cloud: both images.
pub fn with_other_image(world: &mut SimConfig) {
    let other = SimImage { id: ImageId::from(OTHER_IMAGE), ..world.images[0].clone() };
    world.images.push(other);
}

/// Device names of data volumes.
const DEVICES: [&str; 3] = ["/dev/xvdb", "/dev/xvdc", "/dev/xvdd"];

/// What of a node is kept, and where it may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Whether the root is kept.
    pub root: bool,
    /// How data volumes travel (`blockDevicesMode`); `None`: they are not kept.
    pub data: Option<&'static str>,
    /// Whether the private address is kept.
    pub private_ip: bool,
    /// In how many zones it may run.
    pub zones: usize,
    /// How many data volumes it has.
    pub volumes: usize,
    /// Whether it has a shutdown script.
    pub script: bool,
    /// What it would rather run on.
    pub lifecycle: Lifecycle,
    /// Whether it has a second interface.
    pub second: bool,
    /// Whether an Elastic IP leads to it; whoever makes the node names it.
    pub elastic: bool,
}

/// Everything is kept, in one zone.
pub const WHOLE: Shape = Shape {
    root: true,
    data: Some("reattach"),
    private_ip: true,
    zones: 1,
    volumes: 2,
    script: true,
    lifecycle: Lifecycle::Spot,
    second: false,
    elastic: false,
};
/// Only data is kept, which may move between zones.
pub const ROAMING: Shape = Shape { root: false, private_ip: false, zones: 3, ..WHOLE };
/// Root and data travel as snapshots.
pub const SNAPSHOTS: Shape = Shape { data: Some("onLaunch"), private_ip: false, zones: 3, ..WHOLE };
/// Data and address are kept, and the root is not: the next instance can be launched while the old
/// one serves.
pub const LIGHT: Shape = Shape { root: false, ..WHOLE };
impl Shape {
    /// A shape at random.
    pub fn draw(rng: &mut SplitMix64) -> Shape {
        let data = match rng.between(0, 6) {
            0..=2 => Some("reattach"),
            3..=4 => Some("onLaunch"),
            _ => None,
        };
        let (root, private_ip) = (rng.between(0, 1) == 0, rng.between(0, 1) == 0);
        Shape {
            // A node that keeps nothing at all is refused.
            root: root || (data.is_none() && !private_ip),
            data,
            private_ip,
            zones: rng.between(1, 3) as usize,
            volumes: rng.between(if data.is_some() { 1 } else { 0 }, 2) as usize,
            script: rng.between(0, 2) > 0,
            lifecycle: if rng.between(0, 9) > 0 { Lifecycle::Spot } else { Lifecycle::OnDemand },
            second: rng.between(0, 4) == 0,
            elastic: rng.between(0, 4) == 0,
        }
    }

    /// The devices whose content must never be lost.
    pub fn kept(self) -> impl Iterator<Item = &'static str> {
        let root = self.root.then_some(ROOT_DEVICE);
        let data = self.data.map_or(0, |_| self.volumes);
        root.into_iter().chain(DEVICES.into_iter().take(data))
    }

    /// Tells the ground truth what must never be lost or change of this node.
    pub fn expect(self, cloud: &mut SimCloud, node: &NodeId) {
        let truth = cloud.truth_mut();
        truth.release(node);
        truth.expect(node, self.kept());
        if self.private_ip {
            truth.expect_address(node);
        }
        if self.second {
            truth.expect_interfaces(node, [1]);
        }
        if self.elastic {
            truth.expect_elastic_ip(node);
        }
    }

    /// Its data volumes as its spec names them, after so many times that they grew.
    #[must_use]
    pub fn volumes_of(self, grown: usize) -> Vec<Value> {
        let volume = |(n, device): (usize, &&str)| {
            let mut ebs = json!({"volumeSize": 10 * (n + 1) + grown});
            if grown > 0 {
                ebs["volumeType"] = if grown.is_multiple_of(2) { "gp3" } else { "gp2" }.into();
            }
            json!({"deviceName": device, "ebs": ebs})
        };
        DEVICES.iter().take(self.volumes).enumerate().map(volume).collect()
    }

    /// The spec of such a node.
    #[must_use]
    pub fn spec(self) -> Value {
        let zones = ["a", "b", "c"].iter().take(self.zones);
        let subnets: Vec<String> = zones.map(|z| format!("subnet-sim-1{z}")).collect();
        let volumes = self.volumes_of(0);
        let lifecycle = match self.lifecycle {
            Lifecycle::Spot => "spot",
            Lifecycle::OnDemand => "on_demand",
        };
        let mut spec = json!({
            "name": "simulated",
            "region": "sim-1",
            "strategy": {
                "lifeCycle": lifecycle,
                "drainingTimeout": 30,
                "revertToSpot": {"performAt": "always"}
            },
            "persistence": {
                "persistRootDevice": self.root,
                "persistBlockDevices": self.data.is_some(),
                "blockDevicesMode": self.data,
                "persistPrivateIp": self.private_ip
            },
            "compute": {
                "vpcId": "vpc-sim",
                "subnetIds": subnets,
                "launchSpecification": {
                    "imageId": "ami-sim",
                    "instanceTypes": {"types": ["m5.large", "c5.large"]},
                    "blockDeviceMappings": volumes
                }
            }
        });
        if self.second {
            spec["compute"]["launchSpecification"]["networkInterfaces"] =
                json!([{"deviceIndex": 0}, {"deviceIndex": 1}]);
        }
        if self.script {
            spec["compute"]["launchSpecification"]["shutdownScript"] = "IyEvYmluL3NoCg==".into();
        }
        spec
    }
}
