//! A node for tests of what people read.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

use holdfast_wire::record::{
    DataHead, DataVolume, Finished, Goal, HeldInterface, Holder, NodeRecord, Replacement, RootHead,
    RowState, Upkeep,
};
use holdfast_wire::{Lifecycle, ManagedInstance, Market, NodeSummary, WholeNode};
use serde_json::json;
use std::collections::BTreeMap;

/// When it was made, in milliseconds since 1970.
pub const BEGIN: u64 = 1_588_668_792_000;

/// Where it runs.
fn market() -> Market {
    Market {
        instance_type: "m5.large".to_owned(),
        zone: "local-1a".to_owned(),
        subnet: "subnet-local-1a".to_owned(),
        lifecycle: Lifecycle::Spot,
    }
}

/// What is known of a node that has nothing yet.
pub fn new() -> NodeRecord {
    let document = json!({
        "name": "db", "region": "local-1",
        "persistence": {
            "persistBlockDevices": true, "blockDevicesMode": "reattach",
            "persistPrivateIp": true,
        },
        "compute": {
            "vpcId": "vpc-local", "subnetIds": ["subnet-local-1a"],
            "launchSpecification": {
                "imageId": "ami-host",
                "instanceTypes": { "types": ["m5.large"] },
                "blockDeviceMappings": [{ "deviceName": "/dev/xvdb", "ebs": {} }],
            },
        },
    });
    NodeRecord {
        id: "smi-00000001".to_owned(),
        document: ManagedInstance(document.as_object().cloned().unwrap()),
        spec_revision: 1,
        created_at: BEGIN,
        updated_at: BEGIN,
        goal: Goal::Running,
        recycle_wanted: false,
        rollback: None,
        generation: 0,
        ready_generation: None,
        holder: None,
        root: RootHead::Fresh,
        data: Vec::new(),
        interface: None,
        secondary: Vec::new(),
        elastic_ip: None,
        replacement: None,
        history: Vec::new(),
        replacements: 0,
        finals: Vec::new(),
        upkeep: Upkeep {
            pending: None,
            sets: Vec::new(),
            last_at: 0,
            interval_ms: 0,
            failing: false,
        },
        superseded: Vec::new(),
        cooled: BTreeMap::new(),
        revert_after: None,
        stuck: None,
        deallocation: None,
        deallocated: false,
        let_go: false,
        quarantine: None,
    }
}

/// A node in its second replacement.
pub fn sample() -> WholeNode {
    let mut record = new();
    record.generation = 1;
    record.holder = Some(Holder {
        id: "i-1".to_owned(),
        market: market(),
        why: "$0.0350/h; nothing is known of it yet".to_owned(),
        launched_at: BEGIN,
        impaired_since: None,
    });
    record.data = vec![DataVolume {
        device: "/dev/xvdb".to_owned(),
        head: DataHead::Volume { id: "vol-1".to_owned(), zone: "local-1a".to_owned() },
        fs_uuid: None,
        joined: None,
        restore: None,
    }];
    record.interface = Some(HeldInterface {
        id: "eni-1".to_owned(),
        subnet: "subnet-local-1a".to_owned(),
        zone: "local-1a".to_owned(),
        private_ip: "10.77.1.20".to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        device_index: 0,
    });
    record.history = vec![Finished {
        number: 1,
        kind: "create".to_owned(),
        reason: "a new node".to_owned(),
        started_at: BEGIN,
        finished_at: BEGIN + 1_250,
        from_generation: 0,
        to_generation: 1,
        market: Some(market()),
        rows: vec![
            ("place".to_owned(), BEGIN, Some(BEGIN + 3)),
            ("launch".to_owned(), BEGIN + 3, Some(BEGIN + 1_203)),
        ],
        completed: true,
        lost_again: false,
    }];
    let drain = RowState { started_at: Some(BEGIN + 60_000), done_at: None };
    record.replacement = Some(Replacement {
        number: 2,
        kind: "notice".to_owned(),
        reason: "interrupted".to_owned(),
        started_at: BEGIN + 60_000,
        deadline: None,
        from_generation: 1,
        spec_revision: 1,
        market: None,
        market_why: String::new(),
        rows: [("drain".to_owned(), drain)].into(),
        without_market_since: None,
        markets_refused: 0,
    });
    let summary = NodeSummary {
        id: "smi-00000001".to_owned(),
        name: "db".to_owned(),
        status: "RECYCLING".to_owned(),
        market: Some(market()),
        private_ip: Some("10.77.1.20".to_owned()),
        generation: Some(1),
        waits_for: Some("the shutdown script".to_owned()),
        ..NodeSummary::default()
    };
    WholeNode {
        summary,
        record,
        instance: None,
        volumes: Vec::new(),
        interfaces: Vec::new(),
        image: None,
    }
}
