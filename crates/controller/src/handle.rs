//! How the rest of the server speaks to the controller: words go in, views come out. Nobody else
//! writes records, and nobody waits for a cloud here.

use crate::metrics::Metrics;
use crate::orders::{MAX_WAITING_ORDERS, Order};
use crate::refusal::Refusal;
use crate::view::{NodeView, View};
use holdfast_model::adoption::Stray;
use holdfast_model::standing::MAX_REASON;
use holdfast_model::user::UserCommand;
use holdfast_model::{Event, FieldError, NodeId, Record, Standing};
use holdfast_store::{EventFilter, Store, StoreError, StoredEvent};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};

/// How many words may wait for the controller before new ones are turned away.
pub const MAX_WAITING_WORDS: usize = 1_024;
/// How many live events a slow reader may fall behind before it loses some (and is told).
pub const MAX_EVENTS_BEHIND: usize = 4_096;

/// A word and where its answer goes.
pub struct Ask {
    /// The word.
    pub word: UserCommand,
    /// The answer: the record as committed with the word in it.
    pub answer: oneshot::Sender<Result<Arc<Record>, Refusal>>,
}

/// The controller, to the rest of the server.
#[derive(Clone)]
pub struct Handle {
    pub(crate) words: mpsc::Sender<Ask>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) view: Arc<RwLock<View>>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) catalogue_changed: Arc<Notify>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Handle {
    /// A handle without a controller behind it: what is shown is what the caller puts into the
    /// returned view, and the words arrive at the returned receiver. For tests of what uses it.
    #[must_use]
    pub fn detached(store: Arc<dyn Store>) -> (Handle, mpsc::Receiver<Ask>, Arc<RwLock<View>>) {
        let (words, receiver) = mpsc::channel(MAX_WAITING_WORDS);
        let (events, _) = broadcast::channel(MAX_EVENTS_BEHIND);
        let view = Arc::new(RwLock::new(View::default()));
        let catalogue_changed = Arc::default();
        let (orders, _) = mpsc::channel(1);
        let shown = Arc::clone(&view);
        let metrics = Arc::default();
        let handle =
            Handle { words, orders, view: shown, events, store, catalogue_changed, metrics };
        (handle, receiver, view)
    }

    /// A handle whose orders arrive at the returned receiver. For tests of what uses it.
    #[must_use]
    pub fn with_orders(mut self) -> (Handle, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(MAX_WAITING_ORDERS);
        self.orders = orders;
        (self, receiver)
    }

    /// Says something to a node, and waits until it is durable (not until it is carried out).
    ///
    /// # Errors
    /// [`Refusal`]; then nothing was changed.
    pub async fn say(&self, word: UserCommand) -> Result<Arc<Record>, Refusal> {
        let (answer, receiver) = oneshot::channel();
        self.words.try_send(Ask { word, answer }).map_err(|e| {
            Refusal::Unavailable(match e {
                mpsc::error::TrySendError::Full(_) => {
                    format!("{MAX_WAITING_WORDS} requests wait already; try again in a second")
                }
                mpsc::error::TrySendError::Closed(_) => "it is shutting down".to_owned(),
            })
        })?;
        receiver.await.unwrap_or_else(|_| {
            Err(Refusal::Unavailable("it is shutting down; look whether it was done".to_owned()))
        })
    }

    /// Stops every change until [`Handle::thaw`], through restarts. Durable when this returns.
    ///
    /// # Errors
    /// [`Refusal`]; the reason is missing or too long, or it could not be stored.
    pub async fn freeze(&self, reason: String) -> Result<Standing, Refusal> {
        if reason.trim().is_empty() || reason.len() > MAX_REASON {
            return Err(Refusal::Invalid(vec![FieldError {
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

    /// The cloud's catalogue is known to have changed (a price, say): it is read again at once
    /// instead of when it is due.
    pub fn catalogue_changed(&self) {
        self.catalogue_changed.notify_one();
    }

    /// What the controller does, in numbers.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Looks at the view.
    pub fn look<T>(&self, at: impl FnOnce(&View) -> T) -> T {
        at(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One node, unless it is deallocated.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<NodeView> {
        self.look(|view| view.nodes.get(id).filter(|n| is_live(n)).cloned())
    }

    /// All nodes that are not deallocated, in the order of ids.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeView> {
        self.look(|view| view.nodes.values().filter(|n| is_live(n)).cloned().collect())
    }

    /// Stored events. Blocking (it reads the store).
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        self.store.events(filter)
    }

    /// Events as they are committed, without numbers: whoever needs those reads [`Handle::events`].
    #[must_use]
    pub fn live_events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

/// Once the user has given a node up, the API no longer knows it; what is left of it is Holdfast's
/// business alone.
fn is_live(node: &NodeView) -> bool {
    node.record.lifecycle.goal() != holdfast_model::record::Goal::Deleted
}
