//! The blackout benchmark, shortened: its shape is judged, not its speed.

use crate::trials;
use holdfast_scratch::Scratch;

#[test]
fn what_a_crash_leaves_to_be_replayed_is_written_right_before_each_loss() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let bench = |more: &[&str]| {
        let mut command = trials();
        command.args(["bench", "blackout", "--json", "--rounds", "1", "--data-dir"]).arg(&data);
        command.args(more).output().unwrap()
    };
    let output = bench(&["--behind", "8", "--workload", "postgres", "--kind", "hard"]);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{why}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["behind_mib"], 8);
    for entry in report["workloads"].as_array().unwrap() {
        assert_eq!(entry["lost"], 0, "{entry}");
    }
    for (wrong, told) in [
        (vec!["--behind", "8", "--workload", "redis"], "leave it out of --workload"),
        (vec!["--behind", "65"], "--behind must be from 0 to 64"),
    ] {
        let refused = bench(&wrong);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(told), "{wrong:?}: {said}");
    }
}

#[test]
fn a_blackout_is_measured_in_pairs_with_a_bare_restart_and_nothing_is_lost() {
    let scratch = Scratch::new();
    let output = trials()
        .args(["bench", "blackout", "--json", "--rounds", "1"])
        .args(["--workload", "redis,mariadb", "--kind", "hard,recycle", "--data-dir"])
        .arg(scratch.path().join("data"))
        .output()
        .unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{why}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let entries = report["workloads"].as_array().unwrap();
    let seen: Vec<[&str; 3]> = entries
        .iter()
        .map(|e| ["name", "kind", "order"].map(|field| e[field].as_str().unwrap()))
        .collect();
    let expected = ["redis", "mariadb"].map(|name| {
        [
            [name, "hard", "make-before-break"],
            [name, "hard", "ordinary"],
            [name, "recycle", "make-before-break"],
            [name, "recycle", "ordinary"],
        ]
    });
    assert_eq!(seen, expected.concat());
    for entry in entries {
        assert_eq!(entry["pairs"], 1, "{entry}");
        assert!(entry["acked"].as_u64().unwrap() > 0, "{entry}");
        assert_eq!(entry["lost"], 0, "{entry}");
        let ms = |figure: &str, which: &str| entry[figure][which].as_i64().unwrap();
        for figure in ["blackout_ms", "bare_ms"] {
            assert!(ms(figure, "median") > 0, "{entry}");
            assert!(ms(figure, "min") <= ms(figure, "max"), "{entry}");
        }
        // Of one pair; each of the two is rounded down.
        let own = ms("blackout_ms", "median") - ms("bare_ms", "median");
        assert_eq!(ms("own_share_ms", "median"), own, "{entry}");
        for row in ["until", "stop", "fence", "launch", "attach", "ready", "serve"] {
            assert!(entry["rows_ms"][row].is_i64(), "{row}: {entry}");
        }
        for row in ["detach", "attach", "mount", "start", "serve"] {
            assert!(entry["bare_rows_ms"][row].is_i64(), "{row}: {entry}");
        }
    }
}
