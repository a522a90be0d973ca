//! Long waits: until a node is where it should be, with its progress on standard error.

use super::arguments::WaitOptions;
use super::client::{Client, printable};
use super::tables;
use holdfast_model::Time;
use holdfast_terminal::{Code, Failure, complain, duration};
use holdfast_wire::WholeNode;
use holdfast_wire::record::{Goal, NodeRecord};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the server is asked.
const ASK_EVERY: Duration = Duration::from_millis(150);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The node serves.
    Active,
    /// The node has no instance any more.
    Paused,
    /// The node has been given up, and what was to go at once has gone.
    Gone,
}

/// Whether these options mean waiting: in a terminal, unless told otherwise.
pub fn is_wanted(options: &WaitOptions) -> bool {
    options.wait || (!options.no_wait && std::io::stderr().is_terminal())
}

/// The time on this host; the server's, as far as its clock agrees.
#[expect(clippy::disallowed_methods, reason = "people are shown how long something takes")]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Waits. A server that is away for a while does not end the wait.
pub fn wait(client: &Client, id: &str, until: Until, limit: Duration) -> Result<(), Failure> {
    let began = Instant::now();
    let mut progress = Progress::new();
    loop {
        let last = match client.whole(id) {
            Ok(node) => {
                match judge(&node, until) {
                    Verdict::Reached => {
                        progress.end(&format!(
                            "{} is {} after {}",
                            tables::title(&node.summary),
                            node.summary.status,
                            duration::show(millis(began.elapsed()))
                        ));
                        return Ok(());
                    }
                    Verdict::Hopeless(failure) => {
                        progress.clear();
                        return Err(failure);
                    }
                    Verdict::NotYet => {}
                }
                let doing = doing(&node);
                progress.show(&node, &doing, began.elapsed());
                doing
            }
            Err(failure) if failure.code == Code::NoSuchNode && until == Until::Gone => {
                progress.end(&format!("{id} is gone"));
                return Ok(());
            }
            Err(failure) if failure.code == Code::Unreachable => failure.message,
            Err(failure) => {
                progress.clear();
                return Err(failure);
            }
        };
        if began.elapsed() >= limit {
            progress.clear();
            let limit = duration::show(millis(limit));
            let why = format!(
                "{id} is not there after {limit}: {last}; it goes on by itself, see: holdfast \
                 node show {id}"
            );
            return Err(Failure::new(Code::Timeout, why));
        }
        std::thread::sleep(ASK_EVERY);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Reached,
    NotYet,
    Hopeless(Failure),
}

fn judge(node: &WholeNode, until: Until) -> Verdict {
    let status = node.summary.status.as_str();
    let (wanted, reached) = match until {
        Until::Active => (Goal::Running, "ACTIVE"),
        Until::Paused => (Goal::Paused, "PAUSED"),
        Until::Gone => (Goal::Deleted, "DEALLOCATED"),
    };
    let hopeless = |why: String| Verdict::Hopeless(Failure::new(Code::Failed, why));
    let id = &node.summary.id;
    let name = &node.summary.name;
    if node.record.goal != wanted {
        return hopeless(format!(
            "{name} ({id}) was told something else meanwhile; it is {status} now"
        ));
    }
    if status == reached {
        return Verdict::Reached;
    }
    match &node.record.stuck {
        Some(stuck) if !stuck.choices.is_empty() => hopeless(format!(
            "{name} ({id}) needs a decision: {} is stuck: {}; say: holdfast node decide {id} \
             {}",
            printable(&stuck.row),
            printable(&stuck.why),
            stuck.choices.iter().map(|c| c.word()).collect::<Vec<_>>().join("|")
        )),
        _ => Verdict::NotYet,
    }
}

/// The rows that run, and since when the first of them does.
fn running(record: &NodeRecord) -> Option<(Vec<String>, Time)> {
    let rows = &record.replacement.as_ref()?.rows;
    let open = rows.iter().filter(|(_, r)| r.started_at.is_some() && r.done_at.is_none());
    let since = open.clone().filter_map(|(_, r)| r.started_at).min()?;
    let mut names: Vec<String> = open.map(|(row, _)| printable(row)).collect();
    names.sort_by_key(|name| tables::place_of(name));
    Some((names, Time(since)))
}

/// What a node does at the moment, in a few words.
fn doing(node: &WholeNode) -> String {
    let rows = match running(&node.record) {
        None => node.summary.status.to_lowercase(),
        Some((rows, since)) => {
            format!("{} for {}", rows.join(" + "), duration::show(now().since(since)))
        }
    };
    match &node.summary.waits_for {
        None => rows,
        Some(what) => format!("{rows}, waits for {}", printable(what)),
    }
}

/// One line that changes in a terminal; elsewhere a line for every row.
struct Progress {
    terminal: bool,
    shown: Option<Vec<String>>,
    dirty: bool,
}

impl Progress {
    fn new() -> Progress {
        Progress { terminal: std::io::stderr().is_terminal(), shown: None, dirty: false }
    }

    fn show(&mut self, node: &WholeNode, doing: &str, elapsed: Duration) {
        let title = tables::title(&node.summary);
        if self.terminal {
            let doing = printable(doing);
            let elapsed = duration::show(millis(elapsed));
            // The line must not wrap, or it could not be overwritten.
            let line: String = format!("{title}: {doing} ({elapsed} in all)");
            let line: String = line.chars().take(tables::PROGRESS_WIDTH).collect();
            let _ = write!(std::io::stderr(), "\r\x1b[2K{line}");
            let _ = std::io::stderr().flush();
            self.dirty = true;
            return;
        }
        let rows = running(&node.record).map(|(rows, _)| rows).unwrap_or_default();
        if self.shown.as_ref() != Some(&rows) {
            if let [first, ..] = rows.as_slice() {
                complain(&format!("{title}: {first}"));
            }
            self.shown = Some(rows);
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.dirty) {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }

    fn end(&mut self, line: &str) {
        self.clear();
        holdfast_terminal::complain(line);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;
    use holdfast_wire::Choice;
    use holdfast_wire::record::NeedsDecision;

    #[test]
    fn a_wait_ends_when_the_node_is_there_stuck_or_told_otherwise() {
        let mut node = sample();
        node.summary.status = "ACTIVE".to_owned();
        assert_eq!(judge(&node, Until::Active), Verdict::Reached);
        node.summary.status = "RECYCLING".to_owned();
        assert_eq!(judge(&node, Until::Active), Verdict::NotYet);
        assert!(matches!(judge(&node, Until::Paused), Verdict::Hopeless(_)));
        let stuck = NeedsDecision {
            row: "launch".to_owned(),
            since: 0,
            why: "no market".to_owned(),
            choices: vec![Choice::Retry],
            restore: std::collections::BTreeMap::new(),
        };
        node.record.stuck = Some(stuck);
        let Verdict::Hopeless(failure) = judge(&node, Until::Active) else { panic!("not stuck") };
        assert!(failure.message.contains("launch is stuck: no market"), "{}", failure.message);
        // A person has decided already.
        node.record.stuck.as_mut().unwrap().choices.clear();
        assert_eq!(judge(&node, Until::Active), Verdict::NotYet);
    }
}
