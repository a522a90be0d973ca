//! Every setting of a launch comes back at every replacement.

use crate::scene::{Scene, Shape, WHOLE};
use holdfast_model::facts::Fact;
use holdfast_model::record::DataHead;
use holdfast_model::time::MINUTE;
use holdfast_model::user::UserCommand;
use holdfast_model::{Kind, tags};
use serde_json::{Map, Value, json};

const SHAPE: Shape = Shape { data: Some("onLaunch"), private_ip: false, zones: 3, ..WHOLE };
const SCRIPT: &str = "IyEvYmluL3NoCg==";

/// The members of `launchSpecification` that are handed to the cloud as they are.
fn passed_on() -> Map<String, Value> {
    let settings = json!({
        "creditSpecification": {"cpuCredits": "unlimited"},
        "ebsOptimized": true,
        "iamRole": {"name": "orders-db"},
        "keyPair": "ops",
        "metadataOptions": {
            "httpTokens": "required",
            "httpPutResponseHopLimit": 2,
            "instanceMetadataTags": "enabled"
        },
        "monitoring": true,
        "networkInterfaces": [{"deviceIndex": 0, "associatePublicIpAddress": true}],
        "resourceTagSpecification": {
            "volumes": {"shouldTag": true},
            "snapshots": {"shouldTag": false}
        },
        "securityGroupIds": ["sg-1", "sg-2"],
        "tenancy": "dedicated"
    });
    settings.as_object().unwrap().clone()
}

fn document() -> Value {
    let mut document = SHAPE.spec();
    let launch = document["compute"]["launchSpecification"].as_object_mut().unwrap();
    launch.extend(passed_on());
    launch.insert("userData".to_owned(), SCRIPT.into());
    launch.insert("tags".to_owned(), json!([{"tagKey": "team", "tagValue": "db"}]));
    launch.insert(
        "blockDeviceMappings".to_owned(),
        json!([
            {"deviceName": "/dev/xvda", "ebs": {
                "volumeSize": 12, "volumeType": "gp3", "iops": 4000, "encrypted": true,
                "deleteOnTermination": true
            }},
            {"deviceName": "/dev/xvdb", "ebs": {
                "volumeSize": 10, "volumeType": "io2", "iops": 5000, "kmsKeyId": "key-1"
            }},
            {"deviceName": "/dev/xvdc", "ebs": {"volumeSize": 20, "throughput": 300}}
        ]),
    );
    document
}

/// Whether what a node has of a kind carries the user's tag: all of it, or none.
fn carries(scene: &Scene, pick: impl Fn(&Fact) -> bool) -> bool {
    let resources = scene.sim.cloud.resources(&scene.node);
    let tagged: Vec<bool> = resources
        .iter()
        .filter(|fact| pick(fact))
        .map(|fact| fact.tags().get("team").map(String::as_str) == Some("db"))
        .collect();
    assert!(!tagged.is_empty());
    assert!(tagged.iter().all(|t| *t == tagged[0]), "{tagged:?}");
    tagged[0]
}

fn check(scene: &Scene) {
    let record = scene.sim.record(&scene.node).unwrap();
    let holder = record.instance.clone().unwrap();
    let launch = scene.sim.cloud.launch_of(&holder.id).unwrap();
    assert_eq!(launch.settings, passed_on());
    assert_eq!(launch.user_data.as_deref(), Some(SCRIPT));
    assert_eq!(launch.shutdown_script.as_deref(), Some(SCRIPT));
    assert_eq!(launch.root_size_gib, Some(12));
    let root = json!({"volumeType": "gp3", "iops": 4000, "encrypted": true});
    assert_eq!(Value::Object(launch.root_settings.clone()), root);
    assert!(!launch.root_delete_on_termination, "a kept root never dies with its instance");
    assert_eq!(launch.tags.get("team").map(String::as_str), Some("db"));
    assert_eq!(launch.tags.get(tags::GENERATION), Some(&record.generations.number().to_string()));
    let settings = |device: &str| {
        let head = record.identity.data.iter().find(|d| d.device == device).map(|d| d.head.clone());
        match head {
            Some(DataHead::Volume { id, .. }) => {
                Value::Object(scene.sim.cloud.settings_of(&id).unwrap().clone())
            }
            other => panic!("{other:?}"),
        }
    };
    let data = json!({"volumeType": "io2", "iops": 5000, "kmsKeyId": "key-1"});
    assert_eq!(settings("/dev/xvdb"), data);
    assert_eq!(settings("/dev/xvdc"), json!({"throughput": 300}));
    assert!(carries(scene, |f| matches!(f, Fact::Instance(_))));
    assert!(carries(scene, |f| matches!(f, Fact::Volume(_))), "shouldTag: true");
    assert!(!carries(scene, |f| matches!(f, Fact::Interface(_))), "false is the default");
    if record.generations.number() > 1 {
        assert!(!carries(scene, |f| matches!(f, Fact::Snapshot(_))), "shouldTag: false");
        assert!(carries(scene, |f| matches!(f, Fact::Image(_))), "true is the default");
    }
}

#[test]
fn every_setting_of_the_launch_arrives_in_every_generation() {
    let mut scene = Scene::empty(1, SHAPE);
    let word = UserCommand::Create { id: scene.node.clone(), document: document() };
    let number = scene.sim.say(word);
    scene.wait("ACTIVE", |s, node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"));
    assert!(scene.sim.answers.get(&number).is_some_and(Result::is_ok));
    check(&scene);
    scene.wait("saved while it runs", |s, node| {
        s.record(node).is_some_and(|r| !r.upkeep.sets.is_empty())
    });
    assert!(!carries(&scene, |f| matches!(f, Fact::Snapshot(_))), "shouldTag: false");
    for kind in [Kind::Lost, Kind::Notice, Kind::Recycle, Kind::Unhealthy] {
        let before = scene.generation();
        scene.sim.run_for(2 * MINUTE);
        scene.trigger(kind, SHAPE);
        scene.wait_for_end(kind, before);
        check(&scene);
    }
    scene.trigger(Kind::Pause, SHAPE);
    scene.wait_for_end(Kind::Pause, 0);
    let before = scene.generation();
    scene.trigger(Kind::Resume, SHAPE);
    scene.wait_for_end(Kind::Resume, before);
    check(&scene);
    let zone = scene.sim.record(&scene.node).unwrap().instance.clone().unwrap().market.zone;
    scene.drought(None, Some(zone.as_str()), true);
    let before = scene.generation();
    scene.trigger(Kind::Lost, SHAPE);
    scene.wait_for_end(Kind::Lost, before);
    check(&scene);
    scene.judge(Kind::Lost);
}
