//! Prints a fingerprint of the calls of each seed's run: `calls 1 1000`.
//!
//! Of use where the source is put in order and no node may behave differently: the output before and
//! after must be equal.

use holdfast_sim::digest::Digest;
use holdfast_sim::run;
use holdfast_sim::scenario::Mix;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<u64>().ok());
    let (Some(Some(first)), Some(Some(runs)), None) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        eprintln!("calls: a first seed and a number of seeds are needed");
        return ExitCode::from(2);
    };
    for seed in first..first.saturating_add(runs) {
        let report = run::told(seed, &Mix::default());
        let mut calls = Digest::default();
        for (at, line) in report.trace.iter().filter(|(_, line)| line.contains(" call ")) {
            calls.number(at.0);
            calls.bytes(line.as_bytes());
        }
        println!("{seed} {:016x} {}", calls.value(), report.violations.len());
    }
    ExitCode::SUCCESS
}
