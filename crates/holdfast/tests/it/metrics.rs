//! A scrape of a real server, as the documentation says that it is set up.

mod exposition;

use crate::docs::root;
use crate::life::{Real, SPEC};
use exposition::{Family, Sample};
use holdfast_controller::metrics::{CONTENT_TYPE, LIST};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What the server does by itself may take this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one job of the example in the documentation.
fn job() -> Value {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let (_, example) = page.split_once("```yaml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let config: Value = serde_saphyr::from_str(example).expect("it is YAML");
    let [job] = config["scrape_configs"].as_array().unwrap().as_slice() else { panic!("{config}") };
    job.clone()
}

/// Scrapes as the job says, but at this server; its body, checked, and its type.
fn scrape(real: &Real, job: &Value) -> BTreeMap<String, Family> {
    let path = job["metrics_path"].as_str().unwrap();
    let authorization = &job["authorization"];
    let file = authorization["credentials_file"].as_str().unwrap();
    let file = file.replace("/var/lib/holdfast", real.data_dir().to_str().unwrap());
    let token = std::fs::read_to_string(file).unwrap();
    let says = format!("{} {}", authorization["type"].as_str().unwrap(), token.trim());
    let request = ureq::get(format!("{}{path}", real.url())).header("Authorization", says);
    let mut answer = request.call().unwrap();
    assert_eq!(answer.headers()["content-type"], CONTENT_TYPE);
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(!text.contains("smi-") && !text.contains("diary"), "no label names a node:\n{text}");
    exposition::read(&text)
}

/// The sum of a metric's samples that have these labels; 0 if there is none.
fn sum(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let samples = families.values().flat_map(|family| &family.samples);
    let has = |s: &Sample, (label, value): &(&str, &str)| {
        s.labels.get(*label).is_some_and(|is| is == value)
    };
    samples
        .filter(|s| s.name == name && labels.iter().all(|label| has(s, label)))
        .map(|s| s.value)
        .sum()
}

#[test]
fn a_scrape_as_documented_counts_what_was_done_to_a_real_node() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: nodes are real machines");
    let real = Real::start();
    let job = job();
    assert_eq!(job["static_configs"][0]["targets"][0], "127.0.0.1:7766", "where serve listens");

    let spec = real.write("diary.yaml", SPEC);
    real.done(&["create", "--wait", "-f", &spec]);
    real.done(&["interrupt", "diary"]);
    real.wait_for_generation_of("diary", 1);
    real.done(&["recycle", "diary", "--wait"]);
    let began = Instant::now();
    let families = loop {
        let families = scrape(&real, &job);
        let ended = sum(&families, "holdfast_replacements_total", &[]);
        let open = sum(&families, "holdfast_calls_in_flight", &[]);
        if ended >= 3.0 && open == 0.0 {
            break families;
        }
        assert!(began.elapsed() < PATIENCE, "{families:#?}\n{}", real.log());
        std::thread::sleep(Duration::from_millis(50));
    };

    for cause in ["create", "lost", "recycle"] {
        let labels = [("cause", cause), ("result", "completed")];
        assert_eq!(sum(&families, "holdfast_replacements_total", &labels), 1.0, "{cause}");
        let blackouts = sum(&families, "holdfast_blackout_seconds_count", &[("cause", cause)]);
        assert_eq!(blackouts, if cause == "create" { 0.0 } else { 1.0 }, "{cause}");
    }
    assert!(sum(&families, "holdfast_blackout_seconds_sum", &[]) > 0.0);
    for (row, times) in [("launch", 3.0), ("ready", 3.0), ("stop", 2.0)] {
        let count = sum(&families, "holdfast_row_duration_seconds_count", &[("row", row)]);
        assert_eq!(count, times, "{row}");
    }
    assert_eq!(sum(&families, "holdfast_nodes", &[("state", "ACTIVE")]), 1.0);
    assert_eq!(sum(&families, "holdfast_nodes", &[]), 1.0);
    let launches = [("action", "RunInstances"), ("result", "done")];
    assert_eq!(sum(&families, "holdfast_calls_total", &launches), 3.0);
    let commits = sum(&families, "holdfast_commits_total", &[("result", "done")]);
    assert!(commits >= 3.0 && commits == sum(&families, "holdfast_commits_total", &[]));
    assert!(sum(&families, "holdfast_sweep_duration_seconds_count", &[]) >= 5.0);

    // What is scraped is what is listed.
    for (name, family) in &families {
        let listed = LIST.iter().find(|listed| listed.name.trim_end_matches("_total") == name);
        let listed = listed.unwrap_or_else(|| panic!("{name} is not listed"));
        assert_eq!(listed.type_.name(), family.type_, "{name}");
        for sample in &family.samples {
            let labels = sample.labels.keys().map(String::as_str).filter(|label| *label != "le");
            let labels: BTreeSet<&str> = labels.collect();
            assert_eq!(labels, listed.labels.iter().copied().collect(), "{name}");
        }
    }

    let bare = ureq::get(format!("{}/metrics", real.url()))
        .config()
        .http_status_as_error(false)
        .build()
        .call()
        .unwrap();
    assert_eq!(bare.status(), 401);
}
