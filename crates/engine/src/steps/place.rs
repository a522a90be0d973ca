//! Place: choose a market.

use crate::context::desk::Desk;
use crate::context::progress::Progress;
use crate::life::revert;
use crate::parts::markets::{Choice, choose, choose_spot};
use crate::parts::network;
use holdfast_model::{EventCode, Kind, Row};

/// Chooses, and tells people where the node goes or why it cannot.
pub fn step(desk: &mut Desk<'_>) -> Progress {
    let now = desk.scene.now;
    // Until a market has shown that it has capacity, nothing is given up for it.
    let probing = desk.kind() == Some(Kind::Revert) && !revert::is_under_way(desk);
    if !probing {
        network::give_back(desk);
    }
    match if probing { choose_spot(desk) } else { choose(desk) } {
        Choice::Market(market, why) => {
            if !probing {
                network::leave_unused(desk, &market);
            }
            desk.tell(EventCode::Placed, format!("the next instance is {market}: {why}"));
            if let Some(r) = desk.record.work.as_mut() {
                r.market = Some(market);
                r.market_why = why;
                r.without_market_since = None;
            }
            Progress::Done
        }
        Choice::NoneBefore(_) | Choice::Never(_) if probing => revert::not_now(desk),
        Choice::NoneBefore(at) => {
            let told = desk.replacement().is_some_and(|r| r.without_market_since.is_some());
            if !told {
                if let Some(r) = desk.record.work.as_mut() {
                    r.without_market_since = Some(now);
                }
                let count = desk.record.memory.market_backoff.len();
                desk.tell(
                    EventCode::NoMarket,
                    format!(
                        "none of {count} markets has capacity; more instance types or subnets in \
                         the spec would help"
                    ),
                );
            }
            desk.wait("a market with capacity");
            desk.wake_at(at);
            Progress::Waiting
        }
        Choice::Never(_) if desk.take_up_newer_spec() => step(desk),
        Choice::Never(why) => {
            let what = format!("no market fits the spec: {why}");
            desk.need_decision(Row::Place, what.clone());
            desk.wait(what);
            Progress::Waiting
        }
    }
}
