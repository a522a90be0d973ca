//! `holdfast-trials sim`: runs seeds on threads, says how far it is, and explains what broke. What a run
//! is, stands in the crate `holdfast-sim`.

use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{complain, print};
mod pairs;

use clap::Args;
use holdfast_sim::campaign::{self, Campaign, MAX_FAILING};
use holdfast_sim::people::Act;
use holdfast_sim::run::{self, RunReport};
use holdfast_sim::scenario::Mix;
use holdfast_sim::{Class, cells, lines, people, shrink, timeline};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Runs, if nothing else is asked for.
const RUNS: u64 = 100;
/// From so many replacements on, a cell of the table that stays empty is a failure.
const FULL_SIZE: u64 = 100_000;
/// How often it is said how far it is.
const PROGRESS: Duration = Duration::from_secs(2);

/// Options of `holdfast-trials sim`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  holdfast-trials sim                              a hundred runs
  holdfast-trials sim --replacements 100000        the full size
  holdfast-trials sim --seed 7                     one run again
  holdfast-trials sim --seed 7 --faults killed,stale
  holdfast-trials sim --pairs --for 60m --state F  pairs of faults, and on from there the next time

The real controller on a simulated EC2 in virtual time, with every fault that the cloud can do.
Needs no server and no root. A run that breaks an invariant is made smaller and told as a timeline,
with the command that repeats it.")]
pub struct SimOptions {
    /// The first seed; alone: only this one
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How many seeds
    #[arg(long, value_name = "N")]
    pub runs: Option<u64>,
    /// Until so many replacements count (they had acknowledged writes, and a fault)
    #[arg(long, value_name = "N")]
    pub replacements: Option<u64>,
    /// Which faults may be on: names, all, or none
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub faults: Vec<String>,
    /// What people may do: names, all (but what is held back), or none
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub acts: Vec<String>,
    /// With what is held back, too: what people do that does not hold yet
    #[arg(long, conflicts_with = "acts")]
    pub wide: bool,
    /// Only the first so many nodes
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,
    /// Only the first so many actions
    #[arg(long, value_name = "N")]
    pub actions: Option<usize>,
    /// Without these actions
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub skip: Vec<usize>,
    /// On so many threads; every run is on one
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Write JSON for programs
    #[arg(long)]
    pub json: bool,
    /// Pairs of faults
    #[command(flatten)]
    pub pairs: pairs::PairsOptions,
}

/// Does it.
///
/// # Errors
/// If the options make no sense.
pub fn run(options: &SimOptions) -> Result<ExitCode, Failure> {
    let threads = options.threads.or_else(|| std::thread::available_parallelism().ok());
    let threads = threads.map_or(1, NonZeroUsize::get);
    if options.pairs.pairs || options.pairs.pair.is_some() {
        return pairs::run(&options.pairs, threads, options.json);
    }
    let mix = mix(options)?;
    let one = options.seed.filter(|_| options.runs.is_none() && options.replacements.is_none());
    let first = match options.seed {
        Some(seed) => seed,
        None => random()?,
    };
    let goal = Goal {
        runs: options.runs.or(options.replacements.map_or(Some(RUNS), |_| None)),
        replacements: options.replacements,
    };
    let goal = if one.is_some() { Goal { runs: Some(1), replacements: None } } else { goal };
    complain(&format!("sim: seeds from {first}, on {threads} threads"));
    let began = Instant::now();
    let campaign = seeds(first, &mix, goal, threads, began);
    let seconds = began.elapsed().as_secs_f64();
    let full = campaign.tally.counted >= FULL_SIZE && mix == Mix::default();
    let holes = if full { cells::holes(&campaign.tally, &mix) } else { Vec::new() };
    let mut not_done = if full { people::holes(&campaign.tally, &mix) } else { Vec::new() };
    if full {
        not_done.extend(lines::holes(&campaign.tally));
    }
    if options.json {
        print(&format!("{:#}\n", campaign.json(seconds)))?;
    } else {
        print(&summary(&campaign, seconds))?;
    }
    for (class, row) in &holes {
        complain(&format!("sim: the fault {class} never hit the row {}", row.name()));
    }
    for what in &not_done {
        complain(&format!("sim: never happened: {what}"));
    }
    if let Some(failing) = campaign.failing.iter().min_by_key(|r| r.seed) {
        explain(failing, &mix, one.is_some());
    }
    let well = campaign.violations == 0 && holes.is_empty() && not_done.is_empty();
    Ok(if well { ExitCode::SUCCESS } else { Code::Failed.into() })
}

/// When to stop.
#[derive(Clone, Copy)]
struct Goal {
    runs: Option<u64>,
    replacements: Option<u64>,
}

impl Goal {
    fn is_reached(self, campaign: &Campaign) -> bool {
        self.runs.is_some_and(|runs| campaign.runs >= runs)
            || self.replacements.is_some_and(|r| campaign.tally.counted >= r)
    }
}

/// What a list names: names, or none; nothing if it is absent or says all.
fn named<T: Copy + Ord>(
    option: &str,
    what: &str,
    list: &[String],
    all: &[(&str, T)],
) -> Result<Option<BTreeSet<T>>, Failure> {
    if list.is_empty() || list == ["all"] {
        return Ok(None);
    }
    let known = |name: &String| {
        all.iter().find(|(of, _)| of == name).map(|(_, known)| *known).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            let why = format!("{option}: there is no {what} {name:?}; there are {names}");
            Failure::new(Code::Usage, why)
        })
    };
    list.iter().filter(|name| *name != "none").map(known).collect::<Result<_, _>>().map(Some)
}

fn mix(options: &SimOptions) -> Result<Mix, Failure> {
    let mut mix = if options.wide { Mix::wide() } else { Mix::default() };
    let faults = named("--faults", "fault", &options.faults, &Class::ALL.map(|c| (c.name(), c)))?;
    let acts = named("--acts", "act", &options.acts, &Act::ALL.map(|act| (act.name(), act)))?;
    mix.classes = faults.unwrap_or(mix.classes);
    mix.acts = acts.unwrap_or(mix.acts);
    mix.nodes = options.nodes;
    mix.actions = options.actions;
    mix.skipped = options.skip.iter().copied().collect();
    Ok(mix)
}

fn random() -> Result<u64, Failure> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|e| {
        Failure::new(Code::Failed, format!("no random seed: {e}; give one by --seed"))
    })?;
    Ok(u64::from(u32::from_le_bytes(bytes)))
}

/// Runs seeds from `first` on until the goal is reached.
fn seeds(first: u64, mix: &Mix, goal: Goal, threads: usize, began: Instant) -> Campaign {
    let next = AtomicU64::new(first);
    let enough = AtomicBool::new(false);
    let (send, reports) = mpsc::channel();
    let mut campaign = Campaign::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next, enough) = (send.clone(), &next, &enough);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if goal.runs.is_some_and(|runs| seed >= first.saturating_add(runs)) {
                        return;
                    }
                    if send.send(safely(seed, mix)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut told = Instant::now();
        for report in reports {
            if let Some(broken) = report.violations.first()
                && campaign.failing.len() < MAX_FAILING
            {
                complain(&format!("sim: seed {} broke {broken}", report.seed));
            }
            campaign.add(report);
            if goal.is_reached(&campaign) {
                enough.store(true, Ordering::Relaxed);
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                complain(&progress(&campaign, goal, began.elapsed().as_secs_f64()));
            }
        }
    });
    campaign
}

/// A run that panics has failed, and the others go on.
fn safely(seed: u64, mix: &Mix) -> RunReport {
    catch_unwind(AssertUnwindSafe(|| run::run(seed, mix)))
        .unwrap_or_else(|_| RunReport::panicked(seed))
}

fn progress(campaign: &Campaign, goal: Goal, seconds: f64) -> String {
    let of = |total: Option<u64>| total.map_or_else(String::new, |n| format!(" of {n}"));
    format!(
        "sim: {}{} replacements, {}{} runs, {} violations, {} replacements an hour",
        campaign.tally.counted,
        of(goal.replacements),
        campaign.runs,
        of(goal.runs),
        campaign.violations,
        campaign::per_hour(campaign.tally.counted, seconds),
    )
}

fn summary(campaign: &Campaign, seconds: f64) -> String {
    let tally = &campaign.tally;
    format!(
        "{}\n{}\n{}\n{} runs, {} h of virtual time in {seconds:.1} s\n\
         {} replacements counted (with acknowledged writes and a fault), {} completed, \
         {} overtaken: {} an hour\n\
         {} violations; well again {} min after the last fault at the latest\n",
        cells::render(tally),
        people::render(tally),
        lines::render(tally),
        campaign.runs,
        campaign.virtual_ms / 3_600_000,
        tally.counted,
        tally.completed,
        tally.overtaken,
        campaign::per_hour(tally.counted, seconds),
        campaign.violations,
        campaign.longest_calm_ms / 60_000,
    )
}

/// Says what broke, as briefly as it can be made to.
fn explain(failing: &RunReport, mix: &Mix, replay: bool) {
    let Some(broken) = failing.violations.first() else { return };
    complain(&format!("\nsim: seed {} broke {broken}", failing.seed));
    if failing.panicked {
        complain(&format!("sim: again with: {}", campaign::replay(failing.seed, mix)));
        return;
    }
    let mut last = Instant::now();
    // What is replayed has been made small already.
    let small = if replay {
        mix.clone()
    } else {
        shrink::shrink(failing.seed, mix, broken.name, |trials| {
            if last.elapsed() >= PROGRESS {
                last = Instant::now();
                complain(&format!("sim: making it smaller, run {trials}"));
            }
            true
        })
    };
    let told = run::told(failing.seed, &small);
    complain(&timeline::render(&told));
    complain(&format!("sim: again with: {}", campaign::replay(failing.seed, &small)));
}
