//! Writes the records that this version leaves behind in the middle of things, for later versions
//! to take up ([`crate::upgrades`]). A version that is released adds a directory:
//!
//! ```sh
//! HOLDFAST_GOLDEN=5 cargo test -p holdfast-sim --test it goldens::writes -- --ignored
//! ```

use crate::scene::{LIGHT, LIMIT, SNAPSHOTS, Scene, Shape, WHOLE};
use holdfast_cloud_sim::{Fault, When};
use holdfast_controller::Input;
use holdfast_engine::tables::replacement::{has, rows_of};
use holdfast_model::standing::Cause;
use holdfast_model::time::MINUTE;
use holdfast_model::{Command, Kind, Record, Row};
use holdfast_store::Store;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The setting in which the fleet's standing is stored.
pub const STANDING: &str = "fleet";
/// The seed of the runs that the goldens are of.
pub const SEED: u64 = 71;
/// The shapes of the nodes that the goldens are of.
const SHAPES: [(&str, Shape); 3] = [("whole", WHOLE), ("light", LIGHT), ("snapshots", SNAPSHOTS)];

/// Where the goldens are.
pub fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The shape of the node that a golden is of. Those before the fourth directory do not say.
pub fn shape_of(golden: &Value) -> Shape {
    let name = golden["shape"].as_str().unwrap_or("whole");
    let (_, shape) = SHAPES.iter().find(|(known, _)| *known == name).expect("a shape");
    *shape
}

/// Whether a row of a kind of replacement is under way.
fn is_in(record: &Record, kind: Kind, row: Row) -> bool {
    record.work.as_ref().is_some_and(|r| {
        let state = r.rows.get(&row);
        r.kind == kind && state.is_some_and(|s| s.started_at.is_some() && s.done_at.is_none())
    })
}

/// Goes on until the record is as wished, and no further than what has left by then. `None`: it is
/// over before it ever was.
fn caught(
    mut scene: Scene,
    (shape, row): (&str, &str),
    is_it: impl Fn(&Record) -> bool,
    is_over: impl Fn(&Record) -> bool,
) -> Option<Value> {
    let node = scene.node.clone();
    let mut begun = false;
    let found = scene.sim.run_until(LIMIT, |s| match s.record(&node) {
        Some(record) => {
            begun |= record.work.is_some();
            is_it(&record) || is_over(&record)
        }
        None => begun,
    });
    found.expect("it comes to an end");
    let record = scene.sim.record(&node).filter(|record| is_it(record))?;
    let standing = scene.sim.store.setting(STANDING).expect("a setting");
    // What has left is carried out; nothing more leaves.
    scene.sim.order(Input::Freeze(Cause::Asked, "the version is exchanged".to_owned()));
    scene.sim.run_for(10 * MINUTE);
    let now = scene.sim.now;
    let cloud = scene.sim.cloud.taken(now, &node);
    Some(json!({
        "holdfast": env!("CARGO_PKG_VERSION"),
        "shape": shape,
        "kind": record.work.as_ref().map(|r| r.kind.name()),
        "row": row,
        "record": *record,
        "standing": standing,
        "cloud": cloud,
    }))
}

/// In the middle of one row.
fn in_row(shape: &str, kind: Kind, row: Row) -> Option<Value> {
    let of = shape_of(&json!({"shape": shape}));
    let mut scene = Scene::prepare(kind, SEED, of);
    if row == Row::Retire && kind != Kind::Delete {
        // So that there is something to delete.
        for _ in 0..4 {
            let before = scene.generation();
            if kind == Kind::Resume {
                scene.trigger(Kind::Resume, of);
                scene.wait_for_end(Kind::Resume, before);
                scene.trigger(Kind::Pause, of);
                scene.wait_for_end(Kind::Pause, before);
            } else if kind != Kind::Create {
                scene.trigger(Kind::Recycle, of);
                scene.wait_for_end(Kind::Recycle, before);
            }
        }
    }
    let number = scene.sim.record(&scene.node).map_or(0, |r| r.memory.replacements);
    scene.trigger(kind, of);
    let is_over = move |r: &Record| r.memory.replacements > number && r.work.is_none();
    caught(scene, (shape, row.name()), |record| is_in(record, kind, row), is_over)
}

/// While a node serves, and what could not be deleted at once is deleted.
fn tidying() -> Option<Value> {
    let mut scene = Scene::serving(SEED, SNAPSHOTS);
    let deletes = |c: &Command| c.action() == "DeleteVolume";
    scene.sim.cloud.faults().add(When::Matches(Arc::new(deletes), 15), Fault::refused());
    let before = scene.generation();
    scene.trigger(Kind::Lost, SNAPSHOTS);
    scene.wait_for_end(Kind::Lost, before);
    let is_it = |record: &Record| is_in(record, Kind::Tidy, Row::Retire);
    caught(scene, ("snapshots", Row::Retire.name()), is_it, |_| false)
}

/// While a node runs, and its snapshots are taken, or those that are superseded are deleted.
fn saving(is_it: impl Fn(&Record) -> bool) -> Option<Value> {
    let mut scene = Scene::serving(SEED, SNAPSHOTS);
    scene.wait("three sets", |s, n| s.record(n).is_some_and(|r| r.upkeep.sets.len() == 3));
    caught(scene, ("snapshots", Row::Upkeep.name()), is_it, |_| false)
}

/// A kept interface is made again, which was deleted from outside after the fence.
fn interface_again() -> Option<Value> {
    let mut scene = Scene::serving(SEED, WHOLE);
    scene.trigger(Kind::Recycle, WHOLE);
    scene.wait("behind the fence", |s, node| {
        s.record(node).is_some_and(|r| is_in(&r, Kind::Recycle, Row::Capture))
    });
    let kept = scene.sim.record(&scene.node)?.identity.interface.clone()?;
    let now = scene.sim.now;
    scene.sim.cloud.delete_behind(now, kept.id.as_str());
    let again = format!("again:{}", kept.id);
    let is_it = move |record: &Record| {
        record.row(Row::Launch).is_some_and(|row| row.calls.contains_key(&again))
    };
    caught(scene, ("whole", Row::Launch.name()), is_it, |record| record.work.is_none())
}

#[test]
#[ignore = "writes the goldens of a version that is released"]
fn writes_the_goldens_of_this_version() {
    let version = std::env::var("HOLDFAST_GOLDEN").expect("HOLDFAST_GOLDEN: the new directory");
    let directory = goldens().join(version);
    assert!(!directory.exists(), "{} is there; goldens never change", directory.display());
    std::fs::create_dir_all(&directory).expect("a directory");
    let write = |name: String, golden: Value| {
        let file = directory.join(format!("{name}.json"));
        std::fs::write(file, golden.to_string() + "\n").expect("written");
    };
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Tidy) {
        for spec in rows_of(kind) {
            let name = format!("{}-{}", kind.name(), spec.row.name());
            if let Some(golden) = in_row("whole", kind, spec.row) {
                write(name.clone(), golden);
            }
            let light = has(kind, Row::Standby).then(|| in_row("light", kind, spec.row));
            if let Some(golden) = light.flatten() {
                write(format!("light-{name}"), golden);
            }
        }
    }
    let pending = saving(|record| record.upkeep.pending.is_some());
    let expired = saving(|record| !record.upkeep.expired.is_empty());
    for (name, golden) in [
        ("tidy-retire", tidying()),
        ("upkeep-taking", pending),
        ("upkeep-deleting", expired),
        ("interface-again", interface_again()),
    ] {
        write(name.to_owned(), golden.expect("it is found under way"));
    }
}
