//! The soak, shortened: every kind of trouble once, on four nodes.

use crate::trials;
use holdfast_scratch::Scratch;

#[test]
fn four_nodes_live_through_every_kind_of_trouble_once_and_nothing_is_lost_or_left_over() {
    let scratch = Scratch::new();
    let output = trials()
        .args(["soak", "--for", "1s", "--nodes", "4", "--seed", "1", "--data-dir"])
        .arg(scratch.path().join("data"))
        .arg("--report-dir")
        .arg(scratch.path().join("report"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let timeline = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{timeline}");
    let report = std::fs::read_to_string(scratch.path().join("report/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    for action in report["actions"].as_array().unwrap() {
        assert!(action["tried"].as_u64().unwrap() > 0, "{action}");
    }
    for node in report["nodes"].as_array().unwrap() {
        assert!(node["acked"].as_u64().unwrap() > 0 && node["lost"] == 0, "{node}");
    }
    assert!(report["control"]["lost"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["left_at_the_end"], serde_json::json!([]));
    // The specs and the server's log are all that stays for people to read.
    for left in std::fs::read_dir(scratch.path().join("data")).unwrap() {
        let left = left.unwrap().path();
        let readable = left.extension().is_some_and(|e| e == "yaml" || e == "log");
        assert!(readable, "{} is left over", left.display());
    }
}
