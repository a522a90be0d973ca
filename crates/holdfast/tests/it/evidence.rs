//! A test of a real server that fails on purpose, in a process of its own, and what is left of it.

use crate::life::{Real, SPEC};
use holdfast_scratch::{PLACE_VARIABLE, Scratch};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set for the test that fails on purpose; without it that does nothing.
const CHILD: &str = "HOLDFAST_TEST_EVIDENCE_CHILD";

#[test]
fn fails_on_purpose() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let real = Real::start();
    let spec = SPEC.replace("exec sleep", "echo the last words\n      exec sleep");
    let spec = real.write("spec.yaml", &spec);
    real.done(&["create", "--wait", "-f", &spec]);
    println!("DIRECTORY {}", real.dir().display());
    panic!("on purpose");
}

#[test]
fn what_a_server_and_its_node_said_outlives_a_test_that_fails_and_nothing_else_does() {
    let evidence = Scratch::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "evidence::fails_on_purpose", "--nocapture", "--test-threads", "2"])
        .env(CHILD, "1")
        .env(PLACE_VARIABLE, evidence.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("on purpose"), "{said}");
    let kept = files(evidence.path());
    let find = |end: &str| kept.iter().find(|path| path.ends_with(end));
    let read = |end: &str| {
        let path = find(end).unwrap_or_else(|| panic!("no {end} in {kept:?}"));
        std::fs::read(path).unwrap()
    };
    assert!(!read("data.log").is_empty(), "the server's log");
    assert!(!read("data/holdfast.db").is_empty(), "the record and its events");
    let console = String::from_utf8_lossy(&read("console.log")).into_owned();
    assert!(console.contains("the last words"), "{console}");
    assert!(find("data/token").is_none(), "{kept:?}");
    assert!(kept.iter().all(|path| path.starts_with(evidence.path())), "{kept:?}");
    let place = kept[0].strip_prefix(evidence.path()).unwrap().components().next().unwrap();
    let place = Path::new(place.as_os_str()).display().to_string();
    assert!(place.starts_with("evidence.fails_on_purpose-"), "{place}");
    // The node, its volumes and the directory are gone all the same.
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let dir = told.lines().find_map(|line| line.split("DIRECTORY ").nth(1)).expect(&told);
    assert!(!Path::new(dir).exists(), "{dir}");
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
