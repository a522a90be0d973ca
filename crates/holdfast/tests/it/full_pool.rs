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
