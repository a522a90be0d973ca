//! Which lines of the table of what overtakes a replacement were followed, and how often.

use crate::tally::Tally;
use holdfast_engine::tables::overtakes::{Followed, OVERTAKES};

/// Lines that could have been followed, and were not.
#[must_use]
pub fn holes(tally: &Tally) -> Vec<String> {
    let unseen = cells().filter(|cell| !tally.overtakes.contains_key(cell));
    unseen.map(|cell| format!("{} while {}", cell.when.says(), phase(cell))).collect()
}

/// The table: how often each line was followed.
#[must_use]
pub fn render(tally: &Tally) -> String {
    let mut text = String::new();
    text.push_str("    times overtakes a replacement\n");
    for cell in cells() {
        let times = tally.overtakes.get(&cell).copied().unwrap_or_default();
        text.push_str(&format!("{times:>9} {}\n", name(cell)));
    }
    text
}

/// Every line, with each of what may happen.
fn cells() -> impl Iterator<Item = Followed> {
    let lines = OVERTAKES.iter().enumerate();
    lines.flat_map(|(place, of)| {
        of.when.iter().map(move |when| Followed { line: place, when: *when })
    })
}

fn phase(cell: Followed) -> &'static str {
    OVERTAKES[cell.line].phase.says()
}

fn name(cell: Followed) -> String {
    format!("{}: {}", phase(cell), cell.when.says())
}
