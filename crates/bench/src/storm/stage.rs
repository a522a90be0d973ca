//! The stage of a storm: nodes that serve and have been replaced before, and then their instances
//! are all taken back in one instant.

use super::Flow;
use crate::BenchError;
use crate::clone::{self, Original};
use crate::drive::Drive;
use holdfast_cloud_sim::SimConfig;
use holdfast_model::record::{DataHead, Record, RootHead};
use holdfast_model::time::{MINUTE, SECOND};
use holdfast_model::{InstanceId, InterfaceId, NodeId, VolumeId};
use serde_json::{Value, json};

/// How long before the power goes EC2 says so.
pub(super) const NOTICE: u64 = 120 * SECOND;
/// Replacements before the storm: what a replacement deletes is then what it always deletes.
const BEFORE: usize = 4;
/// The zone where the nodes are, and the one to which they move.
const HOME: &str = "sim-1a";
const AWAY: &str = "sim-1b";

/// A node as every flow knows it before the storm.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub id: NodeId,
    pub generation: u64,
    pub instance: InstanceId,
    pub root: VolumeId,
    pub root_device: String,
    pub data: Vec<(String, VolumeId)>,
    pub interface: Option<InterfaceId>,
}

/// Device names of data volumes.
pub(crate) fn devices(volumes: usize) -> Vec<String> {
    (b'b'..).take(volumes).map(|letter| format!("/dev/xvd{}", char::from(letter))).collect()
}

/// A node's spec: root, data volumes and, if it stays in its zone, the address are kept.
pub(crate) fn spec(volumes: usize, address: bool) -> Value {
    let mappings: Vec<Value> = devices(volumes)
        .into_iter()
        .map(|name| json!({"deviceName": name, "ebs": {"volumeSize": 10}}))
        .collect();
    json!({
        "name": "storm",
        "region": "sim-1",
        "strategy": {"lifeCycle": "spot"},
        "persistence": {
            "persistRootDevice": true,
            "persistBlockDevices": true,
            "blockDevicesMode": "reattach",
            "persistPrivateIp": address
        },
        "compute": {
            "vpcId": "vpc-sim",
            "subnetIds": [format!("subnet-{HOME}")],
            "launchSpecification": {
                "imageId": "ami-sim",
                "instanceTypes": {"types": ["m5.large"]},
                "blockDeviceMappings": mappings
            }
        }
    })
}

/// Nodes that serve.
pub(super) struct Stage {
    pub drive: Drive,
    pub nodes: Vec<Node>,
}

/// The node that all others are copies of.
pub(super) fn original(flow: Flow, volumes: usize, seed: u64) -> Result<Original, BenchError> {
    clone::original(seed, spec(volumes, flow != Flow::Snapshot), BEFORE)
}

impl Stage {
    /// Makes the nodes and starts a controller over them; it has looked at everything once.
    pub(super) fn set(
        original: &Original,
        flow: Flow,
        count: usize,
        volumes: usize,
        seed: u64,
    ) -> Result<Stage, BenchError> {
        let (mut cloud, now, mut records) = original.copies(seed, count, |_, _| ())?;
        *cloud.config() = SimConfig::default();
        let devices = devices(volumes);
        for record in &mut records {
            let kept = ["/dev/xvda"].into_iter().chain(devices.iter().map(String::as_str));
            cloud.truth_mut().expect(&record.id, kept);
            if flow == Flow::Snapshot {
                // The user has given up the zone: the next replacement goes to another one.
                record.document["compute"]["subnetIds"] = json!([format!("subnet-{AWAY}")]);
            } else {
                cloud.truth_mut().expect_address(&record.id);
            }
        }
        let nodes = records.iter().filter_map(node).collect::<Vec<_>>();
        if nodes.len() != count {
            return Err(BenchError::Copy("a copy is not as its original".to_owned()));
        }
        let records = if flow.is_holdfast() { records } else { Vec::new() };
        let mut drive = Drive::start(cloud, now, clone::config(), records);
        drive.run_for(5 * MINUTE);
        Ok(Stage { drive, nodes })
    }

    /// Every instance is taken back, announced in one instant.
    pub(super) fn strike(&mut self, percent: u32) {
        let Drive { cloud, now, .. } = &mut self.drive;
        cloud.config().throttle = Some(percent);
        for node in &self.nodes {
            cloud.interrupt(*now, &node.instance, Some(NOTICE));
        }
    }

    /// Whether a node serves with another instance than before.
    pub(super) fn is_back(drive: &Drive, node: &Node) -> bool {
        drive.cloud.truth().serving(&node.id).iter().any(|now| now != &node.instance)
    }
}

fn node(record: &Record) -> Option<Node> {
    let RootHead::Live { volume: Some(root), root_device, .. } = &record.identity.root else {
        return None;
    };
    let data = record.identity.data.iter().filter_map(|d| match &d.head {
        DataHead::Volume { id, .. } => Some((d.device.clone(), id.clone())),
        DataHead::Fresh => None,
    });
    Some(Node {
        id: record.id.clone(),
        generation: record.generations.number(),
        instance: record.instance.as_ref()?.id.clone(),
        root: root.clone(),
        root_device: root_device.clone()?,
        data: data.collect(),
        interface: record.identity.interface.as_ref().map(|i| i.id.clone()),
    })
}
