//! What is said to the fleet as a whole, and asked of it.

use crate::refusal::Refusal;
use holdfast_model::Standing;
use holdfast_model::adoption::Stray;
use tokio::sync::oneshot;

/// How many orders may wait for the controller.
pub const MAX_WAITING_ORDERS: usize = 64;

/// An order and where its answer goes.
pub enum Order {
    /// Change nothing from now on, for this reason.
    Freeze(String, oneshot::Sender<Result<Standing, Refusal>>),
    /// Go on, as far as a person can say so.
    Thaw(oneshot::Sender<Result<Standing, Refusal>>),
    /// What is in the cloud and no record accounts for?
    Strays(oneshot::Sender<Result<Vec<Stray>, Refusal>>),
}
