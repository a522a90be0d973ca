//! Questions to people: every choice that is offered is accepted when it is made at once, and leads
//! on: something is done that would not be done without it, or the question is no longer asked. What
//! is lost of several volumes is asked about together, so a part of the question may remain.

use holdfast_controller::Fleet;
use holdfast_engine::words;
use holdfast_model::user::UserCommand;
use holdfast_model::{Record, Time};

/// What is wrong with the choices that a node offers. `now`: by the controller's clock.
pub(super) fn dead_ends(record: &Record, fleet: &Fleet, now: Time) -> Vec<String> {
    let Some(asked) = record.blocked.decision() else { return Vec::new() };
    let mut wrong = Vec::new();
    for choice in asked.choices() {
        let mut decided = record.clone();
        let word = UserCommand::Decide { id: record.id.clone(), choice: *choice };
        if let Err(why) = words::apply(&mut decided, &word, now) {
            wrong.push(format!("{choice:?} is offered and refused: {why:?}"));
            continue;
        }
        let next = fleet.would_plan(decided, now).record;
        if next == fleet.would_plan(record.clone(), now).record {
            wrong.push(format!("{choice:?} leads back to the same question: {}", asked.why));
        }
    }
    wrong
}
