//! The stage: nodes that serve, and what happens when they are all taken back.

use super::{StormOptions, StormRow};
use crate::BenchError;
use holdfast_cloud_sim::{SimCloud, SimConfig};
use holdfast_controller::FleetConfig;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::UserCommand;
use holdfast_model::{Installation, InstanceId, NodeId};
use holdfast_sim::Simulation;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The longest that a run may take in virtual time.
const LIMIT: u64 = 48 * HOUR;
/// How long before the power goes EC2 says so.
const NOTICE: u64 = 120 * SECOND;

/// Nodes that serve.
pub(super) struct Stage {
    sim: Simulation,
    nodes: Vec<NodeId>,
}

/// A node's spec: root, address and data volumes are kept.
fn spec(volumes: usize) -> Value {
    let devices: Vec<Value> = (b'b'..)
        .take(volumes)
        .map(|letter| {
            let name = format!("/dev/xvd{}", char::from(letter));
            json!({"deviceName": name, "ebs": {"volumeSize": 10}})
        })
        .collect();
    json!({
        "name": "storm",
        "region": "sim-1",
        "strategy": {"lifeCycle": "spot"},
        "persistence": {
            "persistRootDevice": true,
            "persistBlockDevices": true,
            "blockDevicesMode": "reattach",
            "persistPrivateIp": true
        },
        "compute": {
            "vpcId": "vpc-sim",
            "subnetIds": ["subnet-sim-1a"],
            "launchSpecification": {
                "imageId": "ami-sim",
                "instanceTypes": {"types": ["m5.large"]},
                "blockDeviceMappings": devices
            }
        }
    })
}

impl Stage {
    /// Makes the nodes, without limits on calls, and waits until they serve.
    pub(super) fn set(count: usize, options: &StormOptions) -> Result<Stage, BenchError> {
        let cloud = SimCloud::new(options.seed, SimConfig::default());
        let config = FleetConfig::ec2(Installation::from("0123abcd"));
        let mut sim = Simulation::new(cloud, config);
        let nodes: Vec<NodeId> = (1..=count).map(|n| NodeId(format!("smi-{n:08x}"))).collect();
        for id in &nodes {
            sim.say(UserCommand::Create { id: id.clone(), document: spec(options.volumes) });
        }
        let active =
            |s: &Simulation, id: &NodeId| s.record(id).is_some_and(|r| r.status() == "ACTIVE");
        let mut left = nodes.clone();
        sim.run_until(LIMIT, |s| {
            while left.last().is_some_and(|id| active(s, id)) {
                left.pop();
            }
            left.is_empty()
        })
        .map_err(|stuck| BenchError::Stuck {
            what: format!("making {count} nodes"),
            waits: stuck.waits.into_iter().take(3).collect::<Vec<_>>().join("; "),
        })?;
        sim.run_for(2 * MINUTE);
        Ok(Stage { sim, nodes })
    }

    /// Takes every instance back in one instant, and waits until every node serves again.
    pub(super) fn storm(mut self) -> Result<StormRow, BenchError> {
        let sim = &mut self.sim;
        let began = sim.now;
        let calls_before = sim.cloud.calls().len();
        sim.cloud.config().throttle = Some(100);
        let mut old: BTreeMap<NodeId, InstanceId> = BTreeMap::new();
        for id in &self.nodes {
            if let Some(holder) = sim.record(id).and_then(|r| r.holder.clone()) {
                sim.cloud.interrupt(began, &holder.id, Some(NOTICE));
                old.insert(id.clone(), holder.id);
            }
        }
        let mut left = old.clone();
        sim.run_until(LIMIT, |s| {
            while let Some((id, before)) = left.last_key_value() {
                if !s.cloud.truth().serving(id).iter().any(|now| now != before) {
                    return false;
                }
                left.pop_last();
            }
            true
        })
        .map_err(|stuck| BenchError::Stuck {
            what: format!("a storm over {} nodes", self.nodes.len()),
            waits: stuck.waits.into_iter().take(3).collect::<Vec<_>>().join("; "),
        })?;
        let ended = sim.now;
        // What is superseded is deleted after the node serves: it counts as well.
        sim.run_for(HOUR);
        if let Some(violation) = sim.cloud.violations().first() {
            return Err(BenchError::Broken {
                what: format!("a storm over {} nodes", self.nodes.len()),
                violation: violation.to_string(),
            });
        }
        let calls = &sim.cloud.calls()[calls_before..];
        let is_read = |action: &str| action.starts_with("Describe");
        let is_agents = |action: &str| matches!(action, "Drain" | "OpenGate");
        let mutating =
            calls.iter().filter(|(_, action, _)| !is_read(action) && !is_agents(action)).count();
        let reads = calls.iter().filter(|(at, action, _)| is_read(action) && *at <= ended).count();
        Ok(StormRow {
            nodes: self.nodes.len(),
            flow: "reattach",
            seconds: ended.since(began) as f64 / 1_000.0,
            mutating_calls_per_replacement: mutating as f64 / self.nodes.len() as f64,
            describe_calls: reads as u64,
        })
    }
}
