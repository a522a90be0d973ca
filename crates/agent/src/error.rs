//! What can go wrong around a node, each error with the resource and, where there is one, a remedy.

use std::io;
use std::path::PathBuf;

/// An error of the agent. Its text is meant for the person who runs the server.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The system refused something; `doing` names it and the resource.
    #[error("{doing}: {source}")]
    Io {
        /// What was attempted, on which resource.
        doing: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A value in a configuration or a request is not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// The node understood the request and refused it.
    #[error("the node refused: {0}")]
    Refused(String),
    /// No shim runs for this directory (it ended, or never started).
    #[error("no node is running in {}: {why}", dir.display())]
    NotRunning {
        /// The instance's directory.
        dir: PathBuf,
        /// How that was found out.
        why: String,
    },
    /// Something did not happen in its time.
    #[error("{doing} did not finish within {limit_ms} ms")]
    TimedOut {
        /// What was waited for.
        doing: String,
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// The other side sent something that is not the protocol.
    #[error("{0}")]
    Protocol(String),
}

/// A result of the agent.
pub type Result<T> = std::result::Result<T, AgentError>;

/// Says what was being done when a system call failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| AgentError::Io { doing: what(), source: e.into() })
    }
}
