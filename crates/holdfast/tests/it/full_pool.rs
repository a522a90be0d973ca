//! The host's disk is full: nodes wait, say for what, and go on by themselves.

use crate::life::{Real, SPEC};
use std::time::{Duration, Instant};

#[test]
fn a_node_that_is_lost_while_the_pool_is_full_waits_for_room_and_comes_back_by_itself() {
    let real = Real::start();
    let spec = real.scratch().join("diary.yaml");
    std::fs::write(&spec, SPEC).unwrap();
    real.done(&["create", "--wait", "-f", spec.to_str().unwrap()]);
    real.done(&["exec", "diary", "--", "sh", "-c", "echo kept > /diary/page && sync"]);

    let pool = real.data_dir().join("local/pool");
    let ballast = std::fs::File::create_new(pool.join("ballast")).unwrap();
    let stat = nix::sys::statvfs::statvfs(&pool).unwrap();
    let most = stat.blocks_available() * stat.fragment_size() - (30 << 20);
    let none = nix::fcntl::FallocateFlags::empty();
    nix::fcntl::fallocate(&ballast, none, 0, i64::try_from(most).unwrap()).unwrap();
    drop(ballast);
    real.done(&["interrupt", "diary"]);
    let began = Instant::now();
    loop {
        let waits = real.shown("diary")["waitsFor"].as_str().unwrap_or_default().to_owned();
        if waits.contains("room for the new instance") && waits.contains("free") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it waits for: {waits}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // It does not give up spot, and asks nobody, however often it is refused.
    std::thread::sleep(Duration::from_secs(3));
    let waiting = real.shown("diary");
    assert!(waiting.pointer("/record/stuck").unwrap().is_null(), "{waiting}");
    let events = real.done(&["events", "diary"]);
    assert_eq!(events.matches("as soon as there is room").count(), 1, "{events}");

    std::fs::remove_file(pool.join("ballast")).unwrap();
    real.wait_for_generation_of("diary", 1);
    let back = real.shown("diary");
    assert_eq!(back.pointer("/record/holder/market/lifecycle").unwrap(), "spot", "{back}");
    assert_eq!(real.done(&["exec", "diary", "--", "cat", "/diary/page"]), "kept\n");
}

/// Takes all the space that a pool has, as one node can that writes without end.
fn fill(pool: &std::path::Path) -> std::path::PathBuf {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let path = pool.join("ballast");
    let mut ballast = std::fs::File::create_new(&path).unwrap();
    let stat = nix::sys::statvfs::statvfs(pool).unwrap();
    let most = (stat.blocks_available() * stat.fragment_size()).saturating_sub(8 << 20);
    let none = nix::fcntl::FallocateFlags::empty();
    nix::fcntl::fallocate(&ballast, none, 0, i64::try_from(most).unwrap()).unwrap();
    ballast.seek(SeekFrom::Start(most)).unwrap();
    while ballast.write_all(&[1; 4_096]).is_ok() {}
    path
}

/// A node that has done nothing but write a little while another filled the pool fails its status
/// check. Its successor would have no room: it is kept, and serves what it can.
#[test]
fn a_node_is_not_given_up_for_a_full_pool_before_its_successor_has_room() {
    let real = Real::start();
    let spec = real.scratch().join("diary.yaml");
    let writes = "while :; do echo line >>/diary/log; sync /diary/log; sleep 0.2; done";
    let health = "healthCheck: { unhealthyDuration: 1, gracePeriod: 1 }\ncompute:";
    let text = SPEC.replace("exec sleep infinity", writes).replace("compute:", health);
    std::fs::write(&spec, text).unwrap();
    real.done(&["create", "--wait", "-f", spec.to_str().unwrap()]);
    real.done(&["exec", "diary", "--", "sh", "-c", "echo kept > /diary/page && sync"]);
    let holder = |shown: &serde_json::Value| shown.pointer("/record/holder/id").cloned();
    let before = holder(&real.shown("diary"));

    let ballast = fill(&real.data_dir().join("local/pool"));
    let began = Instant::now();
    loop {
        let shown = real.shown("diary");
        let waits = shown["waitsFor"].as_str().unwrap_or_default().to_owned();
        if waits.contains("room for another instance before") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it waits for: {waits} {}", real.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // Many times as long as an unwell instance is kept.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        let shown = real.shown("diary");
        assert_eq!((&shown["status"], holder(&shown)), (&"ACTIVE".into(), before.clone()));
        std::thread::sleep(Duration::from_millis(200));
    }
    // A person who recycles it loses nothing either.
    real.done(&["recycle", "diary"]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(holder(&real.shown("diary")), before);
    assert_eq!(real.done(&["exec", "diary", "--", "cat", "/diary/page"]), "kept\n");

    std::fs::remove_file(ballast).unwrap();
    real.wait_for_generation_of("diary", 1);
    assert_ne!(holder(&real.shown("diary")), before);
    assert_eq!(real.done(&["exec", "diary", "--", "cat", "/diary/page"]), "kept\n");
}

#[test]
fn what_is_promised_of_the_pool_is_shown_and_more_than_is_allowed_is_refused() {
    let real = Real::start_with(&["--overcommit", "1"]);
    let pool = real.local_ended(&["pool", "--json"]).json();
    let there = pool["thereBytes"].as_u64().unwrap() >> 30;
    assert!(there > 0 && pool["overcommit"] == 1.0, "{pool}");
    let shown = real.local(&["pool"]);
    assert!(shown.contains("never more than that is promised"), "{shown}");
    let status = real.top(&["status"]);
    assert!(
        status.out.contains("promised      ") && status.out.contains("are there"),
        "{}",
        status.out
    );

    let size = (there + 1).to_string();
    let refused = real.local_ended(&["volume", "create", "local-1a", "--size", &size]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    for words in [&format!("a volume of {size} GiB"), "GiB are there", "--overcommit"] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    real.local(&["volume", "create", "local-1a", "--size", "1"]);
    let now = real.local_ended(&["pool", "--json"]).json();
    let more = |member: &str| now[member].as_u64().unwrap() - pool[member].as_u64().unwrap();
    assert!((900..1_100).contains(&(more("promisedBytes") >> 20)), "{now}");
}
