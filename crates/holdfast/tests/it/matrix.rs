//! The table of docs/persistence-matrix.md on real nodes: each of its rows is refused with its
//! reason, or lives through a power cut, a recycle, a pause with resume and a zone without
//! capacity, and keeps on its disks what the row says, and nothing else.

use crate::docs::root;
use crate::life::Real;
use holdfast_cloud_local::network;
use holdfast_cloud_local::storage::Inventory;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the server does by itself may take this long.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many nodes live at the same time.
const AT_ONCE: usize = 8;
const DEVICE: &str = "/dev/xvdb";
/// Where each volume's marker is, in the node.
const ROOT_MARKER: &str = "/marker";
const DATA_MARKER: &str = "/srv/data/marker";
/// Each node has a market of its own, so that a drought is nobody else's.
const TYPES: [&str; 16] = [
    "t3.nano",
    "t3.micro",
    "t3.small",
    "t3.medium",
    "t3.large",
    "t3.xlarge",
    "m5.large",
    "m5.xlarge",
    "m5.2xlarge",
    "m6i.large",
    "c5.large",
    "c5.xlarge",
    "c6i.large",
    "r5.large",
    "r5.xlarge",
    "r6i.large",
];

/// A row of the page.
#[derive(Debug)]
struct Row {
    number: usize,
    text: String,
    /// root, data, zones, private IP; then what is promised of root, data, address, zone.
    cells: [String; 8],
}

/// What becomes of a volume when its node's instance is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Same,
    Saved,
    New,
}

impl Row {
    fn cell(&self, at: usize) -> &str {
        &self.cells[at]
    }

    /// What a cell says, of the words that it may have.
    fn says<T: Copy>(&self, at: usize, words: &[(&str, T)]) -> T {
        let found = words.iter().find(|(word, _)| *word == self.cell(at));
        found.unwrap_or_else(|| panic!("nobody tests what cell {} says: {}", at + 1, self.text)).1
    }

    fn kept(&self, at: usize) -> bool {
        self.says(at, &[("kept", true), ("-", false)])
    }

    fn mode(&self) -> Option<&str> {
        (self.cell(1) != "-").then(|| self.cell(1).trim_matches('`'))
    }

    fn several(&self) -> bool {
        self.says(2, &[("several", true), ("one", false)])
    }

    fn root_after(&self) -> Fate {
        self.says(4, &[("its final snapshot", Fate::Saved), ("new, from `imageId`", Fate::New)])
    }

    fn data_after(&self) -> Fate {
        let words = [
            ("the same volume", Fate::Same),
            ("its final snapshot", Fate::Saved),
            ("new", Fate::New),
        ];
        self.says(5, &words)
    }

    fn same_address(&self) -> bool {
        self.says(6, &[("the same", true), ("new", false)])
    }

    /// What becomes of data in another zone; `None`: it stays in this one, and waits.
    fn elsewhere(&self) -> Option<Fate> {
        let words = [
            ("waits, and says so", None),
            ("moves; data from its final snapshot", Some(Fate::Saved)),
            ("moves; data is new", Some(Fate::New)),
        ];
        self.says(7, &words)
    }

    fn name(&self) -> String {
        format!("matrix-{}", self.number)
    }

    fn instance_type(&self) -> &'static str {
        TYPES[self.number % TYPES.len()]
    }

    fn spec(&self) -> String {
        let zones = if self.several() { vec!["1a", "1b", "1c"] } else { vec!["1a"] };
        let subnets: Vec<String> = zones.iter().map(|z| format!("subnet-local-{z}")).collect();
        let mut persistence = json!({
            "persistRootDevice": self.kept(0),
            "persistBlockDevices": self.mode().is_some(),
            "persistPrivateIp": self.kept(3)
        });
        if let Some(mode) = self.mode() {
            persistence["blockDevicesMode"] = mode.into();
        }
        let spec = json!({
            "name": self.name(),
            "region": "local-1",
            "strategy": {"lifeCycle": "spot", "fallbackToOd": false, "drainingTimeout": 5},
            "persistence": persistence,
            "compute": {
                "vpcId": "vpc-local",
                "subnetIds": subnets,
                "launchSpecification": {
                    "imageId": "ami-host",
                    "instanceTypes": {"types": [self.instance_type()]},
                    "blockDeviceMappings": [{"deviceName": DEVICE, "ebs": {"volumeSize": 1}}],
                    "tags": [{
                        "tagKey": format!("holdfast:mount:{DEVICE}"), "tagValue": "/srv/data"
                    }],
                    "userData": "#!/bin/sh\nexec sleep infinity\n"
                }
            }
        });
        spec.to_string()
    }
}

/// All rows of the page; there are as many as there are combinations.
fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(root().join("docs/persistence-matrix.md")).unwrap();
    let table =
        page.split("<!-- table -->\n").nth(1).unwrap().split("<!-- end -->").next().unwrap();
    let row = |(number, line): (usize, &str)| {
        let inner = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")).unwrap();
        let cells: Vec<String> = inner.split(" | ").map(str::to_owned).collect();
        Row { number, text: line.to_owned(), cells: cells.try_into().unwrap() }
    };
    let rows: Vec<Row> = table.lines().skip(2).enumerate().map(row).collect();
    let combinations: std::collections::BTreeSet<&[String]> =
        rows.iter().map(|row| &row.cells[..4]).collect();
    assert_eq!((rows.len(), combinations.len()), (24, 24), "{table}");
    rows
}

/// What a node shows of its identity while it serves.
struct Seen {
    generation: u64,
    zone: String,
    volume: String,
    interface: String,
    private_ip: String,
    /// What the markers on its root and on its data volume say.
    markers: [Option<String>; 2],
    /// Of what there are final snapshots, and of which generation.
    finals: Vec<(String, u64)>,
}

/// One row that is played; where it is.
struct Player<'a> {
    real: &'a Real,
    row: &'a Row,
    step: &'a RefCell<&'static str>,
}

impl Player<'_> {
    fn exec(&self, script: &str) -> String {
        self.real.done(&["exec", &self.row.name(), "--", "sh", "-c", script])
    }

    fn seen(&self) -> Seen {
        let shown = self.real.shown(&self.row.name());
        let text = |path: &str| {
            let found = shown.pointer(path).and_then(Value::as_str);
            found.unwrap_or_else(|| panic!("no {path} in {shown}")).to_owned()
        };
        let data = shown["record"]["data"].as_array().unwrap();
        assert_eq!((data.len(), &data[0]["device"]), (1, &DEVICE.into()), "{shown}");
        let finals = shown["record"]["finals"].as_array().unwrap();
        let of =
            |f: &Value| (f["of"].as_str().unwrap().to_owned(), f["generation"].as_u64().unwrap());
        let marker = |path: &str| {
            let said = self.exec(&format!("if [ -e {path} ]; then cat {path}; fi"));
            (!said.is_empty()).then(|| said.trim().to_owned())
        };
        Seen {
            generation: shown["generation"].as_u64().unwrap(),
            zone: text("/record/holder/market/zone"),
            volume: text("/record/data/0/head/id"),
            interface: text(if self.row.kept(3) {
                // One that stood by has a first interface of its own beside it.
                "/record/interface/id"
            } else {
                "/interfaces/0/id"
            }),
            private_ip: text("/privateIp"),
            finals: finals.iter().map(of).collect(),
            markers: [marker(ROOT_MARKER), marker(DATA_MARKER)],
        }
    }

    /// Writes to both volumes what nobody else wrote, durably; what was seen from then on.
    fn mark(&self) -> Seen {
        let before = self.seen();
        let content = format!("{} {}", self.row.name(), before.generation);
        self.exec(&format!(
            "echo root {content} > {ROOT_MARKER} && echo data {content} > {DATA_MARKER} && \
             sync {ROOT_MARKER} {DATA_MARKER}"
        ));
        let markers = ["root", "data"].map(|volume| Some(format!("{volume} {content}")));
        Seen { markers, ..before }
    }

    /// Compares what there is with what there was before and what the row promises; gives what
    /// there is, marked anew.
    fn compare(&self, before: &Seen, data: Fate) -> Seen {
        let row = self.row;
        let after = self.seen();
        // A launch that was refused may have used up a number in between.
        assert!(after.generation > before.generation);
        let saved = |of: &str| {
            let last = (of.to_owned(), before.generation);
            after.finals.iter().filter(|f| **f == last).count()
        };
        for (at, (of, fate)) in [("root", row.root_after()), (DEVICE, data)].iter().enumerate() {
            let expected = if *fate == Fate::New { &None } else { &before.markers[at] };
            assert_eq!(&after.markers[at], expected, "what is on {of}");
            assert_eq!(saved(of), usize::from(*fate == Fate::Saved), "final snapshots of {of}");
        }
        assert_eq!(after.volume == before.volume, data == Fate::Same, "its volume");
        assert_eq!(after.interface == before.interface, row.same_address(), "its interface");
        if row.same_address() {
            assert_eq!(after.private_ip, before.private_ip);
        }
        self.mark()
    }

    /// The same, where nothing made it move.
    fn compare_here(&self, before: &Seen) -> Seen {
        let after = self.compare(before, self.row.data_after());
        assert_eq!(after.zone, before.zone, "nothing made it move");
        after
    }

    fn codes(&self) -> Vec<String> {
        let said = self.real.done(&["events", &self.row.name(), "--json", "--limit", "1000"]);
        let events = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.map(|event| event["code"].as_str().unwrap().to_owned()).collect()
    }

    /// What a node waits for is shown as soon as it is planned; its events, once they are committed.
    fn is_told(&self, code: &str) {
        let began = Instant::now();
        while !self.codes().iter().any(|told| told == code) {
            assert!(began.elapsed() < PATIENCE, "the user is not told: {code}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn wait_for(&self, words: &str) {
        let began = Instant::now();
        loop {
            let shown = self.real.shown(&self.row.name());
            if shown["waitsFor"].as_str().is_some_and(|what| what.contains(words)) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "it does not wait for {words}: {shown}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn market(&self, zone: &str, setting: &[&str]) {
        let market = ["set", self.row.instance_type(), zone];
        let ended = self.real.market(&[&market, setting].concat());
        assert_eq!(ended.code, 0, "{setting:?}: {}{}", ended.out, ended.err);
    }

    fn at(&self, step: &'static str) {
        *self.step.borrow_mut() = step;
    }

    fn play(&self) {
        self.at("create");
        let (real, row, name) = (self.real, self.row, self.row.name());
        let spec = real.write(&format!("{name}.json"), &row.spec());
        if let Some(reason) = row.cell(4).strip_prefix("refused: ") {
            let ended = real.node(&["create", "-f", &spec]);
            assert_eq!(ended.code, 2, "{}{}", ended.out, ended.err);
            let (field, problem) = reason.split_once("` ").unwrap();
            let said = format!("{}: {problem}", field.trim_start_matches('`'));
            assert!(ended.err.contains(&said), "{}", ended.err);
            assert_eq!(&row.cells[5..], ["-", "-", "-"]);
            return;
        }
        real.done(&["create", "--wait", "-f", &spec]);
        let first = self.mark();

        self.at("a power cut");
        real.done(&["interrupt", &name]);
        real.wait_for_generation_of(&name, first.generation);
        let lost = self.compare_here(&first);

        self.at("a recycle");
        real.done(&["recycle", &name, "--wait"]);
        let recycled = self.compare_here(&lost);

        self.at("a pause with resume");
        real.done(&["pause", &name, "--wait"]);
        real.done(&["resume", &name, "--wait"]);
        let resumed = self.compare_here(&recycled);

        self.at("a zone without capacity");
        let pinned = self.codes().iter().any(|code| code == "zone-pinned");
        assert_eq!(pinned, row.several() && row.kept(3), "that other zones are not used");
        self.market(&resumed.zone, &["--spot-capacity", "0", "--interrupt"]);
        if let Some(data) = row.elsewhere() {
            real.wait_for_generation_of(&name, resumed.generation);
            assert_ne!(self.compare(&resumed, data).zone, resumed.zone);
        } else {
            self.wait_for("a market with capacity");
            self.is_told("no-market");
            self.market(&resumed.zone, &["--usual"]);
            real.wait_for_generation_of(&name, resumed.generation);
            self.compare_here(&resumed);
        }

        self.at("delete");
        real.done(&["delete", &name, "--yes", "--wait"]);
    }
}

/// What there is of nodes on this host.
fn there_is(real: &Real) -> Vec<String> {
    let stored = Inventory::of(&real.cloud()).unwrap();
    let net = network::inventory(&real.cloud()).unwrap();
    let mut all: Vec<String> = stored.mounts.iter().map(|m| m.display().to_string()).collect();
    all.extend(stored.loops.iter().map(|(_, file)| file.display().to_string()));
    for ids in [stored.volumes, stored.snapshots, stored.drafts, net.nodes, net.links, net.retired]
    {
        all.extend(ids);
    }
    all.sort();
    all
}

#[test]
fn on_real_disks_too_every_combination_of_the_persistence_matrix_does_what_its_page_says() {
    let rows = rows();
    let real = Real::start();
    let before = there_is(&real);
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let step = RefCell::new("");
                    let player = Player { real: &real, row, step: &step };
                    if let Err(why) = catch_unwind(AssertUnwindSafe(|| player.play())) {
                        let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
                        let at = step.into_inner();
                        failures.lock().unwrap().push(format!("{at}: {}\n{why}", row.text));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n\n"));

    // A node is forgotten once a whole look shows nothing of it any more.
    let began = Instant::now();
    let nodes = || real.node(&["list", "--all", "--json"]).json();
    while nodes() != json!([]) || there_is(&real) != before {
        let left = there_is(&real);
        assert!(began.elapsed() < PATIENCE, "{}\nleft: {left:?}\nbefore: {before:?}", nodes());
        std::thread::sleep(Duration::from_millis(50));
    }
}
