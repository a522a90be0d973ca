//! The few programs that storage runs: making and checking filesystems is theirs alone.

use super::error::StorageError;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// How much of a program's output an error repeats, in bytes.
const MAX_OUTPUT: usize = 1_000;

/// The places where Debian keeps these programs; a server's PATH may lack `/usr/sbin`.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn run(
    program: &'static str,
    package: &'static str,
    arguments: &[&str],
    on: &Path,
) -> Result<Output, StorageError> {
    Command::new(program)
        .args(arguments)
        .arg(on)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => StorageError::MissingProgram { program, package },
            _ => StorageError::Io { doing: "running a program on", path: on.to_owned(), cause },
        })
}

/// Runs a program that must succeed.
pub(super) fn must(
    program: &'static str,
    package: &'static str,
    arguments: &[&str],
    on: &Path,
) -> Result<(), StorageError> {
    let output = run(program, package, arguments, on)?;
    if output.status.success() {
        return Ok(());
    }
    Err(StorageError::ProgramFailed {
        program,
        path: on.to_owned(),
        status: output.status.to_string(),
        output: last_words(&output),
    })
}

/// The end of what a program said, on one line.
pub(super) fn last_words(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let start = line.len().saturating_sub(MAX_OUTPUT);
    let start = (start..=line.len()).find(|i| line.is_char_boundary(*i)).unwrap_or(line.len());
    line[start..].to_owned()
}
