//! Which fault can hit which row at all. At the full size every cell that can occur must have
//! occurred: a table with a hole in it has not tried what it claims.

use crate::scenario::Mix;
use crate::table::{cell, line};
use crate::tally::Tally;
use holdfast_cloud_sim::Class;
use holdfast_model::Row;

/// Of a column of the table.
const WIDTH: usize = 9;
/// The rows that launch.
const LAUNCHES: &[Row] = &[Row::Standby, Row::Launch];

/// Why a fault cannot hit a row, if so.
///
/// # Errors
/// The reason.
pub fn can_hit(class: Class, row: Row) -> Result<(), &'static str> {
    match class {
        Class::Capacity => only(row, LAUNCHES, "only a launch asks for capacity"),
        Class::Refused | Class::Permanent | Class::LostReply | Class::LostRequest => {
            calls(row, "the row makes no call")
        }
        Class::Conflict => calls(row, "the row makes no call"),
        Class::SlowLaunch => only(row, LAUNCHES, "only a launch launches"),
        Class::SlowAttach => only(row, &[Row::Attach], "only attach attaches"),
        // What is on the list of what goes has been its node's instance, and is over.
        Class::SlowTerminate => only(row, &[Row::Stop], "only stop terminates"),
        // It is late where it is made; later rows begin when it has been seen.
        Class::Missing => only(row, &[Row::Capture, Row::Launch], "the row makes nothing"),
        Class::SlowDetach => living(row),
        Class::Death => serving(row),
        Class::NoticeLost | Class::NoticeLate | Class::NoticeDoubled | Class::NoticeUnknown => {
            match row {
                Row::Probe => Err("what runs on demand is not taken back"),
                _ => serving(row),
            }
        }
        Class::Blind => Ok(()),
        Class::Unshown => match row {
            Row::Drain | Row::Stop | Row::Fence | Row::Retire => Ok(()),
            _ => Err("the row is none of a deletion's"),
        },
        Class::StuckSnapshot => only(row, &[Row::Capture], "only capture waits for snapshots"),
        Class::SlowSnapshot => only(row, &[Row::Capture], "only capture takes snapshots"),
        Class::FailedSnapshot => only(row, &[Row::Capture], "only capture waits for snapshots"),
        // Placing is over in the plan that begins it, unless no market has room.
        _ => Ok(()),
    }
}

fn only(row: Row, rows: &[Row], why: &'static str) -> Result<(), &'static str> {
    if rows.contains(&row) { Ok(()) } else { Err(why) }
}

/// What happens to an instance that lives, or ends.
fn living(row: Row) -> Result<(), &'static str> {
    if matches!(row, Row::Fence | Row::Capture) {
        Err("between stop and launch no instance lives")
    } else {
        Ok(())
    }
}

/// What happens to an instance that serves or is about to.
fn serving(row: Row) -> Result<(), &'static str> {
    if row == Row::Place {
        Err(
            "an instance that lives came from a market that was not refused since: one is chosen at once",
        )
    } else {
        living(row)
    }
}

fn calls(row: Row, why: &'static str) -> Result<(), &'static str> {
    if matches!(row, Row::Fence | Row::Place) { Err(why) } else { Ok(()) }
}

/// Cells that could have been hit, and were not.
#[must_use]
pub fn holes(tally: &Tally, mix: &Mix) -> Vec<(Class, Row)> {
    let cells = mix.classes.iter().flat_map(|class| Row::ALL.map(|row| (*class, row)));
    cells
        .filter(|(class, row)| can_hit(*class, *row).is_ok())
        .filter(|cell| tally.hits.get(cell).copied().unwrap_or_default() == 0)
        .collect()
}

/// The table: how often each fault hit each row; `-` where it cannot.
#[must_use]
pub fn render(tally: &Tally) -> String {
    let mut text = String::new();
    line(&mut text, "fault", WIDTH, Row::ALL.map(|row| row.name().to_owned()));
    for class in Class::ALL {
        let cells = Row::ALL.map(|row| {
            let hits = tally.hits.get(&(class, row)).copied().unwrap_or_default();
            cell(hits, can_hit(class, row).is_ok())
        });
        line(&mut text, class.name(), WIDTH, cells);
    }
    text
}
