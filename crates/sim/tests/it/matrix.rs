//! The persistence matrix: what is kept × how data travels × how many zones × whether the address
//! is kept. Each of the 24 combinations is refused with its field, or played through a hard loss, a
//! recycle, a pause and a zone without capacity; what was seen is the table of
//! docs/persistence-matrix.md.

use crate::scene::{Scene, Shape, WHOLE};
use holdfast_controller::Refusal;
use holdfast_model::Kind;
use holdfast_model::record::DataHead;
use holdfast_model::time::MINUTE;
use holdfast_model::user::UserCommand;
use std::path::Path;

const DEVICE: &str = "/dev/xvdb";
/// Set it to write the page anew.
const BLESS: &str = "HOLDFAST_BLESS";

fn combinations() -> Vec<Shape> {
    let mut all = Vec::new();
    for root in [true, false] {
        for data in [Some("reattach"), Some("onLaunch"), None] {
            for zones in [1, 3] {
                for private_ip in [true, false] {
                    all.push(Shape { root, data, zones, private_ip, ..WHOLE });
                }
            }
        }
    }
    all
}

/// What a node shows of its identity while it serves.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    zone: String,
    root: String,
    data: String,
    private_ip: Option<String>,
}

fn seen(scene: &Scene) -> Seen {
    use holdfast_model::facts::Fact;
    let record = scene.sim.record(&scene.node).unwrap();
    let holder = record.instance.clone().unwrap();
    let data = record.identity.data.iter().find(|d| d.device == DEVICE).map(|d| d.head.clone());
    let (image, private_ip) = match scene.sim.cloud.truly(holder.id.as_str()) {
        Some(Fact::Instance(i)) => (i.image.0.clone(), i.private_ip.clone()),
        other => panic!("{other:?}"),
    };
    // A kept interface may be attached beside the instance's own: then that has its address.
    let kept =
        record.identity.interface.as_ref().and_then(|i| scene.sim.cloud.truly(i.id.as_str()));
    let private_ip = match kept {
        Some(Fact::Interface(i)) => {
            assert_eq!(i.attached_to, Some(holder.id), "{}", i.id);
            Some(i.private_ip.clone())
        }
        _ => private_ip,
    };
    Seen {
        zone: holder.market.zone.0,
        root: image,
        data: match data {
            Some(DataHead::Volume { id, .. }) => id.0,
            other => panic!("{other:?}"),
        },
        private_ip,
    }
}

fn finals(scene: &Scene) -> usize {
    let record = scene.sim.record(&scene.node).unwrap();
    // A launch that was refused may have used up a number in between.
    let replaced = record.memory.history.last().unwrap().from_generation.unwrap();
    record
        .kept
        .final_snapshots
        .iter()
        .filter(|f| f.of == DEVICE && f.generation == replaced)
        .count()
}

fn replace(scene: &mut Scene, kind: Kind, shape: Shape) {
    let before = scene.generation();
    scene.trigger(kind, shape);
    scene.wait_for_end(kind, before);
    scene.judge(kind);
}

/// The cells of a row after its first four.
fn play(shape: Shape) -> Vec<String> {
    let mut scene = Scene::empty(1, shape);
    let word = UserCommand::Create { id: scene.node.clone(), document: shape.spec() };
    let number = scene.sim.say(word);
    scene.sim.run_for(MINUTE);
    if let Some(Err(Refusal::Invalid(errors))) = scene.sim.answers.get(&number) {
        let error = errors.first().unwrap();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let why = format!("refused: `{}` {}", error.field, error.problem);
        return vec![why, "-".into(), "-".into(), "-".into()];
    }
    let told = scene.sim.story.iter().any(|e| e.code == "zone-pinned");
    assert_eq!(told, shape.private_ip && shape.zones > 1, "{shape:?}");
    scene.wait("ACTIVE", |s, node| s.record(node).is_some_and(|r| r.status() == "ACTIVE"));
    scene.sim.run_for(2 * MINUTE);
    let first = seen(&scene);

    replace(&mut scene, Kind::Lost, shape);
    let lost = seen(&scene);
    assert_eq!(lost.zone, first.zone, "{shape:?}: nothing made it move");
    let root = if lost.root == first.root { "new, from `imageId`" } else { "its final snapshot" };
    let data = match (lost.data == first.data, finals(&scene)) {
        (true, 0) => "the same volume",
        (false, 1) => "its final snapshot",
        (false, 0) => "new",
        other => panic!("{shape:?}: {other:?}"),
    };
    let address = if lost.private_ip == first.private_ip { "the same" } else { "new" };

    for kind in [Kind::Recycle, Kind::Pause, Kind::Resume] {
        replace(&mut scene, kind, shape);
    }
    let resumed = seen(&scene);
    assert_eq!(resumed.root == first.root, !shape.root);
    assert_eq!(resumed.private_ip == first.private_ip, shape.private_ip);

    scene.drought(None, Some(&resumed.zone), true);
    let before = scene.generation();
    scene.trigger(Kind::Lost, shape);
    scene.sim.run_for(30 * MINUTE);
    let moved = scene.status() == "ACTIVE";
    let elsewhere = if moved {
        let after = seen(&scene);
        assert_ne!(after.zone, resumed.zone);
        assert!(scene.generation() > before);
        match (shape.data, finals(&scene)) {
            (Some(_), 1) => "moves; data from its final snapshot",
            (None, 0) => "moves; data is new",
            other => panic!("{shape:?}: {other:?}"),
        }
    } else {
        let told = scene.sim.story.iter().any(|e| e.code == "no-market");
        assert!(told, "{shape:?}: the user is told\n{}", scene.sim.told());
        scene.drought(None, Some(&resumed.zone), false);
        scene.wait_for_end(Kind::Lost, before);
        assert_eq!(seen(&scene).zone, resumed.zone);
        "waits, and says so"
    };
    assert_eq!(moved, shape.zones > 1 && !shape.private_ip, "{shape:?}");
    scene.judge(Kind::Lost);
    [root, data, address, elsewhere].map(str::to_owned).to_vec()
}

fn table() -> String {
    let mut text = String::from(
        "| root | data | zones | private IP | root after a loss | data after a loss | address | \
         zone without capacity |\n|---|---|---|---|---|---|---|---|\n",
    );
    for shape in combinations() {
        let mut cells = vec![
            if shape.root { "kept" } else { "-" }.to_owned(),
            shape.data.map_or("-".to_owned(), |mode| format!("`{mode}`")),
            if shape.zones > 1 { "several" } else { "one" }.to_owned(),
            if shape.private_ip { "kept" } else { "-" }.to_owned(),
        ];
        cells.extend(play(shape));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

#[test]
fn every_combination_of_the_persistence_matrix_does_what_its_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/persistence-matrix.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once("<!-- table -->\n").unwrap();
    let (written, after) = rest.split_once("<!-- end -->").unwrap();
    let table = table();
    if std::env::var_os(BLESS).is_some() {
        let new = format!("{before}<!-- table -->\n{table}<!-- end -->{after}");
        std::fs::write(&page, new).unwrap();
        return;
    }
    assert_eq!(written, table, "{BLESS}=1 writes docs/persistence-matrix.md anew");
}
