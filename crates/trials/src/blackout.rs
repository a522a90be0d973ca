//! `holdfast-trials bench blackout`: how long a node is away, and how much of that is Holdfast's own.
//!
//! In pairs: a replacement by Holdfast; and, on the same volumes after the same end of the machine,
//! a bare restart of the same server with no controller. The difference of a pair is Holdfast's
//! own share. The machine's speed, the journals' replay, the server's own recovery and the client's
//! retries are on both sides.

mod bare;
mod pair;
mod report;
mod timeline;

use crate::trial::commands::{Commands, Server};
use crate::trial::node::{create, start_writer};
use crate::trial::patience::Patience;
use crate::trial::workload::Workload;
use crate::trial::{evidence, say};
use bare::Machine;
use pair::{Kind, Order, Pair, Stage};
use report::{Entry, Report};
use std::path::PathBuf;

/// The most `--rounds`.
const MAX_ROUNDS: usize = 1_000;
/// The most `--behind`: MariaDB's log has 96 MiB, and makes checkpoints by itself from about 70 on.
const MAX_BEHIND_MIB: u64 = 64;
/// Rows of what is left behind in a MiB.
const ROWS_IN_A_MIB: u64 = 1_024;

/// Options of `holdfast-trials bench blackout`.
#[derive(Debug, clap::Args)]
pub struct BlackoutArgs {
    /// Pairs of each kind and server
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub rounds: usize,
    /// Which servers
    #[arg(long = "workload", value_name = "SERVER,…", value_delimiter = ',', value_enum)]
    pub workloads: Vec<Workload>,
    /// Which ways of losing the machine
    #[arg(long = "kind", value_name = "KIND,…", value_delimiter = ',', value_enum)]
    pub kinds: Vec<Kind>,
    /// MiB that the server writes right before each loss, and that no checkpoint of its own has:
    /// a crash leaves them to be replayed. Of postgres and mariadb
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    pub behind: u64,
    /// Write JSON for programs instead of tables
    #[arg(long)]
    pub json: bool,
    /// Where the benchmark's nodes live; it is emptied first and at the end
    #[arg(long, value_name = "DIR", default_value = "target/bench/blackout")]
    pub data_dir: PathBuf,
}

/// Runs the benchmark.
///
/// # Errors
/// A sentence, if it could not be carried out.
pub fn run(args: &BlackoutArgs) -> Result<Report, String> {
    if args.rounds == 0 || args.rounds > MAX_ROUNDS {
        return Err(format!("--rounds must be from 1 to {MAX_ROUNDS}"));
    }
    if args.behind > MAX_BEHIND_MIB {
        return Err(format!("--behind must be from 0 to {MAX_BEHIND_MIB}"));
    }
    let mut workloads = chosen(&args.workloads);
    if args.behind > 0 {
        let named = args.workloads.iter().find(|w| !w.has_checkpoints());
        if let Some(none) = named {
            return Err(format!(
                "--behind: {} has no checkpoints, it reads its whole log at every start; leave it \
                 out of --workload",
                none.name()
            ));
        }
        workloads.retain(|w| w.has_checkpoints());
    }
    let kinds = chosen(&args.kinds);
    let commands = Commands::new(&args.data_dir)?;
    commands.reset()?;
    let outcome = play(args, &commands, &workloads, &kinds);
    if outcome.is_err() {
        let beside = commands.data_dir().join(format!("evidence-{}", std::process::id()));
        evidence::keep(&commands, &beside);
    }
    commands.reset()?;
    outcome
}

/// All of them, if none was named.
fn chosen<T: clap::ValueEnum + Clone>(named: &[T]) -> Vec<T> {
    if named.is_empty() { T::value_variants().to_vec() } else { named.to_vec() }
}

fn play(
    args: &BlackoutArgs,
    commands: &Commands,
    workloads: &[Workload],
    kinds: &[Kind],
) -> Result<Report, String> {
    let server = Server::start(commands)?;
    // The server is idle: it has no node yet.
    let machine = Machine::open(&commands.cloud_dir())?;
    let mut entries = Vec::new();
    for workload in workloads {
        entries.extend(play_one(args, commands, &server, &machine, *workload, kinds)?);
    }
    Ok(Report { rounds: args.rounds, behind_mib: args.behind, workloads: entries })
}

/// One server through all kinds.
fn play_one(
    args: &BlackoutArgs,
    commands: &Commands,
    server: &Server,
    machine: &Machine,
    workload: Workload,
    kinds: &[Kind],
) -> Result<Vec<Entry>, String> {
    let name = workload.name();
    say(&format!("{name}: creating the node"));
    let first = create(commands, name, &Order::Ordinary.spec(workload)?.to_string())?;
    let writer = start_writer(commands, name, workload, &first.ip, Patience::SHORT)?;
    let mut entries = Vec::new();
    for order in [Order::Ordinary, Order::MakeBeforeBreak] {
        let spec = order.spec(workload)?;
        if order != Order::Ordinary {
            change(commands, name, &spec)?;
        }
        let rows = args.behind * ROWS_IN_A_MIB;
        let stage =
            Stage { commands, server, machine, workload, writer: &writer, spec: &spec, rows };
        for kind in kinds.iter().copied() {
            let pairs = rounds(args, &stage, kind, order)?;
            let keeps_root = spec["managedInstance"]["persistence"]["persistRootDevice"] == true;
            entries.push(Entry::of(workload, kind, (order, keeps_root), &pairs));
        }
    }
    // What a node does by itself comes first.
    entries.sort_by_key(|e| (e.kind, e.order == Order::Ordinary));
    let (acked, lost) = writer.finish(&commands.cloud_dir())?;
    for entry in &mut entries {
        (entry.acked, entry.lost) = (acked, lost.len());
    }
    commands.node(&["delete", name, "--yes", "--wait"])?;
    Ok(entries)
}

/// The pairs of one kind in one order.
fn rounds(
    args: &BlackoutArgs,
    stage: &Stage<'_>,
    kind: Kind,
    order: Order,
) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    for round in 0..args.rounds {
        let pair = stage.play(kind, round % 2 == 1)?;
        say(&format!(
            "{}, {}, {}, pair {} of {}: {} ms, bare {} ms",
            stage.workload.name(),
            kind.name(),
            order.name(),
            round + 1,
            args.rounds,
            pair.holdfast.blackout.as_millis(),
            pair.bare.blackout.as_millis(),
        ));
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Changes a node's spec; its next instance follows it.
fn change(commands: &Commands, name: &str, spec: &serde_json::Value) -> Result<(), String> {
    let path = commands.data_dir().join(format!("{name}-change.json"));
    std::fs::write(&path, spec.to_string()).map_err(|e| format!("{}: {e}", path.display()))?;
    commands.node(&["update", name, "-f", &path.display().to_string()]).map(|_| ())
}
