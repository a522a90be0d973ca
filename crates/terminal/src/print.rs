//! What is printed, and what is asked.

use crate::exit::{Code, Failure};
use holdfast_model::text;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Prints lines to standard output, with nothing in them that controls a terminal. A reader who has
/// gone away is no failure (`holdfast … | head`).
///
/// # Errors
/// [`Code::Failed`]: standard output does not take it; without a word if its reader has gone.
pub fn print(text: &str) -> Result<(), Failure> {
    let text = text::lines(text);
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Failure::silent(Code::Failed)),
        Err(e) => Err(Failure::new(Code::Failed, format!("standard output: {e}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints JSON for programs.
///
/// # Errors
/// As [`print`].
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Failure::new(Code::Failed, e.to_string()))?;
    print(&(text::json(&text).into_owned() + "\n"))
}

/// Prints a value as JSON in one line.
///
/// # Errors
/// As [`print`].
pub fn print_line_of_json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string(value).map_err(|e| Failure::new(Code::Failed, e.to_string()))?;
    print(&(text::json(&text).into_owned() + "\n"))
}

/// Prints to standard error, as far as that can be done.
pub fn complain(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr(), "{}", text::lines(text));
    }
}

/// Asks a person; only `y` and `yes` are a yes.
///
/// # Errors
/// [`Code::Usage`]: there is no terminal to ask at. [`Code::Failed`]: it cannot be read.
pub fn confirm(question: &str) -> Result<bool, Failure> {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        let why = format!("{question} Say so with --yes: there is no terminal to ask at.");
        return Err(Failure::new(Code::Usage, why));
    }
    let _ = write!(std::io::stderr(), "{} [y/N] ", text::lines(question));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Failure::new(Code::Failed, format!("standard input: {e}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Says why a command failed, if it did, and gives the code that it ends with.
#[must_use]
pub fn end(program: &str, done: Result<ExitCode, Failure>) -> ExitCode {
    done.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            complain(&format!("{program}: {failure}"));
        }
        failure.code.into()
    })
}
