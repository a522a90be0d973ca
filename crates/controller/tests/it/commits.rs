//! Commits that fail: nothing has left, and they are made again.

use crate::looking::{Looking, document};
use holdfast_cloud_sim::{SimCloud, SimConfig};
use holdfast_controller::{Effect, Input, Outcome};
use holdfast_model::time::SECOND;
use holdfast_model::{NodeId, Record, Time};

/// A node that was created, and its controller, which has looked at the cloud.
pub fn created() -> Looking {
    let mut looking = Looking::new();
    looking.take(Input::Catalogue(SimCloud::new(1, SimConfig::default()).catalogue()));
    let document = document("persistRootDevice");
    let mut record = Record::new(NodeId::from("smi-00000001"), document, Time(0));
    record.revision = Some(1);
    looking.take(Input::Loaded(vec![(record.id.clone(), Ok(record))]));
    looking.wants.clear();
    looking.sweep(&[]);
    looking
}

/// The commits that it wants, of which it has not been told the outcome.
fn commits(looking: &mut Looking) -> Vec<u64> {
    let wants = std::mem::take(&mut looking.wants).into_iter();
    let commits = wants.filter_map(|effect| match effect {
        Effect::Commit { id, .. } => Some(id),
        _ => None,
    });
    commits.collect()
}

#[test]
fn a_commit_that_failed_is_made_again_when_its_time_has_come_and_not_before() {
    let mut looking = created();
    let [first] = commits(&mut looking)[..] else { panic!("one commit") };
    looking.take(Input::Committed(first, Outcome::Failed("the disk is full".to_owned())));
    for _ in 0..3 {
        looking.pass(300);
        assert_eq!(commits(&mut looking), [] as [u64; 0]);
    }
    // Whoever wakes it is a little late.
    looking.pass(107);
    let [second] = commits(&mut looking)[..] else { panic!("one commit") };
    assert!(second > first);
    assert!(looking.fleet.next_wake() > looking.now, "{:?}", looking.fleet.next_wake());
    looking.take(Input::Committed(second, Outcome::Done));
    looking.pass(SECOND);
    assert!(looking.wants.iter().any(|effect| matches!(effect, Effect::Call { .. })));
}
