//! A node's events, stored and as they happen.

use super::client::{Client, printable};
use holdfast_model::text;
use holdfast_terminal::{Code, Failure, complain, print};
use holdfast_wire::Event;
use std::io::{BufRead, Read};
use std::time::{Duration, Instant};

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 1024 * 1024;
/// How long a server that is away is tried again when events are followed.
const RETRY_FOR: Duration = Duration::from_secs(60);
/// How often.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Shows events; with `follow`, until it is interrupted or the server stays away.
pub fn show(
    client: &Client,
    node: &str,
    follow: bool,
    limit: u16,
    json: bool,
) -> Result<(), Failure> {
    let mut after = 0;
    let mut limit = limit;
    let mut away: Option<Instant> = None;
    loop {
        let path =
            format!("/holdfast/v1/events?node={node}&follow={follow}&limit={limit}&after={after}");
        match stream(client, &path, &mut after, json) {
            Ok(()) if !follow => return Ok(()),
            Ok(()) => {
                // From here on everything, however much has happened.
                limit = 1_000;
                away.get_or_insert_with(Instant::now);
            }
            Err(failure) if follow && failure.code == Code::Unreachable && away.is_some() => {
                if away.is_some_and(|since| since.elapsed() > RETRY_FOR) {
                    return Err(failure);
                }
            }
            Err(failure) => return Err(failure),
        }
        std::thread::sleep(RETRY_EVERY);
    }
}

/// Prints one stream to its end.
fn stream(client: &Client, path: &str, after: &mut u64, json: bool) -> Result<(), Failure> {
    let mut lines = client.lines(path)?;
    loop {
        let mut line = String::new();
        // An end in the middle is a server that has gone away.
        let Ok(read) = (&mut lines).take(MAX_LINE).read_line(&mut line) else { return Ok(()) };
        if read == 0 || !line.ends_with('\n') {
            return Ok(());
        }
        if line.trim().is_empty() {
            continue;
        }
        let Ok(event) = serde_json::from_str::<Event>(&line) else {
            complain("holdfast: the server sent a line that is no event");
            continue;
        };
        *after = event.sequence;
        let shown = if json { text::json(&line).into_owned() } else { human(&event) };
        print(&shown)?;
    }
}

fn human(event: &Event) -> String {
    let at = printable(&event.at).replace('T', " ").replace('Z', "");
    let (severity, code) = (printable(&event.severity), printable(&event.code));
    let message = printable(&event.message);
    format!("{at}  {severity:<5}  {code:<18}  {message}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line() {
        let event = json!({
            "sequence": 7, "at": "2020-05-05T08:53:12.007Z", "node": "smi-1", "severity": "WARN",
            "code": "interrupted", "message": "two\nlines\x1b[2J",
        });
        let expected =
            "2020-05-05 08:53:12.007  WARN   interrupted         two\\nlines\\u{1b}[2J\n";
        let event = serde_json::from_value(event).unwrap();
        assert_eq!(human(&event), expected);
    }
}
