use base64::Engine as _;
use holdfast_model::spec::BlockDevicesMode;
use holdfast_model::{FieldError, Lifecycle, Spec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

fn valid() -> Value {
    json!({
        "name": "orders",
        "region": "local-1",
        "persistence": {"persistBlockDevices": true, "blockDevicesMode": "reattach"},
        "compute": {
            "vpcId": "vpc-local",
            "subnetIds": ["subnet-local-1a"],
            "launchSpecification": {
                "imageId": "ami-host",
                "instanceTypes": {"types": ["m5.large"]},
                "blockDeviceMappings": [{"deviceName": "/dev/xvdb", "ebs": {"volumeSize": 10}}],
                "tags": [{"tagKey": "holdfast:mount:/dev/xvdb", "tagValue": "/var/lib/data"}]
            }
        }
    })
}

fn errors(document: &Value) -> Vec<FieldError> {
    Spec::read(document).expect_err("it has mistakes")
}

#[test]
fn a_plain_spec_is_read_with_the_documented_defaults() {
    let spec = Spec::read(&valid()).expect("valid");
    assert_eq!(spec.lifecycle, Lifecycle::Spot);
    assert!(spec.fallback_to_on_demand && spec.health_check.auto_healing);
    assert_eq!(spec.draining_timeout_ms, 120_000);
    assert_eq!(spec.persistence.data, Some(BlockDevicesMode::Reattach));
    assert_eq!(spec.data[0].mount, "/var/lib/data");
    assert!(spec.tags.is_empty(), "a mount tag is not a tag of the instance");
}

#[test]
fn every_mistake_is_named_at_once_with_field_allowed_values_and_example() {
    let mut document = valid();
    document["name"] = json!("");
    document["strategy"] = json!({"lifeCycle": "cheap", "drainingTimeout": -1});
    document["compute"]["launchSpecification"]["imageId"] = Value::Null;
    document["compute"]["launchSpecification"]["userData"] = json!("#!/bin/sh");
    document["compute"]["launchSpecification"]["blockDeviceMappings"][0]["ebs"]["volumeSize"] =
        json!("big");
    let found = errors(&document);
    let fields: Vec<&str> = found.iter().map(|e| e.field.as_str()).collect();
    for field in [
        "name",
        "strategy.lifeCycle",
        "strategy.drainingTimeout",
        "compute.launchSpecification.imageId",
        "compute.launchSpecification.userData",
        "compute.launchSpecification.blockDeviceMappings[0].ebs.volumeSize",
    ] {
        assert!(fields.contains(&field), "{field} is missing in {fields:?}");
    }
    for error in &found {
        assert!(!error.allowed.is_empty() && !error.example.is_empty(), "{error:?}");
    }
}

#[test]
fn a_spec_that_keeps_nothing_is_no_stateful_node() {
    let mut document = valid();
    document["persistence"] = json!({});
    assert_eq!(errors(&document)[0].field, "persistence");
}

#[test]
fn numbers_and_booleans_as_strings_are_accepted_as_cloudformation_sends_them() {
    let mut document = valid();
    document["persistence"]["persistRootDevice"] = json!("true");
    document["strategy"] = json!({"fallbackToOd": "false", "drainingTimeout": "30"});
    let spec = Spec::read(&document).expect("valid");
    assert!(spec.persistence.root && !spec.fallback_to_on_demand);
    assert_eq!(spec.draining_timeout_ms, 30_000);
}

#[test]
fn a_secret_in_a_wrong_place_is_not_repeated_in_the_error() {
    let mut document = valid();
    let secret = "hunter2!".repeat(20);
    document["compute"]["launchSpecification"]["userData"] = json!(secret);
    for error in errors(&document) {
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_tag_is_no_longer_than_ec2_takes() {
    let with = |key: usize, value: usize| {
        let mut document = valid();
        let tag = json!({"tagKey": "k".repeat(key), "tagValue": "ä".repeat(value)});
        document["compute"]["launchSpecification"]["tags"] = json!([tag]);
        Spec::read(&document)
    };
    assert_eq!(with(127, 256).expect("as long as may be").tags.len(), 1);
    for (key, value, wrong) in [(128, 0, "tagKey"), (1, 257, "tagValue")] {
        let errors = with(key, value).expect_err("too long");
        let field = format!("compute.launchSpecification.tags[0].{wrong}");
        assert!(errors.iter().any(|e| e.field.ends_with(&field)), "{errors:?}");
    }
}

#[test]
fn a_tag_says_whether_the_next_instance_may_be_launched_first() {
    let with = |value: &str| {
        let mut document = valid();
        let tags = &mut document["compute"]["launchSpecification"]["tags"];
        *tags = json!([{"tagKey": "holdfast:make-before-break", "tagValue": value}]);
        Spec::read(&document)
    };
    assert!(Spec::read(&valid()).unwrap().make_before_break);
    assert!(with("on").unwrap().make_before_break);
    let off = with("off").unwrap();
    assert!(!off.make_before_break && off.tags.is_empty());
    let errors = with("maybe").unwrap_err();
    assert!(format!("{errors:?}").contains("on or off"), "{errors:?}");
}

#[test]
fn mount_tags_must_name_a_data_volume_and_a_path_of_their_own() {
    let mut document = valid();
    document["compute"]["launchSpecification"]["tags"] = json!([
        {"tagKey": "holdfast:mount:/dev/xvdz", "tagValue": "/x"},
        {"tagKey": "holdfast:mount:/dev/xvdb", "tagValue": "/a/../b"},
        {"tagKey": "holdfast:node", "tagValue": "mine"}
    ]);
    assert_eq!(errors(&document).len(), 3);
}

#[test]
fn settings_that_are_not_acted_on_are_named() {
    let mut document = valid();
    document["scheduling"] = json!({"tasks": [{"taskType": "pause"}]});
    document["strategy"] = json!({"revertToSpot": {"performAt": "never"}});
    let spec = Spec::read(&document).expect("valid");
    assert_eq!(spec.not_acted_on, ["scheduling.tasks"]);
}

#[test]
fn user_data_has_the_limit_of_ec2() {
    let encode = |n: usize| base64::engine::general_purpose::STANDARD.encode(vec![b'#'; n]);
    let mut document = valid();
    document["compute"]["launchSpecification"]["userData"] = json!(encode(16 * 1024));
    assert!(Spec::read(&document).is_ok());
    document["compute"]["launchSpecification"]["userData"] = json!(encode(16 * 1024 + 1));
    assert_eq!(errors(&document).len(), 1);
}

#[test]
fn settings_of_a_launch_are_checked_when_they_are_sent() {
    let mut document = valid();
    let launch = &mut document["compute"]["launchSpecification"];
    launch["tenancy"] = json!("shared");
    launch["ebsOptimized"] = json!("perhaps");
    launch["keyPair"] = json!(7);
    launch["creditSpecification"] = json!({"cpuCredits": "many"});
    launch["metadataOptions"] =
        json!({"httpTokens": "never", "httpPutResponseHopLimit": 65, "instanceMetadataTags": "on"});
    launch["resourceTagSpecification"] = json!({"volumes": {"shouldTag": "no"}});
    launch["networkInterfaces"] =
        json!([{"deviceIndex": 1}, {"deviceIndex": 1}, {"deviceIndex": 8}]);
    let mut fields: Vec<String> = errors(&document).into_iter().map(|e| e.field).collect();
    fields.sort();
    let expected = [
        "creditSpecification.cpuCredits",
        "ebsOptimized",
        "keyPair",
        "metadataOptions.httpPutResponseHopLimit",
        "metadataOptions.httpTokens",
        "metadataOptions.instanceMetadataTags",
        "networkInterfaces[1].deviceIndex",
        "networkInterfaces[2].deviceIndex",
        "resourceTagSpecification.volumes.shouldTag",
        "tenancy",
    ];
    let expected: Vec<String> =
        expected.iter().map(|f| format!("compute.launchSpecification.{f}")).collect();
    assert_eq!(fields, expected);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(holdfast_scratch::seed("documents")),
        ..Default::default()
    })]

    #[test]
    fn no_document_makes_the_reader_panic(value in any_json(), place in 0..8_usize) {
        let mut document = valid();
        match place {
            0 => document = value,
            1 => document["name"] = value,
            2 => document["strategy"] = value,
            3 => document["compute"]["subnetIds"] = value,
            4 => document["compute"]["launchSpecification"]["tags"] = value,
            5 => document["compute"]["launchSpecification"]["blockDeviceMappings"] = value,
            6 => document["compute"]["launchSpecification"]["instanceTypes"] = value,
            _ => document["persistence"] = value,
        }
        let _ = Spec::read(&document);
    }
}
