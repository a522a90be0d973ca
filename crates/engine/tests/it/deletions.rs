//! In which order what is superseded is deleted.

use crate::launches::{running, sees};
use holdfast_model::facts::{Health, InstanceFact};
use holdfast_model::record::{Due, PendingDeletion};
use holdfast_model::{Command, Row};
use serde_json::json;

#[test]
fn an_image_is_deleted_however_many_snapshots_wait_for_that() {
    let (mut node, seen) = running(&json!({ "persistRootDevice": true }));
    let ids = (1..=20).map(|n| format!("snap-{n}")).chain(["ami-9".to_owned()]);
    node.record.kept.pending_deletion = ids
        .map(|id| PendingDeletion { id, reason: "it is old".to_owned(), due: Due::Now })
        .collect();
    sees(&mut node, InstanceFact { health: Health::Ok, ..seen });
    let asked: Vec<Command> =
        node.open(Row::Retire).into_iter().map(|(_, call)| call.command).collect();
    assert_eq!(asked, [Command::DeregisterImage { image: "ami-9".into() }]);
}
