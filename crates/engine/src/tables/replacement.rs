//! A replacement is this table.
//!
//! Every row that the kind of replacement has, and whose `after` rows are done, may run; rows run
//! side by side where nothing orders them. A row runs by its `step`, again and again, until facts
//! show that it is done: a step asks for what is missing and never assumes that it happened. So a
//! crash at any point loses nothing: the record says which whole requests may have left, and the
//! same steps go on from what the cloud shows.
//!
//! Pause is the first half, resume the second, recycle both; deletion ends in retiring everything.
//! Where identity allows it, the next instance is launched before the old one is stopped, or while
//! it is: the row standby, and nothing else. What it launches holds nothing of the node until the row launch finds
//! it, after the fence.

use crate::context::desk::Desk;
use crate::context::progress::Progress;
use crate::steps;
use holdfast_model::{Kind, Row};

/// One row.
pub struct RowSpec {
    /// Which.
    pub row: Row,
    /// Rows that must be done first (where the kind has them).
    pub after: &'static [Row],
    /// Kinds of replacement that have this row.
    pub kinds: &'static [Kind],
    /// What it does, for people.
    pub does: &'static str,
    /// When it is done, for people.
    pub done_when: &'static str,
    /// Minutes after which a person is asked, if it is still not done.
    pub patience_minutes: Option<u64>,
    /// How.
    pub step: fn(&mut Desk<'_>) -> Progress,
}

use Kind::{
    Create, Delete, Lost, Notice, Pause, Recycle, Resume, Revert, Rollback, Tidy, Unhealthy,
};

const DOWN: &[Kind] = &[Notice, Lost, Unhealthy, Recycle, Revert, Rollback, Pause, Delete];
const UP: &[Kind] = &[Create, Notice, Lost, Unhealthy, Recycle, Revert, Rollback, Resume];
const KEEP: &[Kind] = &[Create, Notice, Lost, Unhealthy, Recycle, Revert, Rollback, Pause, Resume];
const CLEAN: &[Kind] =
    &[Create, Notice, Lost, Unhealthy, Recycle, Revert, Rollback, Resume, Delete, Tidy];

/// The table.
#[rustfmt::skip]
pub const TABLE: &[RowSpec] = &[
    RowSpec { row: Row::Place, after: &[], kinds: UP,
        does: "chooses a market that fits the root, the volumes and the pinned zone",
        done_when: "a market is chosen", patience_minutes: None, step: steps::place::step },
    RowSpec { row: Row::Probe, after: &[Row::Place], kinds: &[Revert],
        does: "asks the market for an instance and gives it back: nothing is given up before it is known to have capacity",
        done_when: "granted", patience_minutes: Some(15), step: steps::probe::step },
    RowSpec { row: Row::Standby, after: &[Row::Probe], kinds: &[Notice, Lost, Unhealthy, Recycle, Revert],
        does: "where identity allows it, launches the next instance while the old one serves, or is being ended: without any of the node's volumes and interfaces, its gate closed",
        done_when: "it runs, or there is none, or half of the notice is over; if the old one is lost or unwell, at once", patience_minutes: None, step: steps::standby::step },
    RowSpec { row: Row::Drain, after: &[Row::Probe, Row::Standby], kinds: DOWN,
        does: "runs the shutdown script and waits for its end, the draining timeout or the notice, whichever is first",
        done_when: "drained", patience_minutes: Some(70), step: steps::drain::step },
    RowSpec { row: Row::Stop, after: &[Row::Drain], kinds: DOWN,
        does: "sets, in one request, that every kept volume outlives the instance, and terminates it as soon as the cloud has said so",
        done_when: "terminated", patience_minutes: Some(15), step: steps::stop::step },
    RowSpec { row: Row::Fence, after: &[Row::Stop], kinds: DOWN,
        does: "nothing but look: from here on the old generation can write no more",
        done_when: "volumes and interfaces are free", patience_minutes: Some(30), step: steps::fence::step },
    RowSpec { row: Row::Capture, after: &[Row::Fence, Row::Place], kinds: KEEP,
        does: "saves what this market needs: a kept root as snapshot and image, data as snapshots where it does not travel as the same volume; a rollback then puts the chosen content in its place",
        done_when: "complete", patience_minutes: Some(360), step: steps::capture::step },
    RowSpec { row: Row::Launch, after: &[Row::Capture], kinds: UP,
        does: "takes the instance that stands by, or launches one with image and interface; makes volumes and further interfaces that the zone lacks; a refusal for capacity cools the market and goes back to place",
        done_when: "running, with the new generation's tag", patience_minutes: Some(30), step: steps::launch::step },
    RowSpec { row: Row::Attach, after: &[Row::Launch], kinds: UP,
        does: "attaches the data volumes, further interfaces and, to an instance that stood by, the kept interface, and lets the Elastic IP lead to the instance",
        done_when: "all attached", patience_minutes: Some(30), step: steps::attach::step },
    RowSpec { row: Row::Ready, after: &[Row::Attach], kinds: UP,
        does: "opens the gate once every volume of the manifest is mounted, then checks health",
        done_when: "healthy", patience_minutes: Some(15), step: steps::ready::step },
    RowSpec { row: Row::Retire, after: &[Row::Fence, Row::Ready], kinds: CLEAN,
        does: "deletes what is superseded, by the rules of retention",
        done_when: "gone", patience_minutes: None, step: steps::retire::step },
];

/// The rows of one kind, in the table's order.
pub fn rows_of(kind: Kind) -> impl Iterator<Item = &'static RowSpec> {
    TABLE.iter().filter(move |spec| spec.kinds.contains(&kind))
}

/// Whether a kind has a row.
#[must_use]
pub fn has(kind: Kind, row: Row) -> bool {
    rows_of(kind).any(|spec| spec.row == row)
}

/// The table as Markdown, for the documentation.
#[must_use]
pub fn render() -> String {
    let mut text =
        String::from("| row | after | in | does | is done when |\n|---|---|---|---|---|\n");
    for spec in TABLE {
        let after: Vec<&str> = spec.after.iter().map(|row| row.name()).collect();
        let kinds: Vec<&str> = spec.kinds.iter().map(|kind| kind.name()).collect();
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            spec.row.name(),
            if after.is_empty() { "-".to_owned() } else { after.join(", ") },
            kinds.join(", "),
            spec.does,
            spec.done_when
        ));
    }
    text
}
