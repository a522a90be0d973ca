//! `holdfast-mutants`: tries mutants on a copy of the workspace that it is started in.

use clap::{Parser, Subcommand};
use holdfast_mutants::{drawn, listed, planted};
use std::path::PathBuf;
use std::process::ExitCode;

/// Edits of the source that the tests must notice.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// How many are tried at once; the number of cores if it is not given.
    #[arg(long, global = true)]
    workers: Option<usize>,
}

#[derive(Subcommand)]
enum What {
    /// Tries the lists: each entry with the one test that it names.
    Listed {
        /// Only entries of these names.
        names: Vec<String>,
    },
    /// Plants each bug that names an invariant: the simulation's ordinary mix must see it broken.
    Planted {
        /// Only entries of these names.
        names: Vec<String>,
    },
    /// Draws from all mutants that cargo-mutants generates, and tries them with all tests.
    Draw {
        /// What decides which are drawn.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many are drawn.
        #[arg(long, default_value_t = 100)]
        count: usize,
        /// Every one of them.
        #[arg(long)]
        all: bool,
        /// Only the survivors in this file of results.
        #[arg(long)]
        again: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("mutants: {e}");
            ExitCode::from(2)
        }
    }
}

/// Whether all is well.
fn run(arguments: Arguments) -> std::io::Result<bool> {
    let root = std::env::current_dir()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = arguments.workers.unwrap_or(cores).max(1);
    match arguments.what {
        What::Listed { names } => {
            let tried = listed::run(&root, workers, &names)?;
            print!("{}", listed::render(&tried));
            Ok(tried.iter().all(listed::Tried::is_well))
        }
        What::Planted { names } => planted::run(&root, workers, &names),
        What::Draw { seed, count, all, again } => {
            let count = (!all).then_some(count);
            let score = drawn::run(&root, &drawn::Options { seed, count, workers, again })?;
            print!("{}", score.render());
            Ok(score.survivors.is_empty())
        }
    }
}
