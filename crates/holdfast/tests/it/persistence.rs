//! The example of docs/persistence.md on a real node: a root that is broken by hand would boot for
//! ever; a rollback brings back one that was good.

use crate::docs::blocks;
use crate::life::Real;
use std::time::{Duration, Instant};

/// It may take this long to be broken.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_root_that_was_broken_by_hand_is_rolled_back_and_serves_again() {
    let real = Real::start();
    let spec = real.write("kept.yaml", &blocks("persistence.md", "yaml").remove(0));
    real.done(&["create", "--wait", "-f", &spec]);
    assert_eq!(real.redis("kept", &["set", "what", "good"]), "OK");
    assert!(real.done(&["generations", "kept"]).contains("Nothing is kept yet"));
    real.done(&["recycle", "kept", "--wait"]);
    assert_eq!(real.redis("kept", &["get", "what"]), "good");

    // From now on it boots, and serves nothing.
    real.done(&["exec", "kept", "--", "sh", "-c", "echo exit 1 > /srv/start; sync"]);
    let broken = real.generation("kept");
    real.done(&["interrupt", "kept"]);
    let began = Instant::now();
    while real.generation("kept") == broken {
        assert!(began.elapsed() < PATIENCE, "{}", real.log());
        std::thread::sleep(Duration::from_millis(50));
    }

    let commands = blocks("persistence.md", "sh");
    let says = |page: &str| {
        let words: Vec<String> = page.split_whitespace().skip(2).map(str::to_owned).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        real.done(&words)
    };
    let listed = says(&commands[0]);
    assert!(listed.contains("GEN") && listed.contains("snap-"), "{listed}");
    let mut words: Vec<&str> = commands[1].split_whitespace().skip(2).collect();
    words.push("--wait");
    real.done(&words);
    assert_eq!(real.redis("kept", &["get", "what"]), "good");
    let listed = real.node(&["generations", "kept", "--json"]).json();
    let aside = listed.as_array().unwrap().iter().filter(|g| g["setAside"] == true).count();
    assert_eq!(aside, 1, "what was left is kept: {listed}");
    let shown = real.done(&["show", "kept"]);
    assert!(shown.contains("rollback"), "{shown}");

    let refused = real.node(&["rollback", "kept", "--to", "99"]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    assert!(refused.err.contains("generation 99") && refused.err.contains("kept: 1"));
}
