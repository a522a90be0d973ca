//! `holdfast-trials sim --pairs`, on a course that has few faults.

use crate::trials;
use holdfast_scratch::Scratch;
use std::path::Path;
use std::process::Output;

fn pairs(course: &str, shape: &str, state: &Path, more: &[&str]) -> Output {
    trials()
        .args(["sim", "--pairs", "--course", course, "--shape", shape, "--json", "--state"])
        .arg(state)
        .args(more)
        .output()
        .unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{}", said(output)))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn pairs_go_on_where_they_stopped_and_count_nothing_twice() {
    let dir = Scratch::new();
    let state = dir.path().join("pairs");
    let part = json(&pairs("undelete", "light", &state, &["--firsts", "2"]));
    assert_eq!(part["first_faults_done"], 2, "{part}");
    assert_eq!(part["extrapolated"], true, "{part}");
    let whole = json(&pairs("undelete", "light", &state, &[]));
    let at_once = json(&pairs("undelete", "light", &dir.path().join("other"), &[]));
    assert_eq!(whole["extrapolated"], false, "{whole}");
    for figure in ["first_faults_done", "pairs_done", "pairs_walked", "violations"] {
        assert_eq!(whole[figure], at_once[figure], "{figure}: {whole} {at_once}");
    }
    assert!(whole["pairs_walked"].as_u64() > part["pairs_walked"].as_u64(), "{part} {whole}");
}

#[test]
fn pairs_of_another_course_or_an_unknown_one_are_refused_by_name() {
    let dir = Scratch::new();
    let state = dir.path().join("pairs");
    json(&pairs("undelete", "light", &state, &[]));
    let other = pairs("undelete", "whole", &state, &[]);
    let why = said(&other);
    assert!(!other.status.success() && why.contains("it is of other courses"), "{why}");
    let unknown = pairs("upgrade", "light", &state, &[]);
    let why = said(&unknown);
    assert!(!unknown.status.success() && why.contains("--course"), "{why}");
    assert!(why.contains("recycle"), "the remedy is named: {why}");
}
