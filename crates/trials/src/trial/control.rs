//! The control: the same interruption on a server that does not sync its writes must lose some.
//! If it lost none, the interruptions would not be power cuts and the rest would prove nothing.

use super::commands::Commands;
use super::node::{
    SERVE_TIMEOUT, console, create, interrupt, now, start_writer, wait_for_generation,
};
use super::patience::Patience;
use super::progress::say;
use super::workload::Workload;
use super::writer::Writer;
use serde::Serialize;
use std::time::{Duration, Instant};

/// How long the control is written to.
const WRITE_FOR: Duration = Duration::from_secs(2);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// The control's name.
const NAME: &str = "control";
/// What a Redis says last that finds its log torn (`src/aof.c` and `src/rdb.c` of Redis 7.0). A log
/// that cannot be read for another reason, such as an error of the disk, is not among them.
const TORN: [&str; 7] = [
    "Bad file format reading the append only file",
    "Unexpected end of file reading the append only file",
    "Unknown command '",
    "Error reading the RDB preamble of the AOF file",
    "Error reading the RDB base file",
    "Short read or OOM loading DB",
    "FATAL AOF MANIFEST FILE ERROR",
];
/// Overwrites the beginning of the log, where there is one already: from the second start on.
const TEAR: &str = "for log in /var/lib/holdfast-redis/appendonlydir/*.incr.aof; do \
    if [ -e \"$log\" ]; then echo torn | dd of=\"$log\" conv=notrunc status=none; fi; done; ";

/// The control's figures.
#[derive(Debug, Clone, Serialize)]
pub struct Control {
    /// Writes acknowledged.
    pub acked: usize,
    /// Of these, lost: must not be none.
    pub lost: usize,
    /// What it said, if its server does not start any more because the power cut tore its log: then
    /// everything is lost.
    pub does_not_start: Option<String>,
}

impl Control {
    /// What was lost, for a table.
    pub fn losses(&self) -> String {
        match self.does_not_start {
            None => self.lost.to_string(),
            Some(_) => format!("{}: its log is torn, it does not start", self.lost),
        }
    }

    /// What became of it, in a sentence without its end.
    pub fn sentence(&self) -> String {
        let Control { acked, lost, does_not_start } = self;
        match (does_not_start, lost) {
            (Some(_), _) => format!(
                "The control without fsync does not start, because its log is torn: all {lost} of \
                 {acked} are lost"
            ),
            (None, 0) => format!("The control without fsync lost none of {acked}"),
            (None, _) => format!("The control without fsync lost {lost} of {acked}"),
        }
    }
}

/// Plays the control. With `tear`, its log is torn for certain, as a power cut may tear it.
pub fn play(commands: &Commands, tear: bool) -> Result<Control, String> {
    say(
        "control: a Redis that does not sync (appendfsync no), interrupted once: it must lose writes",
    );
    let node = create(commands, NAME, &spec(tear))?;
    let mut writer = start_writer(commands, NAME, Workload::Redis, &node.ip, Patience::USUAL)?;
    std::thread::sleep(WRITE_FOR);
    interrupt(commands, NAME, None)?;
    wait_for_generation(commands, NAME, node.generation)?;
    let control = match comes_back(commands, &writer, now())? {
        None => {
            let (acked, lost) = writer.finish(&commands.cloud_dir())?;
            Control { acked, lost: lost.len(), does_not_start: None }
        }
        Some(why) => {
            writer.end()?;
            // Nobody is served any of it.
            Control { acked: writer.acked(), lost: writer.acked(), does_not_start: Some(why) }
        }
    };
    say(&format!("control: {} of {} acknowledged writes are lost", control.lost, control.acked));
    if let Some(why) = &control.does_not_start {
        say(&format!("control: it does not start, because its log is torn: {why}"));
    }
    Ok(control)
}

fn spec(tear: bool) -> String {
    let spec = Workload::Redis
        .spec()
        .replace("name: redis", &format!("name: {NAME}"))
        .replace("--appendfsync always", "--appendfsync no");
    if tear { spec.replace("exec redis-server", &format!("{TEAR}exec redis-server")) } else { spec }
}

/// Waits until a write that began after `since` is acknowledged, or until the server has ended
/// because the power cut tore its log: then, what it said about that. A server that writes without
/// syncing may not only lose the end of its log but find what cannot be read in the middle of it.
fn comes_back(
    commands: &Commands,
    writer: &Writer,
    since: Instant,
) -> Result<Option<String>, String> {
    let began = now();
    let mut last = String::new();
    while began.elapsed() < SERVE_TIMEOUT {
        if writer.last_ack().is_some_and(|at| at > since) {
            return Ok(None);
        }
        // The server of this trial may be away for a moment.
        match console(commands, NAME) {
            Ok(said) => match torn(&said) {
                Some(why) => return Ok(Some(why)),
                None => last = said.lines().next_back().unwrap_or_default().to_owned(),
            },
            Err(why) => last = why,
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let error = writer.last_error().unwrap_or_default();
    Err(format!("{NAME} does not serve: {error}; its console ends with: {last}"))
}

/// The line of a console that says that the log is torn.
fn torn(console: &str) -> Option<String> {
    let line = console.lines().find(|line| TORN.iter().any(|words| line.contains(words)))?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_log_is_told_from_other_reasons_not_to_start() {
        let bad = "9:M 27 Nov 2026 20:00:00.000 # Bad file format reading the append only file \
                   appendonly.aof.1.incr.aof: make a backup of your AOF file";
        assert_eq!(torn(&format!("9:M * Ready\n{bad}\n")).as_deref(), Some(bad));
        for other in [
            "9:M # Unrecoverable error reading the append only file a: Input/output error",
            "9:M # Warning: Could not create server TCP listening socket *:6379",
            "sh: 3: exec: redis-server: not found",
            "9:M * DB loaded from append only file: 0.011 seconds",
            "",
        ] {
            assert_eq!(torn(other), None, "{other}");
        }
    }

    #[test]
    fn the_control_does_not_sync_and_is_torn_only_if_it_is_asked_for() {
        let (usual, torn) = (spec(false), spec(true));
        for spec in [&usual, &torn] {
            assert!(spec.contains("name: control") && spec.contains("--appendfsync no"), "{spec}");
        }
        assert!(!usual.contains("torn") && torn.contains("echo torn"), "{torn}");
    }
}
