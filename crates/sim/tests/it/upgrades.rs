//! Upgrades: what every released version left behind in the middle of a replacement is taken up.
//!
//! `tests/golden/N/KIND-ROW.json` holds the record that a version of Holdfast had committed when
//! that row of that kind of replacement was under way, with the cloud as it stood. Never change or
//! delete one: they are what is on people's disks. A new version adds a directory:
//!
//! ```sh
//! HOLDFAST_GOLDEN=2 cargo test -p holdfast-sim --test it upgrades::writes -- --ignored
//! ```

use crate::scene::{Scene, WHOLE};
use holdfast_cloud_sim::given::Given;
use holdfast_cloud_sim::{SimCloud, SimConfig};
use holdfast_controller::{FleetConfig, Input};
use holdfast_engine::replacement::rows_of;
use holdfast_model::standing::Cause;
use holdfast_model::time::MINUTE;
use holdfast_model::{Command, Installation, Kind, NodeId, Record, Row, Token, versions};
use holdfast_sim::Simulation;
use holdfast_store::memory::MemoryStore;
use holdfast_store::{Store, StoredRecord};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The setting in which the fleet's standing is stored.
const STANDING: &str = "fleet";
/// The seed of the runs that the goldens are of.
const SEED: u64 = 71;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Every golden, with its name.
fn every() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for version in std::fs::read_dir(goldens()).expect("the goldens") {
        let version = version.expect("a directory").path();
        if !version.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&version).expect("a version's goldens") {
            let path = file.expect("a golden").path();
            let text = std::fs::read_to_string(&path).expect("a golden");
            let name = path.strip_prefix(goldens()).expect("inside").display().to_string();
            found.push((name, serde_json::from_str(&text).expect("JSON")));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// A new version finds what an old one left behind.
fn taken_up(golden: &Value) -> (Scene, Kind, u64) {
    let text = golden["record"].to_string();
    let record = versions::read(&text).expect("what an old version wrote is readable");
    let replacement = record.replacement.clone().expect("it is in the middle of one");
    let given: Given = serde_json::from_value(golden["cloud"].clone()).expect("the cloud");
    let calls = replacement.rows.values().flat_map(|row| row.calls.values());
    let made_by: Vec<(Command, Token)> =
        calls.map(|call| (call.command.clone(), call.token.clone())).collect();
    let node = record.id.clone();
    let config = SimConfig::default();
    let cloud = SimCloud::given(SEED, config, &node, &given, &made_by);
    let config = FleetConfig::ec2(Installation::from("0123abcd"));
    let mut sim = Simulation::new(cloud, config);
    sim.now = given.now;
    let stored = StoredRecord { node: node.clone(), revision: record.revision, json: text };
    let store = MemoryStore::holding([stored]);
    if let Some(standing) = golden["standing"].as_str() {
        store.set_setting(STANDING, standing).expect("a setting");
    }
    let mut scene = Scene { sim, node, seed: SEED };
    scene.expect(WHOLE);
    if replacement.kind == Kind::Delete {
        scene.sim.cloud.truth_mut().release(&scene.node.clone());
    }
    if replacement.kind == Kind::Rollback {
        // What was written since the generation that is returned to is given up on purpose.
        scene.sim.cloud.truth_mut().returns(&scene.node.clone());
    }
    scene.sim.restore(store);
    (scene, replacement.kind, replacement.from_generation)
}

#[test]
fn what_every_version_left_in_every_row_of_a_replacement_is_taken_up_and_finished() {
    let mut seen: BTreeSet<(Kind, String)> = BTreeSet::new();
    for (name, golden) in every() {
        let (mut scene, kind, before) = taken_up(&golden);
        let row = golden["row"].as_str().expect("a row").to_owned();
        scene.sim.run_for(MINUTE);
        let record = scene.sim.record(&scene.node);
        let held = record.as_ref().and_then(|r| r.quarantine.clone());
        assert_eq!(held, None, "{name}");
        scene.wait_for_end(kind, before);
        scene.judge(kind);
        seen.insert((kind, row));
    }
    // Rows that wait for nothing begin and end in one plan, and are never found under way.
    // Tidying up and standing by have no goldens yet.
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Tidy) {
        assert!(seen.iter().any(|(k, _)| *k == kind), "no golden of {kind:?}");
    }
    let rows: BTreeSet<&str> = seen.iter().map(|(_, row)| row.as_str()).collect();
    for row in Row::ALL.iter().filter(|row| ![Row::Place, Row::Standby].contains(row)) {
        assert!(rows.contains(row.name()), "no golden of {}", row.name());
    }
}

#[test]
fn nothing_that_an_old_version_wrote_is_dropped_when_it_is_read() {
    for (name, golden) in every() {
        let record = versions::read(&golden["record"].to_string()).expect("readable");
        let again = serde_json::to_value(&record).expect("a record is JSON");
        if let Some(path) = missing(&golden["record"], &again, "") {
            panic!(
                "{path} of the record in {name} is lost when it is read: a member was renamed or \
                 removed. Give the record a new schema and a step to it in model/src/versions.rs"
            );
        }
    }
}

/// The first path of `old` that is not in `new`, or is another there.
fn missing(old: &Value, new: &Value, path: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(name, value)| {
            let path = format!("{path}/{name}");
            match new.get(name) {
                Some(new) => missing(value, new, &path),
                None => Some(path),
            }
        }),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let mut both = old.iter().zip(new).enumerate();
            both.find_map(|(index, (old, new))| missing(old, new, &format!("{path}/{index}")))
        }
        _ => (old != new).then(|| path.to_owned()),
    }
}

/// Every path of a value, without the names of maps' members.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    /// What is keyed by ids, devices, names of calls, or is the user's.
    const MAPS: [&str; 5] = ["cooled", "calls", "tags", "document", "settings"];
    match value {
        Value::Object(members) => {
            let last = path.rsplit('/').next().unwrap_or_default();
            for (name, value) in members {
                match last {
                    "document" | "settings" | "tags" => {}
                    _ if MAPS.contains(&last) || last == "rows" => {
                        paths(value, &format!("{path}/*"), found);
                    }
                    _ => paths(value, &format!("{path}/{name}"), found),
                }
            }
            found.insert(path.to_owned());
        }
        Value::Array(items) => {
            found.insert(path.to_owned());
            items.iter().for_each(|v| paths(v, &format!("{path}/*"), found));
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn the_shape_of_a_record_is_the_one_that_is_written_down() {
    let mut found = BTreeSet::new();
    for (_, golden) in every() {
        let record = versions::read(&golden["record"].to_string()).expect("readable");
        let again = serde_json::to_value(&record).expect("a record is JSON");
        paths(&again, "", &mut found);
    }
    let shape: String = found.iter().filter(|p| !p.is_empty()).map(|p| format!("{p}\n")).collect();
    let file = goldens().join("shape.txt");
    if std::env::var_os("HOLDFAST_SHAPE").is_some() {
        std::fs::write(&file, &shape).expect("written");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (known, shape) = (lines(&known), lines(&shape));
    let new: Vec<&String> = shape.difference(&known).collect();
    let lost: Vec<&String> = known.difference(&shape).collect();
    assert!(
        new.is_empty() && lost.is_empty(),
        "the shape of a record has changed (new: {new:?}, gone: {lost:?}). What an old version \
         wrote must stay readable: what is new needs a serde default, what is gone a new schema \
         with a step to it. Then write the shape down with\n  HOLDFAST_SHAPE=1 cargo test -p \
         holdfast-sim --test it upgrades\nand, for a version that is released, its goldens (see \
         the head of this file)"
    );
}

/// The golden of one row, if it is ever found under way.
fn golden(kind: Kind, row: Row) -> Option<Value> {
    let mut scene = Scene::prepare(kind, SEED, WHOLE);
    if row == Row::Retire && kind != Kind::Delete {
        // So that there is something to delete.
        for _ in 0..4 {
            let before = scene.generation();
            if kind == Kind::Resume {
                scene.trigger(Kind::Resume, WHOLE);
                scene.wait_for_end(Kind::Resume, before);
                scene.trigger(Kind::Pause, WHOLE);
                scene.wait_for_end(Kind::Pause, before);
            } else if kind != Kind::Create {
                scene.trigger(Kind::Recycle, WHOLE);
                scene.wait_for_end(Kind::Recycle, before);
            }
        }
    }
    let number = scene.sim.record(&scene.node).map_or(0, |r| r.replacements);
    scene.trigger(kind, WHOLE);
    let under_way = |record: &Record| {
        record.replacement.as_ref().is_some_and(|r| {
            let state = r.rows.get(&row);
            r.kind == kind && state.is_some_and(|s| s.started_at.is_some() && s.done_at.is_none())
        })
    };
    let over = |record: &Record| record.replacements > number && record.replacement.is_none();
    let node = scene.node.clone();
    let mut begun = false;
    let found = scene.sim.run_until(crate::scene::LIMIT, |s| match s.record(&node) {
        Some(record) => {
            begun |= record.replacement.is_some();
            under_way(&record) || over(&record)
        }
        None => begun,
    });
    found.expect("it comes to an end");
    let record = scene.sim.record(&node).filter(|record| under_way(record))?;
    let standing = scene.sim.store.setting(STANDING).expect("a setting");
    // What has left is carried out; nothing more leaves.
    scene.sim.order(Input::Freeze(Cause::Asked, "the version is exchanged".to_owned()));
    scene.sim.run_for(10 * MINUTE);
    let now = scene.sim.now;
    let cloud = scene.sim.cloud.taken(now, &NodeId::from(node.as_str()));
    Some(json!({
        "holdfast": env!("CARGO_PKG_VERSION"),
        "kind": kind.name(),
        "row": row.name(),
        "record": *record,
        "standing": standing,
        "cloud": cloud,
    }))
}

#[test]
#[ignore = "writes the goldens of a version that is released"]
fn writes_the_goldens_of_this_version() {
    let version = std::env::var("HOLDFAST_GOLDEN").expect("HOLDFAST_GOLDEN: the new directory");
    let directory = goldens().join(version);
    assert!(!directory.exists(), "{} is there; goldens never change", directory.display());
    std::fs::create_dir_all(&directory).expect("a directory");
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Tidy) {
        for spec in rows_of(kind) {
            if let Some(golden) = golden(kind, spec.row) {
                let file = format!("{}-{}.json", kind.name(), spec.row.name());
                std::fs::write(directory.join(file), golden.to_string() + "\n").expect("written");
            }
        }
    }
}
