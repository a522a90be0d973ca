//! The mutants that cargo-mutants thinks of: functions that return a constant, operators that are
//! others, guards that are always true, arms and fields that are left out.

use crate::copy::Copy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// The packages that it is asked for.
pub const PACKAGES: [&str; 3] = ["holdfast-engine", "holdfast-controller", "holdfast-store"];

/// One mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutant {
    /// Its name: place and change.
    pub name: String,
    /// The package that is changed.
    pub package: String,
    /// The file, from the workspace's root.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
    /// The function.
    pub function: String,
    /// What stands there.
    pub old: String,
    /// What stands there instead.
    pub new: String,
    /// How many such changes of the same function come before it in the file.
    pub nth: usize,
    /// Where it stands in the file, in bytes.
    #[serde(skip)]
    at: (usize, usize),
}

impl Mutant {
    /// Whether it is the same change, wherever the lines are now.
    #[must_use]
    pub fn is(&self, other: &Mutant) -> bool {
        self.key() == other.key() && self.nth == other.nth
    }

    fn key(&self) -> (&PathBuf, &str, &str, &str) {
        (&self.file, &self.function, &self.old, &self.new)
    }

    /// The file with it.
    #[must_use]
    pub fn apply(&self, source: &str) -> Option<String> {
        let (from, to) = self.at;
        if source.get(from..to)? != self.old {
            return None;
        }
        let mut edited = source.to_owned();
        edited.replace_range(from..to, &self.new);
        Some(edited)
    }
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    package: String,
    file: PathBuf,
    function: Option<Function>,
    replacement: String,
    span: Span,
}

#[derive(Deserialize)]
struct Function {
    function_name: String,
}

#[derive(Deserialize)]
struct Span {
    start: Point,
    end: Point,
}

/// A line and a column in characters, both from one.
#[derive(Deserialize)]
struct Point {
    line: usize,
    column: usize,
}

/// All mutants of a copy, in the order of their names.
///
/// # Errors
/// If cargo-mutants is not installed, or says what is not understood.
pub fn all(copy: &Copy) -> io::Result<Vec<Mutant>> {
    let mut command = Command::new("cargo");
    command.args(["mutants", "--list", "--json"]).current_dir(&copy.tree);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("cargo mutants: {said}")));
    }
    let listed: Vec<Listed> = serde_json::from_slice(&output.stdout)?;
    let mut all = listed
        .into_iter()
        .map(|listed| located(copy, listed))
        .collect::<io::Result<Vec<Mutant>>>()?;
    all.sort_by(|a, b| (&a.file, a.at, &a.name).cmp(&(&b.file, b.at, &b.name)));
    let mut seen: BTreeMap<(PathBuf, String, String, String), usize> = BTreeMap::new();
    for mutant in &mut all {
        let (file, function, old, new) = mutant.key();
        let key = (file.clone(), function.to_owned(), old.to_owned(), new.to_owned());
        let count = seen.entry(key).or_default();
        mutant.nth = *count;
        *count += 1;
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn located(copy: &Copy, listed: Listed) -> io::Result<Mutant> {
    let Listed { name, package, file, function, replacement, span } = listed;
    let source = copy.source(&file).unwrap_or_default();
    let (from, to) = (offset(source, &span.start), offset(source, &span.end));
    let at = from.zip(to);
    let old = at.and_then(|(from, to)| source.get(from..to));
    let (Some(at), Some(old)) = (at, old) else {
        return Err(io::Error::other(format!("{name}: the place is not in the file")));
    };
    Ok(Mutant {
        old: old.to_owned(),
        line: span.start.line,
        function: function.map(|f| f.function_name).unwrap_or_default(),
        new: replacement,
        nth: 0,
        name,
        package,
        file,
        at,
    })
}

/// The byte at which a point is.
fn offset(source: &str, point: &Point) -> Option<usize> {
    let line = point.line.checked_sub(1)?;
    let begins = if line == 0 {
        0
    } else {
        source.match_indices('\n').nth(line - 1).map(|(at, _)| at + 1)?
    };
    let text = source.get(begins..)?;
    let column = point.column.checked_sub(1)?;
    let within = text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(column)?;
    Some(begins + within)
}
