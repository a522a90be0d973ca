//! Plants bugs that the simulation must find by chance: entries of the lists that name an invariant.

use crate::build::{self, BuildError};
use crate::copy::{Copy, Place};
use crate::list::{self, Entry};
use crate::work;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Under so many seeds of the ordinary mix a planted bug must break its invariant.
pub const SEEDS: u64 = 300;

/// Plants each, says what became of it, and whether all were found.
///
/// # Errors
/// If a list is wrong, or something else fails than a bug to be found.
pub fn run(root: &Path, workers: usize, names: &[String]) -> io::Result<bool> {
    let place = Place::take(root, "planted")?;
    let copy = Copy::make(root, &place, 0)?;
    let mut entries = work::chosen(&copy, names)?;
    entries.retain(|entry| entry.trips.is_some());
    build::example(&copy, "holdfast-sim", "trips", workers).map_err(io::Error::other)?;
    let found = work::spread(copy, &place, workers, entries, |copy, entry| {
        let begun = Instant::now();
        let (found, what) = is_found(copy, &entry)?;
        let seconds = begun.elapsed().as_secs_f64();
        println!("{}: {what} ({seconds:.1} s)", entry.name);
        Ok(found)
    })?;
    let count = found.iter().filter(|found| **found).count();
    println!("{count} of {} planted bugs found within {SEEDS} seeds", found.len());
    Ok(count == found.len())
}

fn is_found(copy: &mut Copy, entry: &Entry) -> io::Result<(bool, String)> {
    let after = list::edited(|file| copy.read(file), entry.edits()).map_err(io::Error::other)?;
    copy.edit(&after)?;
    let program = match build::example(copy, "holdfast-sim", "trips", 1) {
        Ok(program) => program,
        Err(BuildError::Wrong(said)) => return Ok((false, format!("does not compile: {said}"))),
        Err(e) => return Err(io::Error::other(format!("{}: {e}", entry.name))),
    };
    // A run of the simulation has a limit of its own, so this ends.
    let output = Command::new(program)
        .arg(entry.trips.as_deref().unwrap_or_default())
        .arg(SEEDS.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((output.status.success(), said))
}
