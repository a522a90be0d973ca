//! Upgrades: what every released version left behind in the middle of a replacement is taken up.
//!
//! `tests/golden/N/` holds records that a version of Holdfast had committed, with the cloud as it
//! stood: in every row of every kind of replacement that is ever found under way (`KIND-ROW.json`;
//! `light-KIND-ROW.json` of a node whose next instance may stand by), while snapshots of a running
//! node are taken or deleted, and while a kept interface is made again. Never change or delete one:
//! they are what is on people's disks. [`crate::goldens`] writes those of a new version.

use crate::goldens::{SEED, STANDING, goldens, shape_of};
use crate::scene::Scene;
use holdfast_cloud_sim::given::Given;
use holdfast_cloud_sim::{SimCloud, SimConfig};
use holdfast_controller::FleetConfig;
use holdfast_model::record::Upkeep;
use holdfast_model::time::MINUTE;
use holdfast_model::{Command, Installation, Kind, Record, Row, Token, versions};
use holdfast_sim::Simulation;
use holdfast_store::memory::MemoryStore;
use holdfast_store::{Store, StoredRecord};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The seed of the region that goes on: far from the goldens' own, so that it names nothing twice.
const LATER: u64 = SEED << 32;

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

/// A new version finds what an old one left behind: the scene, and the record that it found.
fn taken_up(golden: &Value) -> (Scene, Record) {
    let text = golden["record"].to_string();
    let record = versions::read(&text).expect("what an old version wrote is readable");
    let given: Given = serde_json::from_value(golden["cloud"].clone()).expect("the cloud");
    let rows = record.work.iter().flat_map(|r| r.rows.values());
    let calls = rows.chain([&record.upkeep.row]).flat_map(|row| row.calls.values());
    let made_by: Vec<(Command, Token)> =
        calls.map(|call| (call.command.clone(), call.token.clone())).collect();
    let node = record.id.clone();
    let config = SimConfig::default();
    let cloud = SimCloud::given(LATER, config, &node, &given, &made_by);
    let config = FleetConfig::ec2(Installation::from("0123abcd"));
    let mut sim = Simulation::new(cloud, config);
    sim.now = given.now;
    let stored = StoredRecord {
        node: node.clone(),
        revision: record.revision.expect("committed"),
        json: text,
        fault: None,
    };
    let store = MemoryStore::holding([stored]);
    if let Some(standing) = golden["standing"].as_str() {
        store.set_setting(STANDING, standing).expect("a setting");
    }
    let mut scene = Scene { sim, node, seed: LATER };
    scene.expect(shape_of(golden));
    match record.work.as_ref().map(|r| r.kind) {
        Some(Kind::Delete) => scene.sim.cloud.truth_mut().release(&scene.node.clone()),
        // What was written since the generation that is returned to is given up on purpose.
        Some(Kind::Rollback) => scene.sim.cloud.truth_mut().returns(&scene.node.clone()),
        _ => {}
    }
    scene.sim.restore(store);
    (scene, record)
}

#[test]
fn what_every_version_left_in_every_row_of_a_replacement_is_taken_up_and_finished() {
    let mut seen: BTreeSet<(Kind, String)> = BTreeSet::new();
    for (name, golden) in every() {
        let (mut scene, before) = taken_up(&golden);
        let Some(replacement) = &before.work else { continue };
        let (kind, before) = (replacement.kind, replacement.from_generation.unwrap_or_default());
        scene.sim.run_for(MINUTE);
        let record = scene.sim.record(&scene.node);
        let held = record.as_ref().and_then(|r| r.blocked.quarantine().cloned());
        assert_eq!(held, None, "{name}");
        scene.wait_for_end(kind, before);
        scene.judge(kind);
        seen.insert((kind, golden["row"].as_str().expect("a row").to_owned()));
    }
    // Rows that wait for nothing begin and end in one plan, and are never found under way.
    for kind in Kind::ALL {
        assert!(seen.iter().any(|(k, _)| *k == kind), "no golden of {kind:?}");
    }
    let rows: BTreeSet<&str> = seen.iter().map(|(_, row)| row.as_str()).collect();
    for row in Row::ALL.iter().filter(|row| **row != Row::Place) {
        assert!(rows.contains(row.name()), "no golden of {}", row.name());
    }
}

#[test]
fn snapshots_that_an_old_version_took_of_running_nodes_are_finished_and_the_nodes_live_on() {
    let is_busy = |upkeep: &Upkeep| upkeep.pending.is_some() || !upkeep.expired.is_empty();
    let mut found = 0;
    for (name, golden) in every() {
        let (mut scene, before) = taken_up(&golden);
        if before.work.is_some() {
            continue;
        }
        assert!(is_busy(&before.upkeep), "{name}");
        let last = before.upkeep.last_at;
        scene.wait("saved again", |s, node| {
            s.record(node).is_some_and(|r| r.upkeep.last_at > last && !is_busy(&r.upkeep))
        });
        let generation = scene.generation();
        scene.trigger(Kind::Lost, shape_of(&golden));
        scene.wait_for_end(Kind::Lost, generation);
        scene.judge(Kind::Lost);
        found += 1;
    }
    assert!(found >= 2, "{found} goldens of snapshots under way");
}

#[test]
fn the_call_by_which_an_old_version_kept_one_device_is_read_and_finished() {
    for (name, mut golden) in every() {
        if !name.ends_with("/recycle-stop.json") || golden["record"]["schema"] != 1 {
            continue;
        }
        let holder = golden["record"]["holder"]["id"].clone();
        let stop = &mut golden["record"]["replacement"]["rows"]["stop"];
        stop["calls"]["keep:/dev/xvdb"] = json!({
            "command": {
                "action": "SetDeleteOnTermination",
                "instance": holder,
                "device": "/dev/xvdb",
                "value": false
            },
            "token": "hf-old", "attempt": 1, "at": 1, "state": {"state": "started"}
        });
        let (mut scene, before) = taken_up(&golden);
        let call = &before.row(Row::Stop).expect("the row").calls["keep:/dev/xvdb"];
        assert!(
            matches!(&call.command, Command::SetDeleteOnTermination { devices, .. }
                if devices == &["/dev/xvdb"]),
            "{name}: {call:?}"
        );
        scene.wait_for_end(Kind::Recycle, before.generations.number());
        scene.judge(Kind::Recycle);
    }
}

#[test]
fn nothing_that_an_old_version_wrote_is_dropped_when_it_is_read() {
    for (name, golden) in every() {
        let record = versions::read(&golden["record"].to_string()).expect("readable");
        let again = serde_json::to_value(&record).expect("a record is JSON");
        let lost = if golden["record"]["schema"] == again["schema"] {
            missing(&golden["record"], &again, "").into_iter().collect()
        } else {
            unsaid(&golden["record"], &again)
        };
        assert!(
            lost.is_empty(),
            "{lost:?} of the record in {name} is lost when it is read: a member was renamed or \
             removed. Give the record a new schema and a step to it in model/src/versions.rs"
        );
    }
}

/// What an old schema says and the new one does not, wherever it stands there: each scalar as often
/// as it stood in the old one, but for those that said that there is nothing.
fn unsaid(old: &Value, new: &Value) -> Vec<String> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    scalars(old, "", &mut before);
    scalars(new, "", &mut after);
    before.retain(|said, times| *times > after.get(said).copied().unwrap_or_default());
    before.into_keys().collect()
}

fn scalars(value: &Value, name: &str, found: &mut BTreeMap<String, usize>) {
    /// Their meaning is the name of a variant now: see [`what_flags_and_zeros_meant_is_said_in_words`].
    const VARIANTS: [&str; 4] = ["schema", "goal", "recycle_wanted", "deallocated"];
    match value {
        Value::Object(members) => members.iter().for_each(|(name, v)| scalars(v, name, found)),
        Value::Array(items) => items.iter().for_each(|v| scalars(v, name, found)),
        said if VARIANTS.contains(&name) || *said == json!(0) || *said == json!(false) => {}
        Value::Null => {}
        said => *found.entry(said.to_string()).or_default() += 1,
    }
}

#[test]
fn what_flags_and_zeros_meant_is_said_in_words() {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (name, golden) in every().into_iter().filter(|(_, g)| g["record"]["schema"] == 1) {
        let (old, new) = (&golden["record"], versions::read(&golden["record"].to_string()));
        let new = new.expect("readable");
        let goal = json!(new.lifecycle.goal());
        assert_eq!(goal, old["goal"], "{name}");
        assert_eq!(new.lifecycle.wants_recycle(), old["recycle_wanted"] == true, "{name}");
        assert_eq!(new.lifecycle.is_deleted(), old["deallocated"] == true, "{name}");
        assert_eq!(new.lifecycle.is_handed_over(), old["let_go"] == true, "{name}");
        assert_eq!(json!(new.generations.number()), old["generation"], "{name}");
        assert_eq!(new.generations.is_first(), old["generation"] == 0, "{name}");
        assert_eq!(json!(new.revision), old["revision"], "{name}");
        let asked = old["stuck"]["choices"].as_array().is_some_and(|choices| !choices.is_empty());
        assert_eq!(new.blocked.asked().is_some(), asked, "{name}");
        let empty = Vec::new();
        let superseded = old["superseded"].as_array().unwrap_or(&empty);
        for (old, new) in superseded.iter().zip(&new.kept.pending_deletion) {
            assert_eq!(new.is_due(), old["grace_ms"] == 0, "{name}");
            seen.insert(if new.is_due() { "now" } else { "later" });
        }
        seen.insert(if new.lifecycle.is_deleted() { "deleted" } else { "not deleted" });
        seen.insert(if new.generations.is_first() { "first" } else { "later generation" });
    }
    assert_eq!(seen.len(), 6, "the goldens hold one of each: {seen:?}");
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
    const MAPS: [&str; 7] =
        ["market_backoff", "calls", "tags", "document", "settings", "snapshots", "volumes"];
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
