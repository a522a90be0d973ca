//! What is said to the fleet as a whole, and asked of it.

use crate::handle::{Handle, Refusal};
use holdfast_model::Standing;
use holdfast_model::adoption::Stray;
use holdfast_model::standing::MAX_REASON;
use tokio::sync::{mpsc, oneshot};

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

impl Handle {
    /// A handle whose orders arrive at the returned receiver. For tests of what uses it.
    #[must_use]
    pub fn with_orders(mut self) -> (Handle, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(MAX_WAITING_ORDERS);
        self.orders = orders;
        (self, receiver)
    }

    /// Stops every change until [`Handle::thaw`], through restarts. Durable when this returns.
    ///
    /// # Errors
    /// [`Refusal`]; the reason is missing or too long, or it could not be stored.
    pub async fn freeze(&self, reason: String) -> Result<Standing, Refusal> {
        if reason.trim().is_empty() || reason.len() > MAX_REASON {
            return Err(Refusal::Invalid(vec![holdfast_model::FieldError {
                field: "reason".to_owned(),
                problem: if reason.trim().is_empty() { "is missing" } else { "is too long" }
                    .to_owned(),
                allowed: format!("a sentence of at most {MAX_REASON} bytes"),
                example: "{\"reason\": \"the network is being moved\"}".to_owned(),
            }]));
        }
        self.order(|answer| Order::Freeze(reason, answer)).await?
    }

    /// Lifts what a person can lift. What is left stands in the answer.
    ///
    /// # Errors
    /// [`Refusal`]; it could not be stored.
    pub async fn thaw(&self) -> Result<Standing, Refusal> {
        self.order(Order::Thaw).await?
    }

    /// What is in the cloud and no record accounts for, by node.
    ///
    /// # Errors
    /// [`Refusal`]; nobody has looked yet.
    pub async fn strays(&self) -> Result<Vec<Stray>, Refusal> {
        self.order(Order::Strays).await?
    }

    async fn order<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Refusal> {
        let (answer, receiver) = oneshot::channel();
        self.orders.try_send(make(answer)).map_err(|e| {
            Refusal::Unavailable(match e {
                mpsc::error::TrySendError::Full(_) => {
                    format!("{MAX_WAITING_ORDERS} orders wait already; try again in a second")
                }
                mpsc::error::TrySendError::Closed(_) => "it is shutting down".to_owned(),
            })
        })?;
        receiver.await.map_err(|_| {
            Refusal::Unavailable("it is shutting down; look whether it was done".to_owned())
        })
    }
}
