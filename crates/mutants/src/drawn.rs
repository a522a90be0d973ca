//! A sample of the generated mutants, each tried with all tests that could notice it.

use crate::build::{self, Binary, BuildError};
use crate::copy::{Copy, Place};
use crate::generated::{self, Mutant};
use crate::list::{self, Entry, TestName};
use crate::order::Order;
use crate::play::{self, Outcome};
use crate::results::{self, Results, Tried, Verdict};
use crate::work::{self, locked};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tests that differ from run to run, or that try mutants themselves.
const LEFT_OUT: [&str; 2] = [
    "swarm::nor_is_anything_lost_under_seeds_that_nobody_has_tried",
    "swarm::every_planted_bug_trips_the_invariant_that_it_names",
];
/// How long a test may take before a mutant counts as killed by time, beside what it usually takes.
const LIMIT: Duration = Duration::from_secs(20);
/// How much longer than usually a test may take besides.
const SLOWER: u32 = 8;
/// The longest that a test takes when nothing is edited.
const LONGEST: Duration = Duration::from_secs(900);

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Options {
    /// What decides which mutants are drawn.
    pub seed: u64,
    /// How many; `None` for all.
    pub count: Option<usize>,
    /// How many are tried at once.
    pub workers: usize,
    /// Only the survivors in this file of results.
    pub again: Option<PathBuf>,
}

/// What it came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Score {
    /// How many a test failed for.
    pub killed: usize,
    /// How many of them by time.
    pub by_time: usize,
    /// How many do not compile.
    pub unviable: usize,
    /// How many survived although they cannot matter, as a list says.
    pub equivalent: usize,
    /// Those that survived.
    pub survivors: Vec<String>,
}

impl Score {
    fn add(&mut self, tried: &Tried) {
        match tried.verdict {
            Verdict::Killed(_) => self.killed += 1,
            Verdict::KilledByTime(_) => {
                self.killed += 1;
                self.by_time += 1;
            }
            Verdict::Survived => self.survivors.push(tried.mutant.name.clone()),
            Verdict::Equivalent(_) => self.equivalent += 1,
            Verdict::Unviable => self.unviable += 1,
        }
    }

    /// For people.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for name in &self.survivors {
            text.push_str(&format!("survived: {name}\n"));
        }
        let counted = self.killed + self.survivors.len();
        let score = self.killed as f64 * 100.0 / counted.max(1) as f64;
        text.push_str(&format!(
            "{} of {counted} mutants killed ({} by time), {} survived: {score:.1} %; {} cannot \
             matter, {} do not compile\n",
            self.killed,
            self.by_time,
            self.survivors.len(),
            self.equivalent,
            self.unviable,
        ));
        text
    }
}

/// A binary and its tests.
struct Stage {
    binary: Binary,
    tests: Vec<TestName>,
}

/// Draws, tries, and says what became of each as it goes. The mutants that remain are its result.
///
/// # Errors
/// If something else fails than a mutant's tests.
pub fn run(root: &Path, options: &Options) -> io::Result<Score> {
    let place = Place::take(root, "drawn")?;
    let top = root.join("target/mutants");
    let first = Copy::make(root, &place, 0)?;
    let tree = first.name();
    let order = Mutex::new(Order::read(&top.join("order.json")));
    eprintln!("mutants: building and running what nothing is edited in");
    let stages = unmodified(&first, &order, options.workers, &place.dir().join("passed"))?;
    let (chosen, name) = choose(&first, options)?;
    let entries = work::entries(&first)?;
    let results = Results::open(&top.join(format!("results-{name}.jsonl")), &tree)?;
    let mut score = Score::default();
    let mut left = Vec::new();
    for mutant in chosen {
        match results.before.get(&mutant.name) {
            Some(tried) => score.add(tried),
            None => left.push(mutant),
        }
    }
    let (before, total) = (results.before.len(), results.before.len() + left.len());
    if before > 0 {
        eprintln!("mutants: {before} were tried before");
    }
    let run = Run { stages, order, entries, done: Mutex::new((results, score, before)), total };
    work::spread(first, &place, options.workers, left, |copy, mutant| {
        let begun = Instant::now();
        let verdict = run.verdict(copy, &mutant)?;
        run.note(Tried { mutant, verdict, took_ms: begun.elapsed().as_millis() as u64 })
    })?;
    let (_, score, _) = run.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(score)
}

/// The packages whose tests could notice a change of this one, its own first.
fn packages(of: &str) -> Vec<&str> {
    let mut packages = vec![of];
    for package in ["holdfast-controller", "holdfast-sim"] {
        if package != of {
            packages.push(package);
        }
    }
    packages
}

/// Builds all test binaries and runs each test once: it must pass, and what it takes is noted.
fn unmodified(
    copy: &Copy,
    order: &Mutex<Order>,
    jobs: usize,
    passed: &Path,
) -> io::Result<BTreeMap<String, Vec<Stage>>> {
    let tree = copy.name();
    let is_known = std::fs::read_to_string(passed).is_ok_and(|known| known == tree);
    let mut stages: BTreeMap<String, Vec<Stage>> = BTreeMap::new();
    for package in generated::PACKAGES.into_iter().chain(["holdfast-sim"]) {
        let mut names = vec!["it"];
        if copy.has_unit_tests(package) {
            names.push("lib");
        }
        let built = build::tests(copy, package, &names, jobs).map_err(io::Error::other)?;
        for binary in built {
            let paths = play::names(copy, &binary)?;
            let tests: Vec<TestName> = paths
                .into_iter()
                .filter(|path| !LEFT_OUT.contains(&path.as_str()))
                .map(|path| TestName {
                    package: package.to_owned(),
                    binary: binary.name.clone(),
                    path,
                })
                .collect();
            if !is_known {
                all_pass(copy, &binary, &tests, order)?;
            }
            stages.entry(package.to_owned()).or_default().push(Stage { binary, tests });
        }
    }
    locked(order).write()?;
    std::fs::write(passed, tree)?;
    Ok(stages)
}

fn all_pass(
    copy: &Copy,
    binary: &Binary,
    tests: &[TestName],
    order: &Mutex<Order>,
) -> io::Result<()> {
    let paths: Vec<&str> = tests.iter().map(|test| test.path.as_str()).collect();
    match play::run(copy, binary, &paths, |_| LONGEST)? {
        Outcome::Passed(took) => {
            let took: BTreeMap<String, Duration> = took.into_iter().collect();
            for test in tests {
                locked(order).took(test, took.get(&test.path).copied().unwrap_or_default());
            }
            Ok(())
        }
        Outcome::Failed { test, said } => Err(io::Error::other(format!(
            "{} {test} fails with nothing edited: {said}",
            binary.package
        ))),
        Outcome::Died { test } | Outcome::OutOfTime { test } => {
            Err(io::Error::other(format!("{} {test} fails with nothing edited", binary.package)))
        }
    }
}

/// The mutants that are to be tried, and the name of their file of results.
fn choose(copy: &Copy, options: &Options) -> io::Result<(Vec<Mutant>, String)> {
    let mut all = generated::all(copy)?;
    if let Some(file) = &options.again {
        let before = results::survivors(file)?;
        let (mut chosen, mut gone) = (Vec::new(), 0);
        for mutant in &before {
            match all.iter().find(|candidate| candidate.is(mutant)) {
                Some(mutant) => chosen.push(mutant.clone()),
                None => {
                    gone += 1;
                    eprintln!("mutants: {} is no more: what it changed is other now", mutant.name);
                }
            }
        }
        eprintln!("mutants: {} survivors again, {gone} gone", chosen.len());
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = stem.strip_prefix("results-").unwrap_or(&stem).to_owned();
        return Ok((chosen, format!("{name}-again")));
    }
    // Fisher and Yates: a larger sample of the same seed begins with the smaller one.
    let mut state = options.seed;
    let count = options.count.unwrap_or(all.len()).min(all.len());
    for index in 0..count {
        let other = index + (next(&mut state) % (all.len() - index) as u64) as usize;
        all.swap(index, other);
    }
    eprintln!("mutants: {count} of {}, drawn by SEED={}", all.len(), options.seed);
    all.truncate(count);
    Ok((all, options.seed.to_string()))
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

struct Run {
    stages: BTreeMap<String, Vec<Stage>>,
    order: Mutex<Order>,
    entries: Vec<Entry>,
    done: Mutex<(Results, Score, usize)>,
    total: usize,
}

impl Run {
    fn note(&self, tried: Tried) -> io::Result<()> {
        let mut done = locked(&self.done);
        let (results, score, count) = &mut *done;
        results.add(&tried)?;
        score.add(&tried);
        *count += 1;
        let became = match &tried.verdict {
            Verdict::Killed(by) => format!("killed by {by}"),
            Verdict::KilledByTime(by) => format!("killed by time in {by}"),
            Verdict::Survived => "SURVIVED".to_owned(),
            Verdict::Equivalent(name) => format!("cannot matter ({name})"),
            Verdict::Unviable => "unviable".to_owned(),
        };
        let seconds = tried.took_ms as f64 / 1000.0;
        println!("{count}/{} {}: {became} ({seconds:.1} s)", self.total, tried.mutant.name);
        locked(&self.order).write()
    }

    fn verdict(&self, copy: &mut Copy, mutant: &Mutant) -> io::Result<Verdict> {
        let source = copy.source(&mutant.file).unwrap_or_default();
        let Some(edited) = mutant.apply(source) else {
            return Err(io::Error::other(format!("{}: its place is not there", mutant.name)));
        };
        let equivalent = self.equivalent(copy, mutant, &edited);
        copy.edit(&[(mutant.file.clone(), edited)].into_iter().collect())?;
        for package in packages(&mutant.package) {
            let Some(stages) = self.stages.get(package) else { continue };
            let names: Vec<&str> = stages.iter().map(|stage| stage.binary.name.as_str()).collect();
            match build::tests(copy, package, &names, 1) {
                Ok(built) => {
                    for stage in stages {
                        let of_it = |binary: &&Binary| binary.name == stage.binary.name;
                        let Some(binary) = built.iter().find(of_it) else { continue };
                        if let Some(killed) = self.play(copy, binary, &stage.tests)? {
                            return Ok(killed);
                        }
                    }
                }
                Err(BuildError::Wrong(_)) => return Ok(Verdict::Unviable),
                Err(e) => return Err(io::Error::other(format!("{}: {e}", mutant.name))),
            }
        }
        Ok(equivalent.map_or(Verdict::Survived, Verdict::Equivalent))
    }

    /// Runs tests until one fails.
    fn play(
        &self,
        copy: &Copy,
        binary: &Binary,
        tests: &[TestName],
    ) -> io::Result<Option<Verdict>> {
        let (batches, limits) = {
            let order = locked(&self.order);
            let limit =
                |test: &TestName| (test.path.clone(), LIMIT + order.of(test).takes * SLOWER);
            let limits: BTreeMap<String, Duration> = tests.iter().map(limit).collect();
            (order.batches(tests.to_vec()), limits)
        };
        for batch in batches {
            let paths: Vec<&str> = batch.iter().map(|test| test.path.as_str()).collect();
            let limit = |test: &str| limits.get(test).copied().unwrap_or(LIMIT);
            let (path, late) = match play::run(copy, binary, &paths, limit)? {
                Outcome::Passed(_) => continue,
                Outcome::Failed { test, .. } | Outcome::Died { test } => (test, false),
                Outcome::OutOfTime { test } => (test, true),
            };
            let killer = batch.into_iter().find(|test| test.path == path);
            if let (Some(killer), false) = (&killer, late) {
                locked(&self.order).killed(killer);
            }
            let by = killer.map_or(path, |test| test.to_string());
            return Ok(Some(if late { Verdict::KilledByTime(by) } else { Verdict::Killed(by) }));
        }
        Ok(None)
    }

    /// The entry of a list that says why this mutant cannot matter.
    fn equivalent(&self, copy: &Copy, mutant: &Mutant, edited: &str) -> Option<String> {
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        self.entries
            .iter()
            .filter(|entry| entry.guard.is_some())
            .filter(|entry| entry.changes.iter().all(|change| change.file == mutant.file))
            .find(|entry| {
                let after = list::edited(|file| copy.read(file), entry.changes.iter());
                let after = after.ok().and_then(|mut files| files.remove(&mutant.file));
                after.is_some_and(|after| bare(&after) == bare(edited))
            })
            .map(|entry| entry.name.clone())
    }
}
