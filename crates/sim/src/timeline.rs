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
    let mut text = String::new();
    if begin > 0 {
        text.push_str(&format!("  … {begin} lines before\n"));
    }
    let zero = lines.first().map_or(Time(0), |(at, _)| *at);
    for (at, line) in &lines[begin..end] {
        text.push_str(&format!("  {} {line}\n", clock(at.since(zero))));
    }
    text
}

/// `1:02:03.004`.
fn clock(millis: u64) -> String {
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    format!("{}:{:02}:{:02}.{rest:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
