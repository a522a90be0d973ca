//! What overtakes a replacement is this table.
//!
//! While a replacement is in flight the world goes on: its instance is lost or unwell, a person says
//! something else, a market refuses. The first line that applies says what becomes of it. Most are
//! looked for before the rows run; the others are what a row reports. Retries and pauses of a single
//! call are no business of this table.
//!
//! Only this module ends a replacement, turns it into another kind or sends it back to an earlier row.

/// What a line does to a replacement.
mod actions;
/// What holds while it is in flight.
mod conditions;
/// The table in words.
mod sentences;
/// The table itself.
mod table;

use crate::context::desk::Desk;
use crate::context::progress::Report;
use crate::life::rollback;
use crate::parts::markets;
use crate::steps::ended::{self, Ended};
use crate::tables::replacement::rows_of;
use When::{AllDone, LaunchLost, LaunchRefused, Reported};
use holdfast_model::{ErrorClass, VolumeId};
pub use sentences::render;
pub use table::{End, Followed, If, Line, OVERTAKES, Phase, Then, When};

/// Follows the lines of what is seen, before the rows run. Returns which were followed.
pub(crate) fn look(desk: &mut Desk<'_>) -> Vec<Followed> {
    let mut followed = Vec::new();
    // A refused launch has not left: the head is back where it was before anything is decided.
    match ended::look(desk) {
        Ended::Vanished(Some(root)) => followed.extend(follow(desk, LaunchLost, Some(root))),
        Ended::No | Ended::Vanished(None) if conditions::is_refused(desk) => {
            followed.extend(follow(desk, LaunchRefused, None));
        }
        Ended::Seen | Ended::Waiting | Ended::No | Ended::Vanished(None) => {}
    }
    conditions::take_over_deadline(desk);
    let Some(phase) = conditions::phase(desk) else { return followed };
    let mut failing = None;
    let found = OVERTAKES.iter().enumerate().find_map(|(place, line)| {
        if line.phase != phase {
            return None;
        }
        let when = line.when.iter().find(|w| conditions::happens(desk, **w, &mut failing))?;
        conditions::holds(desk, line.provided).then_some(Followed { line: place, when: *when })
    });
    followed.extend(found.map(|found| go(desk, found, None)));
    followed
}

/// Follows the line of what a row reports.
pub(crate) fn report(desk: &mut Desk<'_>, report: Report) -> Option<Followed> {
    follow(desk, Reported(report), None)
}

/// Ends the replacement when its last row is done.
pub(crate) fn finish(desk: &mut Desk<'_>) -> Option<Followed> {
    let replacement = desk.replacement()?;
    let all = rows_of(replacement.kind).all(|spec| replacement.is_done(spec.row));
    all.then(|| follow(desk, AllDone, None)).flatten()
}

/// Follows a line of any phase.
fn follow(desk: &mut Desk<'_>, when: When, root: Option<VolumeId>) -> Option<Followed> {
    let is_it = |line: &Line| line.phase == Phase::Any && line.when.contains(&when);
    let line = OVERTAKES.iter().position(is_it)?;
    Some(go(desk, Followed { line, when }, root.as_ref()))
}

/// Does what a line says.
fn go(desk: &mut Desk<'_>, followed: Followed, root: Option<&VolumeId>) -> Followed {
    OVERTAKES[followed.line].then.iter().for_each(|then| carry_out(desk, *then, root));
    followed
}

fn carry_out(desk: &mut Desk<'_>, then: Then, root: Option<&VolumeId>) {
    match then {
        Then::Close(end) => actions::close(desk, end),
        Then::TurnInto(kind) => actions::turn_into(desk, kind),
        Then::Join => rollback::join(desk),
        Then::BackToPlace => actions::back_to_place(desk),
        Then::ProbeAnew => actions::probe_anew(desk),
        Then::TakeBack => actions::take_back(desk),
        Then::TakeRoot => root.into_iter().for_each(|root| ended::take_root(desk, root.clone())),
        Then::LearnRoot => actions::learn_root(desk),
        Then::Cool => {
            if let Some(market) = desk.market() {
                markets::cool(desk, &market, ErrorClass::Capacity);
            }
        }
        Then::TellFound => actions::tell_found(desk),
    }
}
