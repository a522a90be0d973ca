//! Says under which seed of the ordinary mix an invariant breaks first: `trips no-write-lost 300`.
//!
//! Of use where the source has been edited so that it must break: it fails if none does.

use holdfast_model::Invariant;
use holdfast_sim::run;
use holdfast_sim::scenario::Mix;
use std::panic::catch_unwind;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let read = || {
        let [name, seeds] = arguments.as_slice() else { return None };
        let wanted = Invariant::ALL.into_iter().find(|invariant| invariant.name() == name)?;
        Some((wanted, seeds.parse::<u64>().ok()?))
    };
    let Some((wanted, seeds)) = read() else {
        eprintln!("trips: an invariant and a number of seeds are needed");
        return ExitCode::from(2);
    };
    let breaks = |seed: &u64| {
        let report = catch_unwind(|| run::run(*seed, &Mix::default()));
        report.is_ok_and(|report| report.violations.iter().any(|v| v.name == wanted))
    };
    match (1..=seeds).find(breaks) {
        Some(seed) => {
            println!("seed {seed} breaks {wanted}");
            ExitCode::SUCCESS
        }
        None => {
            println!("{wanted} holds under {seeds} seeds");
            ExitCode::FAILURE
        }
    }
}
