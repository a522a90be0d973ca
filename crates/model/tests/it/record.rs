use holdfast_model::versions::{RecordError, read};
use holdfast_model::{NodeId, Record, Time};
use serde_json::json;

/// What version 1 wrote, in the middle of a replacement. It must be readable for ever.
const GOLDEN: &str = include_str!("golden/record-1.json");

#[test]
fn a_record_of_every_released_version_is_taken_up() {
    let record = read(GOLDEN).expect("the golden record");
    assert_eq!(record.generation, 3);
    let replacement = record.replacement.expect("it was in the middle of one");
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
