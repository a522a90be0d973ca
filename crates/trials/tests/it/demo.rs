//! The demonstration itself, shortened: real servers, real power cuts, the controller killed.

use crate::trials;
use holdfast_scratch::Scratch;

/// Plays the demonstration with further words; its report, and all that it said.
fn played(words: &[&str]) -> (serde_json::Value, String) {
    let scratch = Scratch::new();
    let report = scratch.path().join("report.json");
    let output = trials()
        .arg("demo")
        .args(words)
        .arg("--data-dir")
        .arg(scratch.path().join("data"))
        .arg("--report")
        .arg(&report)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{why}");
    let report = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    (report, format!("{said}\n{why}"))
}

#[test]
fn a_control_whose_torn_log_keeps_it_from_starting_has_lost_everything() {
    let (report, said) = played(&["--rounds", "1", "--tear-control"]);
    let control = &report["control"];
    assert!(control["acked"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(control["lost"], control["acked"], "{report}");
    let reason = control["does_not_start"].as_str().unwrap();
    assert!(reason.contains("append only file"), "{reason}");
    let lost = &control["lost"];
    assert!(said.contains(&format!("{lost}: its log is torn, it does not start")), "{said}");
    assert!(said.contains("does not start, because its log is torn: all"), "{said}");
    // The nodes under trial were served by servers that do start.
    for node in report["nodes"].as_array().unwrap() {
        assert_eq!(node["lost"], 0, "{node}");
    }
}

#[test]
fn the_demonstration_loses_nothing_and_its_control_does() {
    let (report, said) = played(&["--rounds", "3"]);
    assert!(report["control"]["lost"].as_u64().unwrap() > 0, "{report}");
    let nodes = report["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    for node in nodes {
        assert!(node["acked"].as_u64().unwrap() > 0, "{node}");
        assert_eq!(node["lost"], 0, "{node}");
        assert_eq!(node["interruptions"], 3, "{node}");
        for kept in ["ip", "mac", "data_volume"] {
            assert_eq!(node[kept]["before"], node[kept]["after"], "{node}");
        }
        assert!(node["blackout_ms"]["median"].as_u64().unwrap() > 0, "{node}");
    }
    assert!(said.contains("killed with -9"), "{said}");
}
