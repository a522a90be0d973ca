use holdfast_bench::market::compare;
use holdfast_bench::market::replay::Costs;
use holdfast_bench::market::trace::Trace;

const COSTS: Costs =
    Costs { on_demand_usd: 1.0, same_zone_ms: 90_000, zone_move_ms: 240_000, probe_ms: 60_000 };

#[test]
fn on_markets_never_seen_holdfast_saves_and_nobody_beats_the_bound_with_as_little_blackout() {
    for seed in 1..=6 {
        let trace = Trace::synthetic(seed, 3, 12, COSTS.on_demand_usd);
        let report = compare(&trace, &COSTS, &mut |_| {}).expect("a trace");
        let row = |policy| {
            let found = report.rows.iter().find(|r| r.scope == "syn-1" && r.policy == policy);
            found.unwrap_or_else(|| panic!("seed {seed}: no row of {policy}")).clone()
        };
        let (ours, greedy, best) = (row("holdfast"), row("greedy"), row("omniscient"));
        let bound = best.bound_percent.expect("a bound");
        assert!(ours.cost_percent < 100.0, "seed {seed}: {ours:?}");
        assert!(ours.cost_percent > bound - 1e-6, "seed {seed}: {ours:?} {bound}");
        assert!(best.cost_percent > bound - 1e-6, "seed {seed}: {best:?}");
        assert!(best.availability_percent >= ours.availability_percent - 1e-9, "seed {seed}");
        assert!(ours.replacements <= greedy.replacements, "seed {seed}: {ours:?} {greedy:?}");
        assert!(ours.availability_percent >= greedy.availability_percent - 1e-9, "seed {seed}");
    }
}

#[test]
fn the_same_trace_gives_the_same_rows() {
    let trace = Trace::synthetic(9, 2, 5, 1.0);
    let rows = || {
        let report = compare(&trace, &COSTS, &mut |_| {}).expect("a trace");
        serde_json::to_string(&report).expect("JSON")
    };
    assert_eq!(rows(), rows());
}

#[test]
fn a_trace_is_read_and_its_mistakes_are_named_with_their_line() {
    let good = "tick,date,z-1a_avail,z-1a_price\n0,2023-01-01 00:00:00,1,0.5\n\
                1,2023-01-01 00:05:00,0,0.6\n";
    let trace = Trace::parse("t.csv", good.as_bytes()).expect("a trace");
    assert_eq!((trace.ticks(), trace.tick_ms), (2, 300_000));
    assert_eq!(trace.zones[0].available, [true, false]);
    for (from, to, says) in [
        ("0,0.6", "maybe,0.6", "line 3: z-1a_avail is \"maybe\""),
        ("0,0.6", "0,cheap", "line 3: z-1a_price is \"cheap\""),
        ("z-1a_price", "price", "z-1a_avail has no column z-1a_price"),
        ("2023-01-01 00:05:00", "later", "line 2: the second column"),
    ] {
        let error = Trace::parse("t.csv", good.replace(from, to).as_bytes()).expect_err(says);
        assert!(error.to_string().contains(says), "{error}");
    }
}
