//! `holdfast-trials demo`: two real servers live through interruptions while they are written to from
//! outside, and the controller is killed in between; then a control that must lose writes, which
//! shows that the power cuts are real.
//!
//! It does what a user would do, by the same commands.

mod report;
mod rounds;

use crate::trial::commands::{Commands, Server};
use crate::trial::control;
use crate::trial::workload::Workload;
use crate::trial::{evidence, say};
use report::{NodeReport, Report};
use rounds::Plan;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Interruptions of each node, if not told otherwise.
const ROUNDS: usize = 10;
/// The longest `--rounds`.
const MAX_ROUNDS: usize = 1_000;

/// Options of the demonstration.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Leave the server and its nodes running at the end
    #[arg(long)]
    pub keep: bool,
    /// Interruptions of each node, from 1 to 1000
    #[arg(long, default_value_t = ROUNDS)]
    pub rounds: usize,
    /// Where the demonstration's nodes live; it is emptied first
    #[arg(long, default_value = "target/demo/data")]
    pub data_dir: PathBuf,
    /// Where the figures go
    #[arg(long, default_value = "target/demo/report.json")]
    pub report: PathBuf,
    /// Tear the control's log besides, as a power cut may: for tests
    #[arg(long, hide = true)]
    pub tear_control: bool,
}

/// The servers, and after how many tenths of the rounds the controller is killed.
const NODES: [(Workload, usize); 2] = [(Workload::Postgres, 3), (Workload::Redis, 6)];

/// Runs the demonstration.
///
/// # Errors
/// A sentence, if it could not be carried out. `Ok(false)`: it was, and something was lost or
/// changed, or the control lost nothing.
pub fn run(args: &DemoArgs) -> Result<bool, String> {
    if args.rounds == 0 || args.rounds > MAX_ROUNDS {
        return Err(format!("--rounds must be from 1 to {MAX_ROUNDS}"));
    }
    let commands = Commands::new(&args.data_dir)?;
    commands.reset()?;
    say("starting the server");
    let server = Arc::new(Mutex::new(Server::start(&commands)?));
    let outcome = play(args, &commands, &server);
    if !outcome.as_ref().is_ok_and(Report::is_good) {
        let beside = args.report.parent().unwrap_or(Path::new("."));
        evidence::keep(&commands, &beside.join(format!("evidence-{}", std::process::id())));
    }
    let left_running = args.keep.then(|| commands.leave_running(&server));
    if left_running.is_none() {
        say("cleaning up");
        drop(server);
        commands.reset()?;
    }
    let how_to_go_on = left_running.unwrap_or_default();
    let report = outcome.inspect_err(|_| println!("{how_to_go_on}"))?;
    report.write(&args.report)?;
    println!("\n{}", report.table());
    println!("{}", report.verdict());
    println!("The figures are in {}.{how_to_go_on}", args.report.display());
    Ok(report.is_good())
}

fn play(
    args: &DemoArgs,
    commands: &Commands,
    server: &Arc<Mutex<Server>>,
) -> Result<Report, String> {
    let mut threads = Vec::new();
    for (workload, tenths) in NODES {
        let kill_in_round = args.rounds * tenths / 10;
        let plan = Plan { workload, rounds: args.rounds, kill_in_round };
        let (commands, server) = (commands.clone(), Arc::clone(server));
        threads.push(std::thread::spawn(move || rounds::play(&plan, &commands, &server)));
    }
    let mut nodes: Vec<NodeReport> = Vec::new();
    let mut failure = None;
    for thread in threads {
        match thread.join().map_err(|_| "a node's thread panicked".to_owned()).flatten() {
            Ok(node) => nodes.push(node),
            Err(error) => failure = Some(error),
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    let control = control::play(commands, args.tear_control)?;
    Ok(Report { nodes, control })
}
