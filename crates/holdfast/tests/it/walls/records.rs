//! Records that an older version, or a bad disk, has left. As root.

use crate::docs::root;
use crate::life::Real;
use holdfast_store::sqlite::SqliteStore;
use holdfast_store::{Store, Write};
use serde_json::{Value, json};

/// Changes the only record, while the server is down.
fn rewrite(real: &mut Real, change: impl FnOnce(&str, u64) -> String) {
    assert_eq!(real.terminate(), Some(0), "{}", real.log());
    let store = SqliteStore::open(real.dir()).unwrap();
    let stored = store.load().unwrap().remove(0);
    let record = Some(change(&stored.json, stored.revision + 1));
    let write = Write { node: stored.node, expected: stored.revision, record, events: vec![] };
    store.commit(&[write]).unwrap();
    drop(store);
    real.serve_with(&[]);
    real.wait_until_quiet();
}

#[test]
fn a_record_of_the_deepest_spec_that_was_ever_accepted_works_and_a_damaged_one_is_made_anew() {
    let mut real = Real::start();
    let example = root().join("examples/redis.yaml").display().to_string();
    real.done(&["create", "-f", &example, "--wait"]);
    real.done(&["exec", "redis", "--", "redis-cli", "set", "greeting", "hello"]);

    // As an earlier version took it: 126 levels, of 127 in the body.
    rewrite(&mut real, |text, revision| {
        let mut record: Value = serde_json::from_str(text).unwrap();
        record["document"]["deep"] = (0..125).fold(json!(1), |inner, _| json!([inner]));
        record["revision"] = json!(revision);
        record.to_string()
    });
    let shown = real.node(&["show", "redis"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(shown.out.contains("ACTIVE"), "{}", shown.out);
    assert_eq!(real.node(&["show", "redis", "--json"]).code, 0);
    assert_eq!(real.node(&["list", "--json"]).code, 0);
    real.done(&["recycle", "redis", "--wait"]);
    assert_eq!(real.redis("redis", &["get", "greeting"]), "hello");

    // Damaged, it serves on; nothing but an adoption with its spec is taken.
    let listed = real.node(&["list", "--json"]).json();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    rewrite(&mut real, |text, _| text[..text.len() / 2].to_owned());
    let shown = real.node(&["show", &id]);
    assert_ne!(shown.code, 0);
    for arguments in [["recycle", &id].as_slice(), &["delete", &id, "--yes"]] {
        let refused = real.node(arguments);
        assert_ne!(refused.code, 0);
        assert!(refused.err.contains("holdfast adopt"), "{}", refused.err);
    }
    let adopted = real.top(&["adopt", &id, "--spec", &example]);
    assert_eq!(adopted.code, 0, "{}{}", adopted.err, real.log());
    assert!(adopted.out.contains("it is ACTIVE"), "{}", adopted.out);
    assert_eq!(real.redis("redis", &["get", "greeting"]), "hello");
    let before = real.generation("redis");
    real.done(&["recycle", "redis", "--wait"]);
    assert!(real.generation("redis") > before);
    assert_eq!(real.redis("redis", &["get", "greeting"]), "hello");
    real.done(&["delete", "redis", "--yes", "--wait"]);
}
