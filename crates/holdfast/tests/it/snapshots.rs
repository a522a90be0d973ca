//! The example of docs/snapshots.md on a real node: what is saved while it runs is there when the
//! newest content is deleted from outside.

use crate::docs::blocks;
use crate::life::Real;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A server may take this long to answer, a snapshot to be taken.
const PATIENCE: Duration = Duration::from_secs(60);

fn eventually<T>(real: &Real, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not {what}\n{}", real.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What was saved while it ran: when, and the snapshots by volume.
fn periodic(real: &Real) -> Vec<(String, Vec<String>)> {
    let listed = real.node(&["generations", "saved", "--json"]).json();
    let of = |g: &Value| {
        let volumes = g["volumes"].as_array().unwrap();
        volumes.iter().map(|v| v["of"].as_str().unwrap().to_owned()).collect()
    };
    let all = listed.as_array().unwrap().iter().filter(|g| g["kind"] == "periodic");
    all.map(|g| (g["takenAt"].as_str().unwrap().to_owned(), of(g))).collect()
}

#[test]
fn what_was_saved_while_a_node_ran_is_restored_when_the_newest_is_deleted_from_outside() {
    let mut real = Real::start_with(&["--snapshot-interval", "1s"]);
    let spec = real.write("saved.yaml", &blocks("snapshots.md", "yaml").remove(0));
    real.done(&["create", "--wait", "-f", &spec]);
    assert_eq!(real.redis("saved", &["set", "what", "saved"]), "OK");
    let newest = |sets: &[(String, Vec<String>)]| sets.last().map(|(at, _)| at.clone());
    let before = newest(&periodic(&real));
    // Two more have begun: at least one of them after the write.
    let sets = eventually(&real, "saved", || {
        let sets = periodic(&real);
        let (oldest, _) = sets.first()?;
        (sets.len() == 3 && Some(oldest) > before.as_ref()).then_some(sets)
    });
    for (_, of) in &sets {
        assert_eq!(of, &["/dev/xvdb", "root"], "together");
    }
    let listed = real.done(&["generations", "saved"]);
    assert_eq!(listed.matches("periodic").count(), 6, "{listed}");
    assert_eq!(real.node(&["show", "saved", "--json"]).json()["snapshotIntervalMs"], 1_000);

    // From here on nothing is saved for a long time.
    assert_eq!(real.terminate(), Some(0), "{}", real.log());
    real.serve_with(&["--snapshot-interval", "24h"]);
    assert_eq!(real.redis("saved", &["set", "what", "later"]), "OK");
    real.done(&["exec", "saved", "--", "sh", "-c", "echo root > /of-the-root; sync"]);
    real.done(&["pause", "saved", "--wait"]);
    let listed = real.node(&["generations", "saved", "--json"]).json();
    let kinds: Vec<&str> =
        listed.as_array().unwrap().iter().map(|g| g["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["periodic", "periodic", "periodic", "final"], "oldest first");
    let shown = real.node(&["show", "saved", "--json"]).json();
    let data = shown["record"]["data"][0]["head"]["id"].as_str().unwrap().to_owned();
    let finals = shown["record"]["finals"].as_array().unwrap();
    let last = finals.iter().rfind(|f| f["of"] == "/dev/xvdb").unwrap();
    let last = last["snapshot"].as_str().unwrap().to_owned();
    let pool = real.data_dir().join("local/pool");
    std::fs::remove_file(pool.join(format!("snapshots/{last}.img"))).unwrap();
    // Its volume may have been deleted already: its content is in the snapshot.
    let _ = std::fs::remove_file(pool.join(format!("volumes/{data}.img")));
    real.done(&["resume", "saved"]);

    let commands = blocks("snapshots.md", "sh").remove(1);
    let commands: Vec<Vec<&str>> =
        commands.lines().map(|line| line.split_whitespace().skip(2).collect()).collect();
    let asked = eventually(&real, "asked", || {
        let shown = real.done(&commands[0]);
        shown.contains("wait|retry|restore").then_some(shown)
    });
    assert!(asked.contains("accepts the loss of what was written since"), "{asked}");
    // It may have been launched just before the server saw what is missing.
    let generation = real.generation("saved");
    real.done(&commands[1]);
    real.wait_for_generation_of("saved", generation);
    assert_eq!(
        real.redis("saved", &["get", "what"]),
        "saved",
        "of the newest snapshot that is left"
    );
    let root = real.done(&["exec", "saved", "--", "cat", "/of-the-root"]);
    assert_eq!(root.trim(), "root", "what was not lost is as it was");
    real.done(&["delete", "saved", "--yes", "--wait"]);
}
