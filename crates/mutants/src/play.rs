//! Runs tests of a binary one after the other and hears how each went.

use crate::build::Binary;
use crate::copy::Copy;
use crate::list::package_dir;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The most memory that a test may take, in bytes: a mutant that allocates without end must not
/// take the machine's.
const MEMORY_MAX: u64 = 3 << 30;
/// The most of what a failing test says that is kept, in bytes.
const SAID_MAX: usize = 16 << 10;

/// How some tests went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All passed: each with the time it took.
    Passed(Vec<(String, Duration)>),
    /// One failed. What it said is heard only if it was the last.
    Failed {
        /// Its path.
        test: String,
        /// What it said.
        said: String,
    },
    /// The process ended during one: an abort, or too much memory.
    Died {
        /// Its path.
        test: String,
    },
    /// One was not over in time.
    OutOfTime {
        /// Its path.
        test: String,
    },
}

/// The paths of the tests of a binary, without those that are run only when asked for.
///
/// # Errors
/// If it cannot be run.
pub fn names(copy: &Copy, binary: &Binary) -> io::Result<Vec<String>> {
    let output = command(copy, binary).args(["--list", "--format", "terse"]).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{} lists no tests", binary.path.display())));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs these tests in the binary's own order, each within `limit`. The process is ended at the
/// first that fails, unless it is the only one: then it may say why.
///
/// # Errors
/// If it cannot be run.
pub fn run(
    copy: &Copy,
    binary: &Binary,
    tests: &[&str],
    limit: impl Fn(&str) -> Duration,
) -> io::Result<Outcome> {
    let mut child = command(copy, binary)
        .args(["--exact", "--test-threads=1"])
        .args(tests)
        .stdout(Stdio::piped())
        .spawn()?;
    // The process's own end, if nobody is there any more to end it: a time that is none of the
    // clock's, far beyond the limit.
    let longest = tests.iter().map(|test| limit(test)).max().unwrap_or_default();
    let seconds = (longest.as_secs() + 1).saturating_mul(tests.len() as u64).max(60);
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        let at_most = |most| Rlimit { current: Some(most), maximum: Some(most) };
        // It may have ended already.
        let _ = prlimit(Some(pid), Resource::Cpu, at_most(seconds));
        let _ = prlimit(Some(pid), Resource::As, at_most(MEMORY_MAX));
    }
    let Some(stdout) = child.stdout.take() else {
        return Err(io::Error::other("a test without output"));
    };
    let (send, lines) = mpsc::channel();
    // It ends with the process, which is ended below.
    let reader = std::thread::spawn(move || {
        let mut from = BufReader::new(stdout);
        let mut bytes = Vec::new();
        // A line that has no end yet is one that the process was ended in.
        while from.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            let line = String::from_utf8_lossy(&bytes).into_owned();
            bytes.clear();
            if send.send(line).is_err() {
                return;
            }
        }
    });
    let alone = tests.len() == 1;
    let (mut passed, mut failed, mut said) = (Vec::new(), None, String::new());
    let mut begun: Option<String> = None;
    let (mut last, mut late) = (Instant::now(), false);
    let longest_of = |test: Option<&String>| test.map_or(longest, |test| limit(test));
    loop {
        // Which test runs is known only by the line's beginning, which is not heard before its end.
        let left = longest_of(begun.as_ref()).saturating_sub(last.elapsed());
        match lines.recv_timeout(left) {
            Ok(line) => match read(&line) {
                Some((test, "ok" | "ignored")) => {
                    passed.push((test.to_owned(), last.elapsed()));
                    last = Instant::now();
                }
                Some((test, "FAILED")) => {
                    failed = Some(test.to_owned());
                    if !alone {
                        break;
                    }
                }
                Some((test, _)) => begun = Some(test.to_owned()),
                None if failed.is_some() && said.len() < SAID_MAX => said.push_str(&line),
                None => {}
            },
            Err(RecvTimeoutError::Timeout) => {
                late = true;
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let _ = child.kill();
    let status = child.wait()?;
    if reader.join().is_err() {
        return Err(io::Error::other("what a test says cannot be read"));
    }
    // What it was in the middle of.
    for line in lines.try_iter() {
        if let Some((test, _)) = read(&line) {
            begun = Some(test.to_owned());
        }
    }
    let over = |test: &&&str| !passed.iter().any(|(name, _)| name == *test);
    let next = tests.iter().find(over).map_or_else(String::new, |test| (*test).to_owned());
    let during = begun.unwrap_or(next);
    Ok(match failed {
        Some(test) => Outcome::Failed { test, said },
        None if late => Outcome::OutOfTime { test: during },
        None if status.success() => Outcome::Passed(passed),
        None => Outcome::Died { test: during },
    })
}

/// Reads `test PATH ... WORD`; the word is empty where the line ends before it.
fn read(line: &str) -> Option<(&str, &str)> {
    let (test, word) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let test = test.strip_suffix(" - should panic").unwrap_or(test);
    Some((test, word.split([',', '\n']).next().unwrap_or_default().trim_end()))
}

fn command(copy: &Copy, binary: &Binary) -> Command {
    let package = package_dir(&binary.package).unwrap_or_default();
    let package = copy.tree.join(package);
    let mut command = Command::new(&binary.path);
    command
        .current_dir(&package)
        .env("CARGO_MANIFEST_DIR", &package)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}
