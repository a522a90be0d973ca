//! Adoption waits for calls that may still make something.

use crate::commits::created;
use holdfast_controller::{Effect, Input, Outcome, Refusal};
use holdfast_model::record::{NeedsDecision, Question};
use holdfast_model::time::MINUTE;
use holdfast_model::user::UserCommand;
use holdfast_model::{NodeId, Record, Row, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The record of a node whose launch was committed.
fn launching() -> Record {
    let mut looking = created();
    for _ in 0..8 {
        for effect in std::mem::take(&mut looking.wants) {
            if let Effect::Commit { id, record: Some(record), .. } = effect {
                let calls = record.rows().flat_map(|(_, row)| row.open_calls());
                if calls.into_iter().any(|(_, call)| call.command.makes().is_some()) {
                    return Arc::unwrap_or_clone(record);
                }
                looking.take(Input::Committed(id, Outcome::Done));
            }
        }
    }
    panic!("nothing is launched");
}

#[test]
fn nothing_is_adopted_while_a_call_may_still_make_something() {
    let mut record = launching();
    record.blocked.ask(NeedsDecision {
        row: Row::Launch,
        since: Time(0),
        why: "the test wants it".to_owned(),
        question: Question::Answered,
    });
    let id: NodeId = record.id.clone();
    let mut looking = crate::looking::Looking::new();
    looking.take(Input::Loaded(vec![(id.clone(), Ok(record))]));
    for _ in 0..3 {
        looking.sweep(&[]);
        looking.pass(MINUTE);
    }
    looking.wants.clear();
    let heads = BTreeMap::new();
    looking.take(Input::Word(1, UserCommand::Adopt { id, document: None, heads }));
    let refused = looking.wants.iter().find_map(|effect| match effect {
        Effect::Answer { id: 1, answer: Err(Refusal::Conflict { why, .. }) } => Some(why.as_str()),
        _ => None,
    });
    assert_eq!(
        refused,
        Some("a call that makes something is not answered yet; try again later"),
        "{:?}",
        looking.wants
    );
}
