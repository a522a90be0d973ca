//! What a whole look proves is only as young as the question: of a launch that was lost, nothing is
//! believed before the consistency window is over.

use crate::launches::{Played, instance, is_launch};
use holdfast_engine::replies::absorb;
use holdfast_model::facts::{InstanceState, ResourceKind};
use holdfast_model::{CallState, CloudError, ErrorClass, Row, Time};
use serde_json::json;

/// The consistency window, in milliseconds.
const WINDOW: u64 = 30_000;

fn node() -> Played {
    let mut node = Played::new(&json!({ "persistRootDevice": true }), &[]);
    node.tuning.consistency_window = WINDOW;
    node.plan();
    node
}

/// A whole look that began then; what is waited for after it.
fn look(node: &mut Played, kind: ResourceKind, asked: Time) -> String {
    node.now = asked;
    node.world.complete_sweep(kind, asked);
    node.plan().waits_for.unwrap_or_default()
}

#[test]
fn the_root_of_a_lost_launch_is_not_believed_absent_inside_the_window() {
    let mut node = node();
    node.answer(is_launch, |launch| {
        instance(launch, InstanceState::Terminated, Some("Client.InternalError: it does not mount"))
    });
    node.plan();
    let began = node.row(Row::Fence).and_then(|row| row.started_at).expect("it is fenced");
    for after in [1, WINDOW / 2, WINDOW] {
        let waits = look(&mut node, ResourceKind::Volume, began.plus(after));
        assert!(waits.contains("whole look at the volumes"), "{after} ms after it: {waits}");
        assert!(!node.is_done(Row::Fence));
    }
    look(&mut node, ResourceKind::Volume, began.plus(WINDOW + 1));
    assert!(node.is_done(Row::Fence), "{:?}", node.record.work);
}

#[test]
fn an_instance_that_ended_before_its_launch_was_answered_is_looked_for_everywhere_for_a_window() {
    let waits = "a whole look, for the instance of a launch that has ended already";
    let kinds = [ResourceKind::Instance, ResourceKind::Volume];
    for last in kinds {
        let mut node = node();
        let calls = node.row(Row::Launch).expect("it launches").calls.clone();
        let open = |state: &CallState| *state == CallState::Started;
        let launch = calls.iter().find(|(_, c)| is_launch(&c.command) && open(&c.state));
        let (name, call) = launch.expect("it has left");
        let refused = Err(CloudError {
            class: ErrorClass::Refused,
            code: "IdempotentInstanceTerminated".to_owned(),
            message: String::new(),
        });
        let since = node.now;
        assert!(absorb(&mut node.record, Row::Launch, name, &call.token, &refused, since));
        assert_eq!(node.plan().waits_for.as_deref(), Some(waits));
        for kind in kinds {
            assert_eq!(look(&mut node, kind, since.plus(WINDOW)), waits, "it may be behind");
        }
        let first = kinds.into_iter().find(|kind| *kind != last).expect("the other");
        assert_eq!(look(&mut node, first, since.plus(WINDOW + 1)), waits, "{last:?} is not seen");
        assert_ne!(look(&mut node, last, since.plus(WINDOW + 2)), waits);
    }
}
