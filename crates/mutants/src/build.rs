//! Builds test binaries of a copy.

use crate::copy::Copy;
use serde::Deserialize;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A test binary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binary {
    /// Its package.
    pub package: String,
    /// Its name: `lib`, or a test's.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source is wrong.
    #[error("it does not compile: {0}")]
    Wrong(String),
    /// Cargo could not do its work.
    #[error("cargo failed: {0}")]
    Failed(String),
    /// Cargo could not be started.
    #[error("cargo cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// What cargo says, as far as it is heard.
#[derive(Deserialize)]
struct Said {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
    profile: Option<Profile>,
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Deserialize)]
struct Message {
    level: String,
    rendered: Option<String>,
}

/// Builds test binaries of a package (`lib`, or the name of a test) with so many jobs.
///
/// # Errors
/// [`BuildError`] if one is not built.
pub fn tests(
    copy: &Copy,
    package: &str,
    names: &[&str],
    jobs: usize,
) -> Result<Vec<Binary>, BuildError> {
    let mut arguments = vec!["test", "--no-run", "--package", package];
    for name in names {
        match *name {
            "lib" => arguments.push("--lib"),
            name => arguments.extend(["--test", name]),
        }
    }
    let said = cargo(copy, &arguments, jobs)?;
    let built: Vec<Binary> = said
        .into_iter()
        .filter_map(|said| {
            let is_test = said.profile.is_some_and(|profile| profile.test);
            let (target, path) = (said.target?, said.executable?);
            let is_lib = target.kind.iter().any(|kind| kind == "lib");
            let name = if is_lib { "lib".to_owned() } else { target.name };
            is_test.then(|| Binary { package: package.to_owned(), name, path })
        })
        .collect();
    if built.len() == names.len() {
        Ok(built)
    } else {
        Err(BuildError::Failed(format!("{package}: {names:?} was asked for, not {built:?} made")))
    }
}

/// Builds an example of a package, and says where it is.
///
/// # Errors
/// [`BuildError`] if it is not built.
pub fn example(copy: &Copy, package: &str, name: &str, jobs: usize) -> Result<PathBuf, BuildError> {
    let said = cargo(copy, &["build", "--package", package, "--example", name], jobs)?;
    said.into_iter()
        .find_map(|said| said.executable)
        .ok_or_else(|| BuildError::Failed(format!("{package}: no example {name} was made")))
}

fn cargo(copy: &Copy, arguments: &[&str], jobs: usize) -> Result<Vec<Said>, BuildError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--locked", "--message-format=json", "--jobs", &jobs.to_string()])
        .current_dir(&copy.tree)
        .env("CARGO_TARGET_DIR", &copy.target)
        .env("CARGO_INCREMENTAL", "1")
        .stdin(Stdio::null())
        .output()?;
    let said: Vec<Said> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if output.status.success() {
        return Ok(said);
    }
    let errors: Vec<String> = said
        .into_iter()
        .filter(|said| said.reason == "compiler-message")
        .filter_map(|said| said.message.filter(|message| message.level == "error"))
        .filter_map(|message| message.rendered)
        .collect();
    if errors.is_empty() {
        return Err(BuildError::Failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Err(BuildError::Wrong(errors.join("\n")))
}
