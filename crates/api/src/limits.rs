//! Every limit of the interface, in one place.

use std::time::Duration;

/// The largest request body in bytes: as large as the largest spec.
pub const MAX_BODY: usize = holdfast_model::spec::MAX_DOCUMENT;
/// The largest request head (request line and headers) in bytes.
pub const MAX_HEAD: usize = 64 * 1024;
/// The most header fields of a request (the HTTP layer's own limit).
pub const MAX_FIELDS: usize = 100;
/// The most requests that are worked on at once; further ones are answered 503.
pub const MAX_AT_ONCE: usize = 256;
/// The most open connections that have shown the token; a further one is answered 503.
pub const MAX_MEMBERS: usize = 512;
/// The most open connections that have not shown the token; a further one takes the place of the
/// one that has waited longest. With [`MAX_MEMBERS`] it stays well below the 1,024 open files that
/// a process usually may have.
pub const MAX_STRANGERS: usize = 128;
/// By when a connection must have shown the token, whatever it does.
pub const STRANGER_TIME: Duration = Duration::from_secs(15);
/// The most readers that follow events at once; further ones are answered 503.
pub const MAX_FOLLOWERS: usize = 64;
/// By when a request's head must have arrived.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// By when a request must have been answered, its body's arrival included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a peer may take to read each [`MIN_PROGRESS`] bytes of an answer.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How much of an answer must be read in [`WRITE_PATIENCE`], in bytes, where there is so much.
pub const MIN_PROGRESS: usize = 16 * 1024;
/// How long what is still sent on a connection is read away after its last, refusing answer.
pub const LINGER: Duration = Duration::from_secs(1);
/// How long requests under way may take once the server is told to stop.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);
/// How often a quiet stream of events sends an empty line, so that a dead reader is noticed.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// The most nodes in one answer; further ones are asked for with `after`.
pub const MAX_LISTED: usize = 10_000;
/// The most entries of one log answer (Spot's limit).
pub const MAX_LOG: usize = holdfast_store::MAX_EVENTS_READ;
/// How many entries a log answer has if nobody says (Spot's default).
pub const DEFAULT_LOG: usize = 500;
/// How many times the store is read for one log answer, when most entries are not wanted.
pub const MAX_LOG_READS: usize = 20;
/// How many stored events a stream begins with if nobody says.
pub const DEFAULT_EVENTS: usize = 100;
/// How many random ids are tried for a new node.
pub const MAX_ID_TRIES: usize = 16;
/// The most characters of the reason of a freeze.
pub const MAX_REASON: usize = 1_024;
