//! A cloud that does not behave, and what a person is told.

use crate::looking::document;
use holdfast_cloud::{BoxFuture, Cloud, Identity, Notice};
use holdfast_cloud_sim::{SimCloud, SimCloudHandle, SimConfig};
use holdfast_controller::serve::{Controller, start};
use holdfast_controller::{FleetConfig, Refusal};
use holdfast_model::facts::{Page, Query};
use holdfast_model::market::Catalogue;
use holdfast_model::user::UserCommand;
use holdfast_model::{CloudError, Command, FieldError, Installation, NodeId, Reply};
use holdfast_store::memory::MemoryStore;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A region in which something goes wrong.
struct Odd {
    cloud: SimCloudHandle,
    /// How many batches are still answered with one result too few.
    short: AtomicUsize,
    /// Whether hearing its hints panics.
    panics: bool,
}

impl Cloud for Odd {
    fn identity(&self) -> BoxFuture<'_, Result<Identity, CloudError>> {
        self.cloud.identity()
    }

    fn catalogue(&self) -> BoxFuture<'_, Result<Catalogue, CloudError>> {
        self.cloud.catalogue()
    }

    fn observe(&self, query: Query) -> BoxFuture<'_, Result<Page, CloudError>> {
        self.cloud.observe(query)
    }

    fn execute(&self, batch: Vec<Command>) -> BoxFuture<'_, Vec<Result<Reply, CloudError>>> {
        Box::pin(async move {
            let mut results = self.cloud.execute(batch).await;
            let left = self.short.load(Ordering::SeqCst);
            if left > 0 {
                self.short.store(left - 1, Ordering::SeqCst);
                results.pop();
            }
            results
        })
    }

    fn notice(&self) -> BoxFuture<'_, Notice> {
        assert!(!self.panics, "the test wants it");
        self.cloud.notice()
    }
}

async fn begin(short: usize, panics: bool) -> (SimCloudHandle, Controller) {
    let cloud = SimCloudHandle::new(SimCloud::new(1, SimConfig::prompt()));
    let odd = Odd { cloud: cloud.clone(), short: AtomicUsize::new(short), panics };
    let config = FleetConfig::local(Installation::from("0123abcd"));
    let controller = start(Arc::new(odd), Arc::new(MemoryStore::new()), config).await.unwrap();
    (cloud, controller)
}

#[tokio::test]
async fn a_batch_that_is_answered_with_too_few_results_is_asked_for_again() {
    let (cloud, controller) = begin(1, false).await;
    let document = document("persistRootDevice");
    let handle = controller.handle();
    let id = NodeId::from("smi-00000001");
    handle.say(UserCommand::Create { id: id.clone(), document }).await.unwrap();
    for _ in 0..2_000 {
        if handle.node(&id).is_some_and(|node| node.record.status() == "ACTIVE") {
            break;
        }
        cloud.pass(50);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let node = handle.node(&id).unwrap();
    assert_eq!(node.record.status(), "ACTIVE", "it waits for {:?}", node.waits_for);
    assert!(!controller.has_ended());
}

#[tokio::test]
async fn a_controller_that_has_panicked_says_that_it_has_ended() {
    let (_, controller) = begin(0, true).await;
    for _ in 0..2_000 {
        if controller.has_ended() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it goes on without its task");
}

#[test]
fn a_spec_that_is_refused_is_told_with_the_number_of_its_mistakes_and_the_first_of_them() {
    let mistake = |field: &str| FieldError {
        field: field.to_owned(),
        problem: "is missing".to_owned(),
        allowed: "a name".to_owned(),
        example: "\"n\"".to_owned(),
    };
    let (first, second) = (mistake("region"), mistake("name"));
    let told = Refusal::Invalid(vec![first.clone(), second]).to_string();
    assert_eq!(told, format!("the spec has 2 mistake(s): {first}"));
}
