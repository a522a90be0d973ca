//! `holdfast sim --pairs`, on a course that has few faults.

use crate::played::{Ended, holdfast};
use holdfast_scratch::Scratch;
use std::path::Path;

fn pairs(course: &str, shape: &str, state: &Path, more: &[&str]) -> Ended {
    holdfast()
        .args(["sim", "--pairs", "--course", course, "--shape", shape, "--json", "--state"])
        .arg(state)
        .args(more)
        .output()
        .unwrap()
        .into()
}

#[test]
fn pairs_go_on_where_they_stopped_and_count_nothing_twice() {
    let dir = Scratch::new();
    let state = dir.path().join("pairs");
    let part = pairs("undelete", "light", &state, &["--firsts", "2"]).json();
    assert_eq!(part["first_faults_done"], 2, "{part}");
    assert_eq!(part["extrapolated"], true, "{part}");
    let whole = pairs("undelete", "light", &state, &[]).json();
    let at_once = pairs("undelete", "light", &dir.path().join("other"), &[]).json();
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
    pairs("undelete", "light", &state, &[]).json();
    let other = pairs("undelete", "whole", &state, &[]);
    assert!(other.code != 0 && other.err.contains("it is of other courses"), "{}", other.err);
    let unknown = pairs("upgrade", "light", &state, &[]);
    assert!(unknown.code != 0 && unknown.err.contains("--course"), "{}", unknown.err);
    assert!(unknown.err.contains("recycle"), "the remedy is named: {}", unknown.err);
}
