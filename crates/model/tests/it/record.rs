use holdfast_model::versions::{RecordError, read};
use holdfast_model::{NodeId, Record, Time};
use serde_json::json;

/// What version 1 wrote, in the middle of a replacement. It must be readable for ever.
const GOLDEN: &str = include_str!("golden/record-1.json");

#[test]
fn a_record_of_every_released_version_is_taken_up() {
    let record = read(GOLDEN).expect("the golden record");
    assert_eq!(record.generations.number(), 3);
    let replacement = record.work.expect("it was in the middle of one");
    assert!(replacement.is_done(holdfast_model::Row::Fence));
    assert!(!replacement.is_done(holdfast_model::Row::Launch));
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let record = Record::new(NodeId::from("smi-0000abcd"), json!({"name": "n"}), Time(7));
    let text = serde_json::to_string(&record).expect("a record is JSON");
    assert_eq!(read(&text).expect("read back"), record);
    let golden = read(GOLDEN).expect("the golden record");
    let text = serde_json::to_string(&golden).expect("a record is JSON");
    assert_eq!(read(&text).expect("read back"), golden);
}

#[test]
fn a_newer_record_is_refused_with_the_remedy_and_a_damaged_one_with_its_damage() {
    let newer = read(r#"{"schema": 99}"#).expect_err("newer");
    assert!(matches!(newer, RecordError::Newer { found: 99 }));
    assert!(newer.to_string().contains("run the newer version"));
    for damaged in ["", "{", "[]", r#"{"schema": 1}"#, r#"{"schema": 0}"#] {
        assert!(matches!(read(damaged), Err(RecordError::Damaged(_))), "{damaged}");
    }
}

#[test]
fn a_node_whose_last_launch_was_lost_before_it_was_ready_is_not_active() {
    use holdfast_model::record::ServingInstance;
    use holdfast_model::replacement::Finished;
    use holdfast_model::{Kind, Lifecycle, Market};
    let mut record = Record::new(NodeId::from("smi-0000abcd"), json!({"name": "n"}), Time(7));
    let market = Market {
        instance_type: "m5.large".to_owned(),
        zone: "local-1a".into(),
        subnet: "subnet-local-1a".into(),
        lifecycle: Lifecycle::Spot,
    };
    record.instance = Some(ServingInstance {
        id: "i-1".into(),
        market,
        why: "it was cheap".into(),
        launched_at: Time(8),
        impaired_since: None,
    });
    assert_eq!(record.status(), "ACTIVE");
    record.memory.history.push(Finished {
        number: 1,
        kind: Kind::Lost,
        reason: "i-1 is lost".to_owned(),
        started_at: Time(8),
        finished_at: Time(9),
        from_generation: Some(1),
        to_generation: Some(2),
        market: None,
        rows: Vec::new(),
        completed: false,
        lost_again: true,
    });
    assert_eq!(record.status(), "RECYCLING");
}
