//! What is said to the fleet as a whole: what is refused before it is heard.

use holdfast_controller::{Handle, Order, Refusal};
use holdfast_model::Standing;
use holdfast_model::standing::MAX_REASON;
use holdfast_store::memory::MemoryStore;
use std::sync::Arc;

fn handle() -> (Handle, tokio::sync::mpsc::Receiver<Order>) {
    let (handle, _, _) = Handle::detached(Arc::new(MemoryStore::new()));
    handle.with_orders()
}

#[tokio::test]
async fn a_freeze_without_a_reason_or_with_too_long_a_one_is_not_even_said() {
    let (handle, orders) = handle();
    // Whoever would hear it has gone: what is said is answered so, and does not wait.
    drop(orders);
    let too_long = "x".repeat(MAX_REASON + 1);
    for (reason, problem) in
        [("", "is missing"), (" \n", "is missing"), (too_long.as_str(), "is too long")]
    {
        match handle.freeze(reason.to_owned()).await {
            Err(Refusal::Invalid(errors)) => assert_eq!(errors[0].problem, problem),
            other => panic!("{reason:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_reason_may_be_as_long_as_is_said() {
    let (handle, mut orders) = handle();
    let reason = "x".repeat(MAX_REASON);
    let heard = async {
        match orders.recv().await {
            Some(Order::Freeze(reason, answer)) => {
                answer.send(Ok(Standing::default())).unwrap();
                Some(reason)
            }
            _ => None,
        }
    };
    let (answer, heard) = tokio::join!(handle.freeze(reason.clone()), async {
        tokio::select! { heard = heard => heard, () = tokio::task::yield_now() => None }
    });
    assert_eq!(answer, Ok(Standing::default()));
    assert_eq!(heard, Some(reason));
}
