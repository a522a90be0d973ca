use holdfast_bench::scale::{ScaleOptions, run};

#[test]
fn idle_nodes_cost_pages_of_sweeps_and_nothing_more() {
    let options = ScaleOptions { nodes: vec![20, 2_500], seed: 1 };
    let report = run(&options, &mut |_| ()).unwrap_or_else(|e| panic!("{e}"));
    let [few, many] = report.rows.as_slice() else { panic!("{}", report.table()) };
    // In an hour 240 sweeps over the instances and 60 over everything else. Twenty nodes are a page
    // of each; 2,500 are three of instances and interfaces and five of volumes.
    assert!(few.calls_per_hour <= 600.0, "{}", report.table());
    assert!(many.calls_per_hour <= 1_800.0, "sweeps never end: {}", report.table());
    for row in &report.rows {
        assert!(row.noticed_after_seconds <= 6.0, "{}", report.table());
        assert!(row.lost_noticed_after_seconds <= 30.0, "{}", report.table());
    }
}
