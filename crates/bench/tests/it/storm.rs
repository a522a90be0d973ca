use holdfast_bench::storm::{Flow, StormOptions, StormReport, StormRow, run};

fn storm(nodes: &[usize], flows: &[Flow], wrong_buckets: bool) -> StormReport {
    let options = StormOptions {
        nodes: nodes.to_vec(),
        flows: flows.to_vec(),
        wrong_buckets,
        ..StormOptions::default()
    };
    run(&options, &mut |_| ()).unwrap_or_else(|e| panic!("{e}"))
}

fn row(report: &StormReport, nodes: usize, percent: u32) -> &StormRow {
    let found = report.rows.iter().find(|r| r.nodes == nodes && r.bucket_percent == percent);
    found.unwrap_or_else(|| panic!("{nodes} {percent}: {}", report.table()))
}

#[test]
fn a_hundred_nodes_taken_back_at_once_are_back_almost_as_soon_as_can_be() {
    let report = storm(&[10, 100], &[Flow::Reattach, Flow::Snapshot], false);
    for row in &report.rows {
        // The call that lets the volumes outlive the instance is no part of the bound, and passes a
        // bucket of five a second: the last of a hundred nodes waits ten seconds for it.
        assert!(row.ratio <= 1.06, "{}", report.table());
        assert!(row.ratio >= 1.0, "nobody is faster than the bound: {}", report.table());
    }
}

#[test]
fn buckets_smaller_than_believed_are_learnt_and_cost_little() {
    let report = storm(&[100], &[Flow::Reattach], true);
    let wrong = row(&report, 100, 50);
    assert!(wrong.ratio <= 1.25, "{}", report.table());
    // What is throttled is said again; that may not become a habit.
    assert!(wrong.mutating_calls_per_replacement <= 15.0, "{}", report.table());
}

#[test]
fn a_replacement_makes_no_more_calls_than_its_budget_tidying_up_included() {
    for volumes in [0, 1, 4] {
        for (flow, most) in [(Flow::Reattach, 11 + 2 * volumes), (Flow::Snapshot, 8 + 5 * volumes)]
        {
            let options = StormOptions {
                nodes: vec![5],
                flows: vec![flow],
                volumes,
                wrong_buckets: false,
                ..StormOptions::default()
            };
            let report = run(&options, &mut |_| ()).expect("it comes to an end");
            let calls = row(&report, 5, 100).mutating_calls_per_replacement;
            assert!(calls <= most as f64, "{volumes} volumes, {flow:?}: {}", report.table());
        }
    }
}

#[test]
fn describe_calls_grow_with_pages_and_not_with_nodes() {
    let report = storm(&[10, 300], &[Flow::Reattach], false);
    let (few, many) = (row(&report, 10, 100), row(&report, 300, 100));
    // Both fit in a page: thirty times the nodes in about the time may not cost thirty times.
    let per_second = |r: &StormRow| r.describe_calls as f64 / r.seconds;
    assert!(per_second(many) <= 3.0 * per_second(few), "{}", report.table());
    assert!(many.describe_calls < 300 * 20, "{}", report.table());
}

#[test]
fn the_same_seed_gives_the_same_storm() {
    let flows = [Flow::Reattach, Flow::Incumbent];
    let seconds = |report: StormReport| -> Vec<(f64, u64)> {
        report.rows.iter().map(|r| (r.seconds, r.describe_calls)).collect()
    };
    assert_eq!(seconds(storm(&[20], &flows, true)), seconds(storm(&[20], &flows, true)));
}
