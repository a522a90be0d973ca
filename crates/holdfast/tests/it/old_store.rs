//! A data directory that an older version left: the present one takes it up, and nothing is lost.
//! How it was made stands beside it: `tests/fixtures/old-store/README.md`.

use crate::life::Real;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the server does by itself may take this long.
const PATIENCE: Duration = Duration::from_secs(120);
/// The node whose market had no capacity, and where that market was.
const WAITING: &str = "without-capacity";
const MARKET: [&str; 2] = ["t3.micro", "local-1a"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/old-store").join(name)
}

/// A server that is not started yet, on the old data directory.
fn taking_up() -> Real {
    let real = Real::unstarted();
    std::fs::create_dir(real.dir()).unwrap();
    let archive = fixture("data.tar.xz");
    let unpacked = Command::new("tar").arg("-C").arg(real.dir()).arg("-xf").arg(archive).status();
    assert!(unpacked.expect("tar and xz-utils are installed").success());
    // The kernel mounts no two file systems of one name, and another test may have the same pool.
    let renamed = Command::new("/usr/sbin/xfs_admin")
        .args(["-U", "generate"])
        .arg(real.cloud().join("pool.xfs"))
        .output();
    assert!(renamed.expect("xfsprogs are installed").status.success());
    real
}

/// The nodes as the old version showed them at its end.
fn nodes() -> serde_json::Map<String, Value> {
    let text = std::fs::read_to_string(fixture("nodes.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The node's events of one code, as sentences.
fn events(real: &Real, name: &str, code: &str) -> Vec<String> {
    let told = real.done(&["events", name, "--json", "--limit", "1000"]);
    let events = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_code = events.filter(|event| event["code"] == code);
    of_code.map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

fn wait_until(real: &Real, what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}\n{}{}", real.done(&["list"]), real.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether each node but the waiting one is as the old version had it, when nothing is under way.
fn rests(real: &Real, but: Option<&str>) -> bool {
    let listed = real.node(&["list", "--json"]).json();
    listed.as_array().unwrap().iter().all(|node| {
        let name = node["name"].as_str().unwrap();
        let status = if name == "paused" { "PAUSED" } else { "ACTIVE" };
        Some(name) == but || (node["status"] == status && node["waitsFor"].is_null())
    })
}

fn assert_kept(real: &Real, name: &str) {
    let before = &nodes()[name];
    let after = real.shown(name);
    assert_eq!(after["id"], before["id"], "{name}");
    if !["root-only", "data-only", "roaming"].contains(&name) {
        assert_eq!(after["privateIp"], before["privateIp"], "{name}");
    }
    let root = !["data-only", "data-on-launch", "roaming"].contains(&name);
    let data = !["root-only", "root-and-address"].contains(&name);
    for page in [("/root/page", root), ("/srv/data/page", data)] {
        let (path, true) = page else { continue };
        let read = real.done(&["exec", name, "--", "cat", path]);
        assert_eq!(read, format!("{name} wrote {path}\n"));
    }
}

#[test]
fn a_data_directory_of_an_older_version_is_taken_up_with_all_that_its_nodes_wrote() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: nodes are real machines");
    let mut real = taking_up();
    real.serve_with(&["--new-token"]);
    let before = nodes();
    assert_eq!(before.len(), 10);
    assert_eq!(real.node(&["list", "--json"]).json().as_array().unwrap().len(), 10);

    // The market is remembered, and who waits for it; the others come back by themselves.
    wait_until(&real, "all but one rest", || rests(&real, Some(WAITING)));
    let waiting = real.shown(WAITING);
    assert_eq!(waiting["waitsFor"], "a market with capacity", "{waiting}");
    let [type_, zone] = MARKET;
    assert_eq!(real.market(&["set", type_, zone, "--usual"]).code, 0);
    wait_until(&real, "all rest", || rests(&real, None));

    // What was under way is finished, as what it was: nothing was begun anew for it.
    for (name, begun, done) in [
        ("draining", "recycle", "recycle: generation 2 is complete"),
        (WAITING, "lost", "lost: generation 2 is complete"),
    ] {
        assert_eq!(events(&real, name, begun).len(), 1, "{name}\n{}", real.log());
        let complete = events(&real, name, "replacement-done");
        let [_, last] = complete.as_slice() else { panic!("{name}: {complete:?}") };
        assert!(last.starts_with(done), "{name}: {last}");
    }

    real.done(&["resume", "paused", "--wait"]);
    for name in before.keys() {
        assert_kept(&real, name);
    }

    // What the present version wrote it reads as well; and the nodes are nodes like any.
    assert_eq!(real.terminate(), Some(0), "{}", real.log());
    real.serve_with(&[]);
    real.wait_until_quiet();
    for name in ["root-only", WAITING] {
        real.done(&["recycle", name, "--wait"]);
    }
    for name in before.keys() {
        assert_kept(&real, name);
    }
}

#[test]
fn files_of_a_newer_version_are_refused_with_both_versions_named_and_left_as_they_are() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: nodes are real machines");
    for (file, says) in [
        ("holdfast.db", "has version 99, this holdfast knows up to"),
        ("local/cloud.db", "has version 99, this holdfast knows up to"),
    ] {
        let real = taking_up();
        let path = real.dir().join(file);
        let db = rusqlite::Connection::open(&path).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        let before = std::fs::read(&path).unwrap();
        let refused = real.second_server();
        assert_eq!(refused.code, 1, "{}", refused.err);
        assert!(refused.err.contains(says) && refused.err.contains(file), "{}", refused.err);
        assert!(std::fs::read(&path).unwrap() == before, "{file} was changed");
    }
}
