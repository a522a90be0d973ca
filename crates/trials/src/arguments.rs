//! The command line.

use crate::bench::{self, BenchCommand};
use crate::demo::{self, DemoArgs};
use crate::sim::{self, SimOptions};
use crate::soak::{self, SoakArgs};
use clap::{Parser, Subcommand};
use holdfast_terminal::{Code, Failure, end};
use std::process::ExitCode;

/// Exit codes, as the help shows them.
const CODES: &str = "Exit codes:
  0  done, and nothing was lost
  1  failed, or something was lost; the reason is on standard error
  2  the command line has mistakes";

/// What puts Holdfast to the test
#[derive(Debug, Parser)]
#[command(name = "holdfast-trials", version, after_help = CODES)]
struct Arguments {
    /// What to do
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a PostgreSQL and a Redis live through hard interruptions (needs root)
    Demo(DemoArgs),
    /// Do everything to many nodes that can be done to a machine, and count what is lost (needs root)
    #[command(after_help = "Examples:
  holdfast-trials soak --for 10m
  holdfast-trials soak --for 90s --nodes 4 --seed 7")]
    Soak(SoakArgs),
    /// Prove in virtual time that nothing is lost, whatever goes wrong
    Sim(Box<SimOptions>),
    /// Measure: blackouts on this host; storms, markets and idle nodes on a simulated EC2
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    // Prints help and mistakes itself, the latter with exit code 2.
    let done = match Arguments::parse().command {
        Command::Demo(options) => judged(demo::run(&options)),
        Command::Soak(options) => judged(soak::run(&options)),
        Command::Sim(options) => sim::run(&options),
        Command::Bench(bench) => bench::run(&bench).map(|()| ExitCode::SUCCESS),
    };
    end("holdfast-trials", done)
}

/// How a trial on this host ends: whether all was well, or why it could not be carried out.
fn judged(outcome: Result<bool, String>) -> Result<ExitCode, Failure> {
    match outcome {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(Code::Failed.into()),
        Err(why) => Err(Failure::new(Code::Failed, why)),
    }
}
