//! How commands end.

use std::fmt;
use std::process::ExitCode;

/// Exit codes. They are part of the interface: see [`CODES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It was done, or is what was asked for.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// The command line, or the spec, has mistakes.
    Usage = 2,
    /// There is no such node.
    NoSuchNode = 3,
    /// The server cannot be reached.
    Unreachable = 4,
    /// It was not done in time; it may still be.
    Timeout = 5,
    /// The token is missing, or is not the server's.
    Unauthorized = 6,
}

/// Exit codes, as the help shows them.
pub const CODES: &str = "Exit codes:
  0  done
  1  failed; the reason is on standard error
  2  the command line or the spec has mistakes, or a name is ambiguous
  3  there is no such node
  4  the server cannot be reached
  5  not done in time (it may still be)
  6  the token is missing, or is not the server's";

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

/// Why a command failed: a sentence with what to do, and a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// What happened; empty if everything has been said.
    pub message: String,
}

impl Failure {
    /// A failure.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// A failure of which everything has been said.
    #[must_use]
    pub fn silent(code: Code) -> Failure {
        Failure { code, message: String::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
