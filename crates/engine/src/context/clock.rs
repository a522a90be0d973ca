//! A clock that was ahead. What a record says happened in the future did not: every pause that
//! counts from there would be as long as the clock was wrong. A server that starts therefore takes
//! such instants to be now.

use crate::context::tuning::Tuning;
use holdfast_model::replacement::RowState;
use holdfast_model::{CallState, Record, Time};

/// Takes every instant of the record that lies in the future to be now; a market is not left alone
/// for longer than any market ever is.
pub fn set_right(record: &mut Record, now: Time, tuning: &Tuning) {
    let right = |at: &mut Time| *at = (*at).min(now);
    right(&mut record.kept.grace_counted_at);
    right(&mut record.upkeep.last_at);
    set_row_right(&mut record.upkeep.row, now);
    let longest = now.plus(tuning.capacity_cooldown.max(tuning.quota_cooldown));
    for until in record.memory.market_backoff.values_mut() {
        *until = (*until).min(longest);
    }
    if let Some(holder) = &mut record.instance {
        right(&mut holder.launched_at);
        holder.impaired_since.iter_mut().for_each(right);
    }
    record.blocked.not_after(now);
    if let Some(last) = record.memory.history.last_mut() {
        right(&mut last.finished_at);
    }
    let Some(replacement) = &mut record.work else { return };
    right(&mut replacement.started_at);
    replacement.without_market_since.iter_mut().for_each(right);
    replacement.rows.values_mut().for_each(|row| set_row_right(row, now));
}

fn set_row_right(row: &mut RowState, now: Time) {
    let right = |at: &mut Time| *at = (*at).min(now);
    row.started_at.iter_mut().for_each(right);
    for call in row.calls.values_mut() {
        right(&mut call.at);
        // How old an answer is cannot be told any more: it counts as old.
        call.answered_at.take_if(|at| *at > now);
        if let CallState::Refused { at, .. } = &mut call.state {
            right(at);
        }
    }
}
