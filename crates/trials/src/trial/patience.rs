//! How long those wait who speak to a server that is tried.

use std::time::Duration;

/// How long reading everything back may take.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client waits before it gives up a connection: a machine without power does not say
/// goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the other side of a TCP connection.
    pub connect: Duration,
    /// For a session.
    pub begin: Duration,
    /// For the acknowledgement of a write.
    pub answer: Duration,
}

impl Patience {
    /// As an application has it.
    pub const USUAL: Patience = Patience {
        connect: Duration::from_millis(250),
        begin: Duration::from_millis(1_000),
        answer: Duration::from_millis(250),
    };
    /// Of one who measures: its own waiting must not hide what it measures.
    pub const SHORT: Patience = Patience {
        connect: Duration::from_millis(20),
        begin: Duration::from_millis(1_000),
        answer: Duration::from_millis(60),
    };
}
