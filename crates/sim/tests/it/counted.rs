//! The controller's metrics say what has happened: they are compared with the record, with the cloud's own
//! count, and with what the simulation saw leave.

use crate::scene::{Scene, WHOLE};
use holdfast_controller::metrics::{LIST, Metrics};
use holdfast_model::{Kind, Lifecycle, Row};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Samples by their names with labels, as they are scraped.
fn scrape(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.text().unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The sum of what begins so.
fn sum(samples: &BTreeMap<String, f64>, begins: &str) -> f64 {
    samples.iter().filter(|(name, _)| name.starts_with(begins)).map(|(_, value)| value).sum()
}

/// A node that was created, recycled, lost twice (once in a drought) and paused, counted from its start.
fn lived() -> (Scene, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    let mut scene = Scene::empty(811, WHOLE);
    scene.sim.count(Arc::clone(&metrics));
    scene.create(WHOLE);
    scene.wait_for_end(Kind::Create, 0);
    for kind in [Kind::Recycle, Kind::Lost] {
        let before = scene.generation();
        scene.trigger(kind, WHOLE);
        scene.wait_for_end(kind, before);
    }
    let before = scene.generation();
    scene.drought(Some(Lifecycle::Spot), None, true);
    scene.trigger(Kind::Lost, WHOLE);
    scene.wait_for_end(Kind::Lost, before);
    scene.drought(None, None, false);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, before);
    (scene, metrics)
}

#[test]
fn calls_are_counted_as_they_left_and_as_they_were_answered() {
    let (mut scene, metrics) = lived();
    scene.sim.run_for(60_000);
    let samples = scrape(&metrics);
    let mut left: BTreeMap<&str, f64> = BTreeMap::new();
    for action in &scene.sim.calls {
        *left.entry(action).or_default() += 1.0;
    }
    assert!(left["RunInstances"] > 4.0, "some launches were refused: {left:?}");
    for (action, calls) in left {
        let counted = sum(&samples, &format!("holdfast_calls_total{{action=\"{action}\""));
        assert_eq!(counted, calls, "{action}");
        let timed = format!("holdfast_call_duration_seconds_count{{action=\"{action}\"}}");
        assert_eq!(samples[&timed], calls, "{action}");
        let open = format!("holdfast_calls_in_flight{{action=\"{action}\"}}");
        assert_eq!(samples[&open], 0.0, "{action}");
    }
    let refused = "holdfast_calls_total{action=\"RunInstances\",result=\"capacity\"}";
    assert!(samples[refused] > 0.0);
    let by_market = sum(&samples, "holdfast_market_refusals_total");
    assert_eq!(by_market, samples[refused]);
    assert_eq!(sum(&samples, "holdfast_calls_waiting"), 0.0);
    assert_eq!(samples["holdfast_calls_later"], 0.0);
    // What is neither a call nor a look is a commit.
    let commits = sum(&samples, "holdfast_commits_total");
    assert_eq!(commits, scene.sim.effects as f64 - scene.sim.calls.len() as f64);
    assert_eq!(samples["holdfast_commits_total{result=\"done\"}"], commits);
    assert_eq!(samples["holdfast_commit_duration_seconds_count"], commits);
}

#[test]
fn a_life_with_losses_and_droughts_shows_every_metric_that_is_listed() {
    let (_, metrics) = lived();
    let text = metrics.text().unwrap();
    for listed in LIST {
        let family = listed.name.trim_end_matches("_total");
        let shown = format!("# TYPE {family} {}\n", listed.type_.name());
        assert!(text.contains(&shown), "{}", listed.name);
    }
}

#[test]
fn replacements_rows_and_blackouts_are_those_of_the_record() {
    let (scene, metrics) = lived();
    let samples = scrape(&metrics);
    let record = scene.sim.record(&scene.node).unwrap();
    for (cause, times) in [("create", 1.0), ("recycle", 1.0), ("lost", 2.0), ("pause", 1.0)] {
        let name = format!("holdfast_replacements_total{{cause=\"{cause}\",result=\"completed\"}}");
        assert_eq!(samples[&name], times, "{cause}");
    }
    assert_eq!(sum(&samples, "holdfast_replacements_total"), record.memory.history.len() as f64);
    let rows = record.memory.history.iter().flat_map(|finished| &finished.rows);
    let mut took: BTreeMap<Row, (f64, f64)> = BTreeMap::new();
    for (row, began, done) in rows {
        if let Some(done) = done {
            let sum = took.entry(*row).or_default();
            *sum = (sum.0 + 1.0, sum.1 + done.since(*began) as f64 / 1_000.0);
        }
    }
    for (row, (count, seconds)) in took {
        let of = |what| format!("holdfast_row_duration_seconds_{what}{{row=\"{}\"}}", row.name());
        assert_eq!(samples[&of("count")], count, "{row:?}");
        assert!((samples[&of("sum")] - seconds).abs() < 1e-6, "{row:?}");
    }
    let away = |kind: Kind| -> f64 {
        let of_kind = record.memory.history.iter().filter(|f| f.kind == kind);
        let millis = of_kind.map(|f| {
            let row = |row| f.rows.iter().find(|(r, ..)| *r == row).unwrap();
            let began = if kind == Kind::Lost { f.started_at } else { row(Row::Stop).1 };
            row(Row::Ready).2.unwrap().since(began)
        });
        millis.sum::<u64>() as f64 / 1_000.0
    };
    for (kind, times) in [(Kind::Recycle, 1.0), (Kind::Lost, 2.0)] {
        let of = |what| format!("holdfast_blackout_seconds_{what}{{cause=\"{}\"}}", kind.name());
        assert_eq!(samples[&of("count")], times);
        assert!((samples[&of("sum")] - away(kind)).abs() < 1e-6, "{kind:?}");
    }
    // A pause keeps nobody waiting who did not ask for it.
    assert_eq!(sum(&samples, "holdfast_blackout_seconds_count"), 3.0);
    assert_eq!(samples["holdfast_nodes{state=\"PAUSED\"}"], 1.0);
    assert_eq!(sum(&samples, "holdfast_nodes"), 1.0);
}

#[test]
fn lines_of_overtaking_are_counted_as_the_fleet_counts_them_and_whole_looks_have_an_age() {
    let (mut scene, metrics) = lived();
    scene.sim.run_for(15 * 60_000);
    let samples = scrape(&metrics);
    let followed: u64 = scene.sim.fleet().overtakes().values().sum();
    assert!(followed > 5);
    assert_eq!(sum(&samples, "holdfast_overtakes_total"), followed as f64);
    for (line, times) in scene.sim.fleet().overtakes() {
        let begins = format!("holdfast_overtakes_total{{line=\"{}\"", line.line + 1);
        assert!(sum(&samples, &begins) >= *times as f64);
    }
    for kind in ["instance", "volume", "snapshot", "image", "interface"] {
        let at = samples[&format!("holdfast_sweep_timestamp_seconds{{resource=\"{kind}\"}}")];
        let age = scene.sim.now.0 as f64 / 1_000.0 - at;
        assert!((0.0..600.0).contains(&age), "{kind}: {age}");
        let sweeps = format!("holdfast_sweep_duration_seconds_count{{resource=\"{kind}\"}}");
        assert!(samples[&sweeps] > 1.0, "{kind}");
    }
    assert_eq!(sum(&samples, "holdfast_frozen"), 0.0);
}
