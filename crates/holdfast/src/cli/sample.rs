//! A node for tests of what people read.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

use super::client::{Summary, Whole};
use holdfast_model::record::{DataHead, DataVolume, HeldInterface, Holder, Record};
use holdfast_model::replacement::{Finished, Replacement, RowState};
use holdfast_model::{Kind, Lifecycle, Market, NodeId, Row, Time};
use serde_json::json;

/// When it was made, in milliseconds since 1970.
pub const BEGIN: u64 = 1_588_668_792_000;

/// Where it runs.
fn market() -> Market {
    Market {
        instance_type: "m5.large".to_owned(),
        zone: "local-1a".into(),
        subnet: "subnet-local-1a".into(),
        lifecycle: Lifecycle::Spot,
    }
}

/// A node in its second replacement.
pub fn sample() -> Whole {
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
    let mut record = Record::new(NodeId::from("smi-00000001"), document, Time(BEGIN));
    record.generation = 1;
    record.holder = Some(Holder {
        id: "i-1".into(),
        market: market(),
        why: "$0.0350/h; nothing is known of it yet".to_owned(),
        launched_at: Time(BEGIN),
        impaired_since: None,
    });
    record.data = vec![DataVolume {
        device: "/dev/xvdb".to_owned(),
        head: DataHead::Volume { id: "vol-1".into(), zone: "local-1a".into() },
        fs_uuid: None,
        joined: None,
        restore: None,
    }];
    record.interface = Some(HeldInterface {
        id: "eni-1".into(),
        subnet: "subnet-local-1a".into(),
        zone: "local-1a".into(),
        private_ip: "10.77.1.20".to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        device_index: 0,
    });
    record.history = vec![Finished {
        number: 1,
        kind: Kind::Create,
        reason: "a new node".to_owned(),
        started_at: Time(BEGIN),
        finished_at: Time(BEGIN + 1_250),
        from_generation: 0,
        to_generation: 1,
        market: Some(market()),
        rows: vec![
            (Row::Place, Time(BEGIN), Some(Time(BEGIN + 3))),
            (Row::Launch, Time(BEGIN + 3), Some(Time(BEGIN + 1_203))),
        ],
        completed: true,
        lost_again: false,
    }]
    .into();
    record.replacement = Some(Replacement {
        number: 2,
        kind: Kind::Notice,
        reason: "interrupted".to_owned(),
        started_at: Time(BEGIN + 60_000),
        deadline: None,
        from_generation: 1,
        document: json!({}).into(),
        spec_revision: 1,
        market: None,
        rows: [(
            Row::Drain,
            RowState { started_at: Some(Time(BEGIN + 60_000)), ..RowState::default() },
        )]
        .into(),
        market_why: String::new(),
        without_market_since: None,
        markets_refused: 0,
    });
    let summary = Summary {
        id: "smi-00000001".to_owned(),
        name: "db".to_owned(),
        status: "RECYCLING".to_owned(),
        market: Some(market()),
        private_ip: Some("10.77.1.20".to_owned()),
        generation: 1,
        waits_for: Some("the shutdown script".to_owned()),
        given_up: false,
    };
    Whole { summary, record, instance: None, volumes: Vec::new(), interfaces: Vec::new() }
}
