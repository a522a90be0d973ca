//! A failing run as a person reads it: what happened, in order, up to what broke.

use crate::run::RunReport;
use holdfast_model::Time;

/// The most lines before what broke.
pub const MAX_LINES: usize = 120;

/// The timeline of a run that was told ([`crate::run::told`]).
#[must_use]
pub fn render(report: &RunReport) -> String {
    let mut lines: Vec<(Time, String)> = report.trace.clone();
    for violation in &report.violations {
        let line = format!("BROKEN {}: {}: {}", violation.name, violation.node, violation.sentence);
        lines.push((violation.at, line));
    }
    // Lines of one instant stay in their order; what broke comes after what broke it.
    lines.sort_by_key(|(at, _)| *at);
    let broke = lines.iter().position(|(_, line)| line.starts_with("BROKEN"));
    let end = broke.map_or(lines.len(), |at| at + 1);
    let begin = end.saturating_sub(MAX_LINES);
    let zero = lines.first().map_or(Time(0), |(at, _)| *at);
    let mut text = String::new();
    if begin > 0 {
        text.push_str(&format!("  … {begin} lines before\n"));
    }
    text.push_str(&told(&lines[begin..end], zero));
    text
}

/// The timeline of something that was traced, from its first line on.
#[must_use]
pub fn lines(trace: &[(Time, String)]) -> String {
    told(trace, trace.first().map_or(Time(0), |(at, _)| *at))
}

fn told(lines: &[(Time, String)], zero: Time) -> String {
    let line = |(at, line): &(Time, String)| format!("  {} {line}\n", clock(at.since(zero)));
    lines.iter().map(line).collect()
}

/// `1:02:03.004`.
fn clock(millis: u64) -> String {
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    format!("{}:{:02}:{:02}.{rest:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
