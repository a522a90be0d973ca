//! What a person's word does to the calls of a row.

use crate::launches::{Played, is_launch};
use holdfast_engine::words::apply;
use holdfast_model::record::{NeedsDecision, Question};
use holdfast_model::replacement::Call;
use holdfast_model::user::{Choice, UserCommand};
use holdfast_model::{
    CallState, CloudError, Command, ErrorClass, NodeId, Row, Time, Token, VolumeId,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn a_retry_asks_again_for_what_was_done_in_vain_and_for_nothing_that_made_something_or_is_open() {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.plan();
    let launch = node.row(Row::Launch).expect("it launches").calls.clone();
    let launch = launch.values().find(|call| is_launch(&call.command)).expect("a launch");
    let detach = Command::DetachVolume { volume: VolumeId::from("vol-1"), instance: "i-1".into() };
    let no =
        CloudError { class: ErrorClass::Refused, code: "No".to_owned(), message: String::new() };
    let refused = CallState::Refused { error: no, at: Time(1) };
    let done = |id: Option<&str>| CallState::Done { id: id.map(str::to_owned) };
    let calls = [
        ("made", &launch.command, done(Some("i-1"))),
        ("open", &detach, CallState::Started),
        ("refused", &detach, refused),
        ("in vain", &detach, done(None)),
    ];
    let replacement = node.record.work.as_mut().expect("it is under way");
    let row = replacement.rows.get_mut(&Row::Launch).expect("it has begun");
    row.calls.clear();
    for (name, command, state) in calls {
        let (command, token) = (command.clone(), Token(name.to_owned()));
        let call = Call { command, token, attempt: 1, at: Time(1), state, answered_at: None };
        row.calls.insert(name.to_owned(), call.into());
    }
    node.record.blocked.ask(NeedsDecision {
        row: Row::Launch,
        since: Time(1),
        why: "it does not come up".to_owned(),
        question: Question::Asked {
            choices: vec![Choice::Wait, Choice::Retry],
            restore: BTreeMap::new(),
        },
    });
    let word = UserCommand::Decide { id: NodeId::from("smi-1"), choice: Choice::Retry };
    apply(&mut node.record, &word, Time(9)).expect("it is heard");
    let left: BTreeSet<&str> =
        node.row(Row::Launch).expect("it goes on").calls.keys().map(String::as_str).collect();
    assert_eq!(left, ["made", "open", "refused"].into());
}
