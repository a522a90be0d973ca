//! What is sent to do harm, and what an older version let in.

use holdfast_model::depth::{MAX_DEPTH, MAX_STORED_DEPTH, Unread, read_sent, read_stored};
use holdfast_model::spec::limits::{MAX_DESCRIPTION, MAX_NAME, is_device, mount_mistake};
use holdfast_model::{FieldError, NodeId, Record, Spec, Time, versions};
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
                "tags": [
                    {"tagKey": "holdfast:mount:/dev/xvdb", "tagValue": "/var/lib/data"},
                    {"tagKey": "team", "tagValue": "orders"}
                ]
            }
        }
    })
}

/// Lists in each other.
fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

fn with(path: &str, value: Value) -> Value {
    let mut document = valid();
    let at = path.rsplit_once('/').expect("a path");
    document.pointer_mut(at.0).expect("there")[at.1] = value;
    document
}

fn refused(document: &Value) -> Vec<FieldError> {
    Spec::accept(document, None).expect_err("it has mistakes")
}

#[test]
fn a_body_that_is_too_deep_is_refused_with_the_path_of_where_it_becomes_so() {
    let body = |levels: usize| {
        json!({ "managedInstance": { "compute": { "a": nested(levels) } } }).to_string()
    };
    assert!(read_sent(body(MAX_DEPTH - 3).as_bytes()).is_ok());
    for levels in [MAX_DEPTH - 2, 120, 126] {
        let Err(Unread::TooDeep(error)) = read_sent(body(levels).as_bytes()) else {
            panic!("{levels} levels were read");
        };
        assert!(error.field.starts_with("compute.a[0][0]"), "{error}");
        assert!(error.problem.contains("32 levels"), "{error}");
    }
    // Far deeper than any reader goes: refused at the same place, without going there.
    let deepest = format!("{{\"name\": {}", "[".repeat(200_000));
    assert!(matches!(read_sent(deepest.as_bytes()), Err(Unread::TooDeep(_))));
    assert!(matches!(read_sent(b"{\"name\": "), Err(Unread::NotJson(_))));
    assert_eq!(
        read_sent(b"{\"a\": [1, -2, 3.5, null, true]}").expect("JSON"),
        json!({"a": [1, -2, 3.5, null, true]})
    );
}

#[test]
fn a_spec_that_is_too_deep_is_refused_by_whatever_way_it_comes() {
    let errors = refused(&with("/deep", nested(40)));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].field.starts_with("deep[0]"), "{errors:?}");
}

#[test]
fn a_record_as_deep_as_earlier_versions_took_is_read_written_and_read_again() {
    for levels in [32, 100, 123, 124, 125, 126, 127, 200] {
        let record = Record::new(NodeId::from("smi-1"), with("/deep", nested(levels)), Time(7));
        let text = serde_json::to_string(&record).expect("a record is JSON");
        let read = versions::read(&text).unwrap_or_else(|e| panic!("{levels} levels: {e}"));
        assert_eq!(read, record);
        assert!(read.document.spec().is_ok(), "{levels} levels: it goes on working");
        assert_eq!(serde_json::to_string(&read).expect("a record is JSON"), text);
    }
}

#[test]
fn control_a_reader_with_the_usual_limit_does_not_read_such_a_record() {
    let record = Record::new(NodeId::from("smi-1"), with("/deep", nested(127)), Time(7));
    let text = serde_json::to_string(&record).expect("a record is JSON");
    assert!(serde_json::from_str::<Value>(&text).is_err());
    assert!(serde_json::from_str::<Record>(&text).is_err());
}

#[test]
fn a_stored_text_that_no_version_has_written_does_not_overrun_the_stack() {
    let deepest = nested(MAX_STORED_DEPTH).to_string();
    // On a thread with the stack that a server's threads have.
    let read = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(move || {
        let value: Value = read_stored(&deepest).expect("as deep as may be");
        assert_eq!(value.clone().to_string(), deepest);
    });
    read.expect("a thread").join().expect("it was read");
    let deeper = "[".repeat(1_000_000);
    let why = read_stored::<Value>(&deeper).expect_err("too deep").to_string();
    assert!(why.contains("256 levels"), "{why}");
    for broken in
        ["[".repeat(150), "]".repeat(150), format!("{}1{}", "[".repeat(150), "}".repeat(150))]
    {
        assert!(read_stored::<Value>(&broken).is_err(), "{broken}");
    }
    let mixed = json!({ "10000000": [nested(130), 10_000_000_u64, {"x": nested(240)}, 1.5, -7] });
    assert_eq!(read_stored::<Value>(&mixed.to_string()).expect("JSON"), mixed);
    // Brackets in texts are no levels.
    let text = json!({ "a\"": "[".repeat(1_000) + "\\\"" }).to_string();
    assert!(read_stored::<Value>(&text).is_ok());
}

#[test]
fn what_would_harm_a_terminal_or_a_log_is_refused_with_all_mistakes_at_once() {
    let mut document = valid();
    document["name"] = json!("orders\u{1b}[2J");
    document["description"] = json!("one\ntwo\u{202e}");
    document["compute"]["vpcId"] = json!("vpc\nlocal");
    document["compute"]["launchSpecification"]["tags"][1] =
        json!({"tagKey": "te\u{200b}am", "tagValue": "a\0b"});
    document["st\u{9b}range"] = json!(1);
    let errors = refused(&document);
    let mut fields: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
    fields.sort_unstable();
    let tag = "compute.launchSpecification.tags[1]";
    let expected = [
        format!("{tag}.tagKey"),
        format!("{tag}.tagValue"),
        "compute.vpcId".to_owned(),
        "description".to_owned(),
        "name".to_owned(),
        "st\\u{9b}range".to_owned(),
    ];
    assert_eq!(fields, expected);
    for error in &errors {
        let told = error.to_string();
        assert!(!told.chars().any(holdfast_model::text::is_hidden), "{told:?}");
    }
}

#[test]
fn names_of_every_script_are_names_up_to_their_length() {
    for name in ["größe", "データベース", "база", "a b (c) [d] #1 & more"] {
        assert!(Spec::accept(&with("/name", json!(name)), None).is_ok(), "{name}");
    }
    let long = |member: &str, count: usize| with(member, json!("ä".repeat(count)));
    assert!(Spec::accept(&long("/name", MAX_NAME), None).is_ok());
    assert_eq!(refused(&long("/name", MAX_NAME + 1))[0].field, "name");
    assert_eq!(refused(&long("/name", 60_000))[0].field, "name");
    assert!(Spec::accept(&long("/description", MAX_DESCRIPTION), None).is_ok());
    assert_eq!(refused(&long("/description", MAX_DESCRIPTION + 1))[0].field, "description");
    assert!(Spec::accept(&with("/description", json!("one\n\ttwo\r\n")), None).is_ok());
}

#[test]
fn volumes_are_mounted_where_a_node_can_do_without_what_is_there() {
    for good in ["/data", "/var", "/var/lib/orders", "/srv/a b", "/run/db", "/etcetera", "/home"] {
        assert_eq!(mount_mistake(good), None, "{good}");
    }
    let long = format!("/{}", "x".repeat(256));
    let longest = "/xxxxxxx".repeat(700);
    for bad in [
        "",
        "data",
        "/",
        "//",
        "/a/",
        "/a//b",
        "/a/../b",
        "/a/./b",
        "/..",
        "/a\0b",
        "/a\nb",
        "/etc",
        "/usr",
        "/usr/bin",
        "/bin",
        "/lib",
        "/proc",
        "/proc/1",
        "/sys/fs",
        "/dev",
        "/dev/shm",
        "/run",
        "/run/holdfast",
        "/run/holdfast/x",
        &long,
        &longest,
    ] {
        assert!(mount_mistake(bad).is_some(), "{bad:?}");
        let errors = refused(&with("/compute/launchSpecification/tags/0/tagValue", json!(bad)));
        let field = "compute.launchSpecification.tags[0].tagValue";
        assert!(errors.iter().any(|e| e.field == field), "{bad:?}: {errors:?}");
    }
}

#[test]
fn devices_have_the_names_that_ec2_gives_them() {
    for good in ["/dev/xvdb", "/dev/xvdaa", "/dev/sda1", "/dev/sdf", "/dev/sdz15", "/dev/xvda"] {
        assert!(is_device(good), "{good}");
    }
    for bad in [
        "",
        "/dev/",
        "/dev/sd",
        "/dev/null",
        "/dev/sdB",
        "/dev/sdaa",
        "/dev/xvd",
        "/dev/xvdabc",
        "/dev/../etc",
        "/dev/xvdb\0",
        "/dev/xvdb/../..",
        "xvdb",
        "/dev/xvdb123",
        "/dev/loop0",
    ] {
        assert!(!is_device(bad), "{bad:?}");
        let path = "/compute/launchSpecification/blockDeviceMappings/0/deviceName";
        let errors = refused(&with(path, json!(bad)));
        assert!(errors.iter().any(|e| e.field.ends_with("[0].deviceName")), "{bad:?}: {errors:?}");
    }
}

#[test]
fn what_was_accepted_before_there_were_limits_is_read_and_can_be_changed() {
    let mut old = valid();
    old["name"] = json!("x".repeat(200_000));
    old["deep"] = nested(100);
    old["compute"]["launchSpecification"]["blockDeviceMappings"][0]["deviceName"] =
        json!("/dev/data0");
    old["compute"]["launchSpecification"]["tags"][0] =
        json!({"tagKey": "holdfast:mount:/dev/data0", "tagValue": "/etc"});
    assert!(Spec::read(&old).is_ok());
    assert!(Spec::accept(&old, None).is_err());
    let mut new = old.clone();
    new["compute"]["launchSpecification"]["instanceTypes"]["types"] = json!(["m5.xlarge"]);
    assert!(Spec::accept(&new, Some(&old)).is_ok(), "what it had is not held against it");
    let mut shallow = old.clone();
    shallow["deep"] = Value::Null;
    let mut new = shallow.clone();
    new["description"] = json!("a\u{1b}b");
    let errors = Spec::accept(&new, Some(&shallow)).expect_err("a new mistake");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].field, "description");
}
