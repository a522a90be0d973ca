//! `holdfast-trials soak`: nodes of different servers are written to from outside while everything is done
//! to them that can be done to a machine; then it is counted what is lost and what is left over.
//!
//! ```text
//! subjects.rs   the nodes           conductor.rs  what happens when       ledger.rs  what is left over
//! field.rs      a node in use       action.rs     what is done            report.rs  the figures
//! faults.rs     what is broken by hand            carry_out.rs  how it is done
//! dice.rs       chance, repeatable
//! ```

mod action;
mod carry_out;
mod conductor;
mod dice;
mod faults;
mod field;
mod ledger;
mod report;
mod subjects;

use crate::trial::commands::{Commands, Server};
use crate::trial::{control, evidence};
use dice::Dice;
use field::Field;
use holdfast_terminal::duration;
use ledger::Ledger;
use report::Report;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most `--nodes`.
const MAX_NODES: usize = 60;
/// How long things may take to go away at the end.
const REMOVAL: Duration = Duration::from_secs(60);

/// Options of `holdfast-trials soak`.
#[derive(Debug, clap::Args)]
pub struct SoakArgs {
    /// How long it is played, such as 90s or 10m
    #[arg(long = "for", value_name = "SPAN", default_value = "10m", value_parser = duration::parse)]
    pub length: Duration,
    /// Nodes, from 1 to 60: PostgreSQL, Redis, SQLite, etcd, MariaDB, in turn
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub nodes: usize,
    /// Repeats what another run chose (the seed that it printed)
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where the nodes live; it is emptied first and at the end
    #[arg(long, value_name = "DIR", default_value = "target/soak/data")]
    pub data_dir: PathBuf,
    /// Where figures, timeline and evidence go
    #[arg(long, value_name = "DIR", default_value = "target/soak/report")]
    pub report_dir: PathBuf,
}

/// Plays it.
///
/// # Errors
/// A sentence, if it could not be carried out, or a node did not come back. `Ok(false)`: something
/// was lost or left over, or the control lost nothing.
pub fn run(args: &SoakArgs) -> Result<bool, String> {
    if args.nodes == 0 || args.nodes > MAX_NODES {
        return Err(format!("--nodes must be from 1 to {MAX_NODES}"));
    }
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes).map_err(|e| format!("no random bytes: {e}"))?;
    let seed = args.seed.unwrap_or_else(|| u32::from_le_bytes(bytes).into());
    let dir = &args.report_dir;
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let commands = Commands::new(&args.data_dir)?;
    commands.reset()?;
    let server = Server::start(&commands)?;
    let field = Field::new(commands, server, &dir.join("timeline.log"))?;
    field.say(&format!("seed {seed}: repeat what is chosen with --seed {seed}"));
    let field = Arc::new(field);
    let outcome = play(args, seed, &field);
    let good = match &outcome {
        Ok(report) => report.is_good(),
        Err(_) => false,
    };
    if !good {
        evidence::keep(&field.commands, &dir.join(format!("evidence-{seed}")));
    }
    let commands = field.commands.clone();
    field.stop_server();
    drop(field);
    commands.reset()?;
    let mut report = outcome?;
    report.left_at_the_end = Ledger::of(&commands.cloud_dir())?.differences(&Ledger::default());
    report.write(&dir.join("report.json"))?;
    println!("\n{}\n{}", report.tables(), report.verdict());
    println!("Figures and timeline are in {}.", dir.display());
    Ok(report.is_good())
}

fn play(args: &SoakArgs, seed: u64, field: &Arc<Field>) -> Result<Report, String> {
    let cloud_dir = field.commands.cloud_dir();
    let before = Ledger::of(&cloud_dir)?;
    let began = Instant::now();
    field.begin(subjects::subjects(args.nodes))?;
    let mut dice = Dice::new(seed);
    conductor::play(field, &mut dice, args.length)?;
    field.everybody_serves(Instant::now())?;
    let played = began.elapsed();
    let nodes = field.count()?;
    let control = control::play(&field.commands, false)?;
    field.give_everything_up()?;
    let after = settled(&cloud_dir, &before)?;
    Ok(Report {
        seed,
        seconds: played.as_secs(),
        actions: report::tally(&field.outcomes()),
        nodes,
        control,
        before,
        after,
        left_at_the_end: Vec::new(),
    })
}

/// What there is once nothing goes away any more, or at once if nothing is left over.
fn settled(cloud_dir: &Path, before: &Ledger) -> Result<Ledger, String> {
    let began = Instant::now();
    loop {
        let now = Ledger::of(cloud_dir)?;
        if now.differences(before).is_empty() || began.elapsed() > REMOVAL {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
