//! Probe: ask the chosen market whether it has capacity, before anything is given up for it.

use crate::context::desk::{Asked, Desk};
use crate::context::progress::{Progress, Report};
use crate::life::revert;
use crate::parts::markets;
use holdfast_model::{Command, ErrorClass, Row};

/// Asks; a refusal cools the market and goes back to place.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    if revert::is_under_way(desk) {
        return Progress::Done;
    }
    let Some(market) = desk.market() else {
        return revert::not_now(desk);
    };
    // Each market's probe is a call of its own, as each market's launch is.
    let name = format!("probe:{}", desk.replacement().map_or(0, |r| r.markets_refused));
    match desk.standing(Row::Probe, &name) {
        None => {
            desk.start(Row::Probe, &name, |_, token| Command::Probe { token, market });
            desk.wait("the probe to be answered");
            Progress::Waiting
        }
        Some(Asked::Waiting) => {
            desk.wait("the probe to be answered");
            Progress::Waiting
        }
        Some(Asked::Done(_)) => {
            // Whatever the user meant by recycle, this replacement does it from here on.
            desk.record.lifecycle.set_recycle(false);
            Progress::Done
        }
        Some(Asked::Refused { error, .. }) => {
            let class = match error.class {
                ErrorClass::Quota => ErrorClass::Quota,
                _ => ErrorClass::Capacity,
            };
            markets::cool(desk, &market, class);
            desk.wait(format!("another spot market than {market}: {error}"));
            Progress::Reports(Report::ProbeRefused)
        }
    }
}
