//! `holdfast-trials sim --pairs`: every pair of faults in every course of every shape with a name. What a
//! pair is, and when two of them are the same, stands in `holdfast_sim::exhaustive`.

use clap::Args;
use holdfast_sim::exhaustive::{Cell, Course, Outcome, Pair, Plan, SHAPES, Sum, pairs};
use holdfast_sim::timeline;
use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{complain, duration, print};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How often it is said how far it is, and kept.
const PROGRESS: Duration = Duration::from_secs(5);
/// The most broken pairs that are named at the end.
const NAMED: usize = 20;

/// Options of `holdfast-trials sim --pairs`.
#[derive(Debug, Args)]
pub struct PairsOptions {
    /// Every pair of faults at the controller's commits, calls and looks, instead of seeds
    #[arg(long, conflicts_with_all = ["seed", "runs", "replacements", "faults", "nodes", "actions", "skip"])]
    pub pairs: bool,
    /// One pair again, with its timeline
    #[arg(long, value_name = "ID", conflicts_with_all = ["pairs", "seed", "runs", "replacements"])]
    pub pair: Option<String>,
    /// Pairs: stop after so long
    #[arg(long = "for", value_name = "SPAN", value_parser = duration::parse, requires = "pairs")]
    pub span: Option<Duration>,
    /// Pairs: stop after so many first faults
    #[arg(long, value_name = "N", requires = "pairs")]
    pub firsts: Option<usize>,
    /// Pairs: keep what is done in this file, and go on from it
    #[arg(long, value_name = "FILE", requires = "pairs")]
    pub state: Option<PathBuf>,
    /// Pairs: only of this course
    #[arg(long, value_name = "NAME", requires = "pairs")]
    pub course: Option<String>,
    /// Pairs: only of this shape
    #[arg(long, value_name = "NAME", requires = "pairs")]
    pub shape: Option<String>,
}

/// Does it.
///
/// # Errors
/// If the options make no sense, or the file of what is done cannot be read or written.
pub fn run(options: &PairsOptions, threads: usize, json: bool) -> Result<ExitCode, Failure> {
    if let Some(name) = &options.pair {
        return again(name);
    }
    let began = Instant::now();
    let plan = plan(options, threads)?;
    let sum = match &options.state {
        Some(file) if file.exists() => read(file, &plan)?,
        _ => Sum::default(),
    };
    let sum = walk(&plan, sum, options, threads, began)?;
    if json {
        let mut all = sum.json(&plan);
        let cells = plan.cells().map(|(name, singles, firsts)| {
            serde_json::json!({"name": name, "single_faults": singles, "first_faults": firsts})
        });
        all["courses"] = cells.collect();
        print(&format!("{all:#}\n"))?;
    } else {
        print(&summary(&plan, &sum))?;
    }
    for (pair, what) in sum.broken.iter().take(NAMED) {
        complain(&format!(
            "sim: {pair} broke {what}\n     again with: holdfast-trials sim --pair {pair}"
        ));
    }
    Ok(if sum.violations == 0 { ExitCode::SUCCESS } else { Code::Failed.into() })
}

fn usage(why: impl Into<String>) -> Failure {
    Failure::new(Code::Usage, why)
}

/// Tells one pair.
fn again(name: &str) -> Result<ExitCode, Failure> {
    let pair = Pair::read(name).map_err(usage)?;
    let (mut play, broken) = pairs::again(pair).map_err(usage)?;
    let trace = play.sim.trace.take().unwrap_or_default();
    print(&timeline::lines(&trace))?;
    for what in &broken {
        complain(&format!("sim: {pair} broke {what}"));
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { Code::Failed.into() })
}

/// What there is to do.
fn plan(options: &PairsOptions, threads: usize) -> Result<Plan, Failure> {
    let course = options.course.as_deref().map(|name| {
        Course::of_name(name).ok_or_else(|| {
            let all: Vec<&str> = Course::ALL.into_iter().map(Course::name).collect();
            usage(format!("--course: there is no {name:?}; there are {}", all.join(", ")))
        })
    });
    let course = course.transpose()?;
    if let Some(name) = options.shape.as_deref()
        && !SHAPES.iter().any(|(shape, _)| *shape == name)
    {
        let all: Vec<&str> = SHAPES.iter().map(|(shape, _)| *shape).collect();
        return Err(usage(format!("--shape: there is no {name:?}; there are {}", all.join(", "))));
    }
    let mut wanted = Vec::new();
    for of in Course::ALL.into_iter().filter(|of| course.is_none_or(|course| course == *of)) {
        for (shape, persistence) in SHAPES {
            let is_asked_for = options.shape.as_deref().is_none_or(|name| name == shape);
            if is_asked_for && of.can_be(persistence).is_ok() {
                wanted.push((of, shape));
            }
        }
    }
    if wanted.is_empty() {
        return Err(usage("this course cannot be brought about in this shape"));
    }
    complain(&format!("sim: {} courses of shapes are prepared", wanted.len()));
    let next = AtomicUsize::new(0);
    let mut cells: Vec<(usize, Result<Cell, String>)> = std::thread::scope(|scope| {
        let prepare = || {
            let mut mine = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((course, shape)) = wanted.get(at) else { return mine };
                mine.push((at, Cell::prepare(*course, shape)));
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(prepare)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    if cells.len() < wanted.len() {
        return Err(Failure::new(Code::Failed, "a course could not be prepared: it panicked"));
    }
    cells.sort_by_key(|(at, _)| *at);
    let cells: Result<Vec<Cell>, String> = cells.into_iter().map(|(_, cell)| cell).collect();
    Ok(Plan::of(cells.map_err(|why| Failure::new(Code::Failed, why))?))
}

/// Walks until all is done, or enough.
fn walk(
    plan: &Plan,
    mut sum: Sum,
    options: &PairsOptions,
    threads: usize,
    began: Instant,
) -> Result<Sum, Failure> {
    let most = options.firsts.unwrap_or(usize::MAX).min(plan.len());
    let open: Vec<usize> = (0..most).filter(|first| !sum.has(*first)).collect();
    let (next, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let earlier = sum.seconds;
    let (send, done) = mpsc::channel::<(usize, Outcome)>();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next, enough, open) = (send.clone(), &next, &enough, &open);
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed)
                    && options.span.is_none_or(|span| began.elapsed() < span)
                {
                    let Some(first) = open.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        return;
                    };
                    if send.send((*first, plan.outcome(*first))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut told = Instant::now();
        let mut kept = Ok(());
        for (first, outcome) in done {
            if let Some((pair, what)) = outcome.broken.first() {
                complain(&format!("sim: {pair} broke {what}"));
            }
            sum.add(first, outcome);
            sum.seconds = earlier + began.elapsed().as_secs_f64();
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                complain(&progress(plan, &sum));
                if let Some(file) = &options.state {
                    kept = kept.and_then(|()| keep(file, plan, &sum));
                    // What cannot be kept is not worth going on for.
                    enough.fetch_or(kept.is_err(), Ordering::Relaxed);
                }
            }
        }
        kept
    })?;
    if let Some(file) = &options.state {
        keep(file, plan, &sum)?;
    }
    Ok(sum)
}

fn read(file: &Path, plan: &Plan) -> Result<Sum, Failure> {
    let failed = |why: String| Failure::new(Code::Failed, format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| failed(e.to_string()))?;
    Sum::read(&text, plan).map_err(failed)
}

/// Keeps what is done: the file is whole at any time.
fn keep(file: &Path, plan: &Plan, sum: &Sum) -> Result<(), Failure> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written =
        std::fs::write(&beside, sum.kept(plan)).and_then(|()| std::fs::rename(&beside, file));
    written.map_err(|e| Failure::new(Code::Failed, format!("{}: {e}", file.display())))
}

fn rate(sum: &Sum) -> f64 {
    if sum.seconds > 0.0 { sum.walked() as f64 / sum.seconds } else { 0.0 }
}

fn progress(plan: &Plan, sum: &Sum) -> String {
    format!(
        "sim: {} of {} first faults, {} pairs, {} walked, {:.0} a second, {} broke something, {} for all ({})",
        sum.firsts(),
        plan.len(),
        sum.pairs(plan),
        sum.walked(),
        rate(sum),
        sum.violations,
        span(sum.whole(plan, sum.seconds)),
        how(plan, sum),
    )
}

fn span(seconds: f64) -> String {
    duration::show((seconds * 1_000.0) as u64)
}

fn how(plan: &Plan, sum: &Sum) -> &'static str {
    if sum.is_whole(plan) { "measured" } else { "extrapolated" }
}

fn summary(plan: &Plan, sum: &Sum) -> String {
    let mut text =
        String::from("course/shape           single faults   with a state of their own\n");
    for (name, singles, firsts) in plan.cells() {
        text.push_str(&format!("{name:<22} {singles:>13} {firsts:>27}\n"));
    }
    let how = how(plan, sum);
    text.push_str(&format!(
        "{} single faults, {} with a state of their own: pairs with {} of these as the first are done\n\
         {} pairs done, {} of them distinct and walked, in {}: {:.0} walked a second\n\
         {:.0} pairs in all, {:.0} of them distinct; {} for all ({how})\n\
         {} faults and pairs broke something\n",
        plan.singles(),
        plan.len(),
        sum.firsts(),
        sum.pairs(plan),
        sum.walked(),
        span(sum.seconds),
        rate(sum),
        sum.whole(plan, sum.pairs(plan) as f64) + plan.idle() as f64,
        sum.whole(plan, sum.walked() as f64),
        span(sum.whole(plan, sum.seconds)),
        sum.violations,
    ));
    text
}
