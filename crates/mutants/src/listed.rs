//! Tries the lists: each entry must be noticed by the test that it names.

use crate::build::{self, Binary, BuildError};
use crate::copy::{Copy, Place};
use crate::list::{self, Entry, TestName};
use crate::play::{self, Outcome};
use crate::work;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one test may take: a mutant that makes it hang is no failure that it noticed.
const LIMIT: Duration = Duration::from_secs(120);
/// How much of what was said is shown.
const SHOWN_MAX: usize = 2_000;

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its test failed, and said so.
    Killed(String),
    /// Its test passed.
    Survived,
    /// The edited source does not compile.
    DoesNotCompile(String),
    /// Its test was not over in time: it has no limit of its own.
    OutOfTime,
    /// The binary has no such test.
    NoTest,
    /// Its test fails without any edit.
    FailsUnedited,
}

/// An entry and what became of it.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The entry.
    pub entry: Entry,
    /// What became of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

impl Tried {
    /// Whether it is as it should be.
    #[must_use]
    pub fn is_well(&self) -> bool {
        matches!(self.verdict, Verdict::Killed(_))
    }

    /// What became of it, in a word.
    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Killed(_) => "killed",
            Verdict::Survived => "SURVIVED",
            Verdict::DoesNotCompile(_) => "does not compile",
            Verdict::OutOfTime => "out of time",
            Verdict::NoTest => "no such test",
            Verdict::FailsUnedited => "its test fails with nothing edited",
        }
    }
}

/// Tries all entries, or those of these names.
///
/// # Errors
/// If a list is wrong, or something else fails than tests.
pub fn run(root: &Path, workers: usize, names: &[String]) -> io::Result<Vec<Tried>> {
    let place = Place::take(root, "listed")?;
    let copy = Copy::make(root, &place, 0)?;
    let mut entries = work::chosen(&copy, names)?;
    // What has the same binary and the same file together: cargo builds the least then.
    entries.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut unfit = BTreeMap::new();
    for (package, binary, paths) in by_binary(&entries) {
        unfit.extend(unedited(&copy, package, binary, &paths, workers)?);
    }
    let all = work::spread(copy, &place, workers, entries, |copy, entry| {
        let begun = Instant::now();
        let verdict = match unfit.get(&entry.killed_by) {
            Some(verdict) => verdict.clone(),
            None => verdict(copy, &entry)?,
        };
        let tried = Tried { entry, verdict, took: begun.elapsed() };
        eprintln!(
            "mutants: {}: {} ({:.1} s)",
            tried.entry.name,
            tried.word(),
            tried.took.as_secs_f64()
        );
        Ok(tried)
    })?;
    Ok(all)
}

fn key(entry: &Entry) -> (&str, &str, Option<&Path>, &str) {
    let file = entry.changes.first().map(|change| change.file.as_path());
    (&entry.killed_by.package, &entry.killed_by.binary, file, &entry.name)
}

/// The tests that are named, for each binary.
fn by_binary(entries: &[Entry]) -> Vec<(&str, &str, BTreeSet<&str>)> {
    let mut binaries: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for TestName { package, binary, path } in entries.iter().map(|entry| &entry.killed_by) {
        binaries.entry((package, binary)).or_default().insert(path);
    }
    binaries.into_iter().map(|((package, binary), paths)| (package, binary, paths)).collect()
}

/// Runs named tests of a binary with nothing edited; returns those that are not there or fail.
fn unedited(
    copy: &Copy,
    package: &str,
    binary: &str,
    paths: &BTreeSet<&str>,
    jobs: usize,
) -> io::Result<BTreeMap<TestName, Verdict>> {
    let built = one(copy, package, binary, jobs).map_err(io::Error::other)?;
    let there = play::names(copy, &built)?;
    let mut unfit = BTreeMap::new();
    let mut note = |path: &str, verdict| {
        let (package, binary) = (package.to_owned(), binary.to_owned());
        unfit.insert(TestName { package, binary, path: path.to_owned() }, verdict);
    };
    let mut left: Vec<&str> = Vec::new();
    for path in paths {
        if there.iter().any(|name| name == path) {
            left.push(path);
        } else {
            note(path, Verdict::NoTest);
        }
    }
    while !left.is_empty() {
        let fails = match play::run(copy, &built, &left, |_| LIMIT)? {
            Outcome::Passed(_) => break,
            Outcome::Failed { test, .. } | Outcome::Died { test } | Outcome::OutOfTime { test } => {
                test
            }
        };
        note(&fails, Verdict::FailsUnedited);
        let before = left.len();
        left.retain(|path| *path != fails);
        if left.len() == before {
            return Err(io::Error::other(format!("{package} {binary} does not say what fails")));
        }
    }
    Ok(unfit)
}

fn one(copy: &Copy, package: &str, name: &str, jobs: usize) -> Result<Binary, BuildError> {
    let built = build::tests(copy, package, &[name], jobs)?;
    let none = || BuildError::Failed(format!("{package} {name} was not made"));
    built.into_iter().next().ok_or_else(none)
}

fn verdict(copy: &mut Copy, entry: &Entry) -> io::Result<Verdict> {
    let after = list::edited(|file| copy.read(file), entry.edits()).map_err(io::Error::other)?;
    copy.edit(&after)?;
    let test = &entry.killed_by;
    let built = match one(copy, &test.package, &test.binary, 1) {
        Ok(built) => built,
        Err(BuildError::Wrong(said)) => return Ok(Verdict::DoesNotCompile(said)),
        Err(e) => return Err(io::Error::other(format!("{}: {e}", entry.name))),
    };
    Ok(match play::run(copy, &built, &[&test.path], |_| LIMIT)? {
        Outcome::Passed(_) => Verdict::Survived,
        Outcome::Failed { said, .. } => Verdict::Killed(said),
        Outcome::Died { .. } => Verdict::Killed("the process ended".to_owned()),
        Outcome::OutOfTime { .. } => Verdict::OutOfTime,
    })
}

/// For people: the table, and what is not well.
#[must_use]
pub fn render(tried: &[Tried]) -> String {
    let mut text = String::from("| list | edits | killed | seconds |\n|---|---|---|---|\n");
    let mut lists: BTreeMap<&Path, Vec<&Tried>> = BTreeMap::new();
    for one in tried {
        lists.entry(&one.entry.list).or_default().push(one);
    }
    for (list, of_it) in &lists {
        let killed = of_it.iter().filter(|one| one.is_well()).count();
        let took: Duration = of_it.iter().map(|one| one.took).sum();
        let (list, all, took) = (list.display(), of_it.len(), took.as_secs());
        text.push_str(&format!("| {list} | {all} | {killed} | {took} |\n"));
    }
    for one in tried.iter().filter(|one| !one.is_well()) {
        let Entry { list, name, killed_by, .. } = &one.entry;
        let what = match &one.verdict {
            Verdict::Killed(_) => continue,
            Verdict::Survived => format!("it survived: {killed_by} passes with it"),
            Verdict::OutOfTime => format!("{killed_by} was not over in {LIMIT:?}"),
            Verdict::NoTest => format!("there is no test {killed_by}: name one that there is"),
            Verdict::FailsUnedited => format!("{killed_by} fails with nothing edited"),
            Verdict::DoesNotCompile(said) => {
                let shown: String = said.chars().take(SHOWN_MAX).collect();
                format!("it does not compile: write another new text\n{shown}")
            }
        };
        text.push_str(&format!("{}: {name}: {what}\n", list.display()));
    }
    text
}
