use holdfast_model::{Event, EventCode, NodeId, Severity, Time};
use std::collections::BTreeSet;
use std::fmt::Write;

fn documented() -> String {
    let mut text = String::from("| code | severity | says |\n|---|---|---|\n");
    for code in EventCode::all() {
        let severity = format!("{:?}", code.severity()).to_uppercase();
        writeln!(text, "| `{code}` | {severity} | {} |", code.says()).unwrap();
    }
    text
}

#[test]
fn every_code_stands_in_the_documentation_with_its_severity_and_its_sentence() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let table = documented();
    assert!(text.contains(&table), "docs/events.md must hold this table as it is:\n{table}");
}

#[test]
fn a_code_is_read_by_the_name_by_which_it_is_kept_and_no_two_share_one() {
    let mut names = BTreeSet::new();
    for code in EventCode::all() {
        let kept = serde_json::to_string(&code).unwrap();
        assert_eq!(kept, format!("\"{}\"", code.name()));
        assert_eq!(serde_json::from_str::<EventCode>(&kept).unwrap(), code);
        assert!(names.insert(code.name()) && !code.says().is_empty(), "{code}");
    }
    let unknown = serde_json::from_str::<EventCode>("\"of-another-day\"").unwrap_err();
    assert!(unknown.to_string().contains("no event \"of-another-day\""), "{unknown}");
}

#[test]
fn how_grave_an_event_is_follows_from_its_code() {
    let event = Event::new(Time(1), NodeId::from("smi-1"), EventCode::NeedsDecision, "a question");
    assert_eq!(event.severity, Severity::Error);
    let told = serde_json::to_value(&event).unwrap();
    assert_eq!((&told["severity"], &told["code"]), (&"ERROR".into(), &"needs-decision".into()));
}
