//! Records that are damaged, and what a person says to them.

use crate::looking::Looking;
use holdfast_controller::{Effect, Input, Refusal, Unreadable};
use holdfast_model::NodeId;
use holdfast_model::time::SECOND;
use holdfast_model::user::{Deallocation, UserCommand};

#[test]
fn a_damaged_record_is_removed_once_however_often_that_is_said() {
    let mut looking = Looking::new();
    let id = NodeId::from("smi-00000001");
    let damaged = Unreadable { why: "it is damaged".to_owned(), damaged: Some(7) };
    looking.take(Input::Loaded(vec![(id.clone(), Err(damaged))]));
    for _ in 0..3 {
        looking.sweep(&[]);
        looking.pass(60 * SECOND);
    }
    looking.wants.clear();
    for word in 1..=2 {
        let deallocation = Deallocation::EVERYTHING;
        looking.take(Input::Word(word, UserCommand::Delete { id: id.clone(), deallocation }));
    }
    let commits = looking.wants.iter().filter_map(|effect| match effect {
        Effect::Commit { expected, record, .. } => Some((*expected, record.is_none())),
        _ => None,
    });
    assert_eq!(commits.collect::<Vec<_>>(), [(7, true)], "{:?}", looking.wants);
    let answers = looking.wants.iter().filter_map(|effect| match effect {
        Effect::Answer { id, answer: Err(Refusal::Unavailable(why)) } => Some((*id, why.as_str())),
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), [(2, "it is being deleted already")]);
}
