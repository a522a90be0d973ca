//! `holdfast-trials bench …`: benchmarks. All but `blackout` run on the simulated EC2 and touch nothing of
//! this host.

mod arguments;

use crate::blackout::{self, BlackoutArgs};
pub use arguments::BenchCommand;
use arguments::{MarketArgs, ScaleArgs, StormArgs};
use holdfast_bench::BenchError;
use holdfast_bench::market::replay::Costs;
use holdfast_bench::market::{self, trace::Trace};
use holdfast_bench::scale::{self, ScaleOptions};
use holdfast_bench::storm::{self, StormOptions};
use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{complain, print};
use serde::Serialize;

/// Runs a benchmark and prints what came of it.
pub fn run(bench: &BenchCommand) -> Result<(), Failure> {
    match bench {
        BenchCommand::Storm(args) => run_storm(args),
        BenchCommand::Market(args) => run_market(args),
        BenchCommand::Blackout(args) => run_blackout(args),
        BenchCommand::Scale(args) => run_scale(args),
    }
}

fn run_storm(args: &StormArgs) -> Result<(), Failure> {
    let options = StormOptions {
        nodes: args.nodes.clone(),
        volumes: args.volumes.into(),
        seed: args.seed,
        ..StormOptions::default()
    };
    let report = storm::run(&options, &mut |what| complain(what)).map_err(no_result)?;
    if args.json { print_json(&report) } else { print(&report.table()) }
}

fn run_market(args: &MarketArgs) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(Code::Failed, why);
    let costs = Costs {
        on_demand_usd: args.on_demand_price,
        same_zone_ms: args.same_zone * 1_000,
        zone_move_ms: args.zone_move * 1_000,
        probe_ms: 60_000,
    };
    let whole = match &args.trace {
        Some(path) => Trace::read(path).map_err(|e| failed(e.to_string()))?,
        None => Trace::synthetic(args.synthetic, 4, 45, args.on_demand_price),
    };
    let ticks = |days: f64| (days * 86_400_000.0 / whole.tick_ms as f64) as usize;
    let from = ticks(args.skip_days);
    let to = args.days.map_or(whole.ticks(), |days| from.saturating_add(ticks(days)));
    let report = market::compare(&whole.between(from, to), &costs, &mut |what| complain(what))
        .map_err(failed)?;
    if args.json { print_json(&report) } else { print(&report.table()) }
}

fn run_blackout(args: &BlackoutArgs) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(Code::Failed, why);
    let report = blackout::run(args).map_err(failed)?;
    if args.json {
        print_json(&report)?
    } else {
        print(&report.text())?
    }
    if report.nothing_lost() {
        return Ok(());
    }
    Err(failed("acknowledged writes were lost, or none was acknowledged".to_owned()))
}

fn run_scale(args: &ScaleArgs) -> Result<(), Failure> {
    let options = ScaleOptions { nodes: args.nodes.clone(), seed: args.seed };
    let report = scale::run(&options, &mut |what| complain(what)).map_err(no_result)?;
    if args.json { print_json(&report) } else { print(&report.table()) }
}

fn no_result(error: BenchError) -> Failure {
    Failure::new(Code::Failed, error.to_string())
}

/// Writes a report for programs.
fn print_json(report: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|e| Failure::new(Code::Failed, e.to_string()))?;
    print(&format!("{text}\n"))
}
