//! How the rest of the server speaks to the controller: words go in, views come out. Nobody else
//! writes records, and nobody waits for a cloud here.

use crate::fleet::Belief;
use crate::metrics::Metrics;
use crate::orders::Order;
use holdfast_model::facts::{ImageFact, InstanceFact, InterfaceFact, VolumeFact};
use holdfast_model::market::Catalogue;
use holdfast_model::user::UserCommand;
use holdfast_model::{Event, FieldError, NodeId, Record, Shared, Standing};
use holdfast_store::{EventFilter, Store, StoreError, StoredEvent};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};

/// How many words may wait for the controller before new ones are turned away.
pub const MAX_WAITING_WORDS: usize = 1_024;
/// How many live events a slow reader may fall behind before it loses some (and is told).
pub const MAX_EVENTS_BEHIND: usize = 4_096;

/// Why a word is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The spec has mistakes.
    #[error("the spec has {} mistake(s): {}", .0.len(), first(.0))]
    Invalid(Vec<FieldError>),
    /// No such node (or it has been deleted).
    #[error("there is no node {0}")]
    NoSuchNode(NodeId),
    /// The node's state forbids it.
    #[error("{node}: {why}")]
    Conflict {
        /// Which node.
        node: NodeId,
        /// Why, and what would help.
        why: String,
    },
    /// The server cannot take it now.
    #[error("the server cannot take this now: {0}")]
    Unavailable(String),
}

fn first(errors: &[FieldError]) -> String {
    errors.first().map(ToString::to_string).unwrap_or_default()
}

/// A node as it can be seen: what was decided, and what the cloud shows.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// The committed record.
    pub record: Arc<Record>,
    /// The instance that holds the identity, if it has been seen.
    pub instance: Option<Shared<InstanceFact>>,
    /// The volumes of the identity that have been seen.
    pub volumes: Vec<Shared<VolumeFact>>,
    /// The interfaces of the instance, or of the identity, that have been seen.
    pub interfaces: Vec<Shared<InterfaceFact>>,
    /// The image that the instance was launched from, if it is one of ours.
    pub image: Option<Shared<ImageFact>>,
    /// What the node waits for, as a sentence, if it is not where its spec wants it.
    pub waits_for: Option<String>,
}

/// Everything that can be seen without asking the controller.
#[derive(Debug, Default)]
pub struct View {
    /// Nodes, also deallocated ones whose leftovers wait.
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// Nodes whose record cannot be used, and why.
    pub stopped: BTreeMap<NodeId, String>,
    /// What the region offers.
    pub catalogue: Arc<Catalogue>,
    /// Which installation this is.
    pub installation: String,
    /// What concerns the fleet as a whole: its epoch, and why nothing is changed, if so.
    pub standing: Standing,
    /// Whether the first sweep has been completed.
    pub ready: bool,
    /// What is believed of the cloud's buckets for calls; empty where it has no limits.
    pub beliefs: Vec<Belief>,
    /// The most replacements in an hour by the fleet's own choice.
    pub voluntary_per_hour: usize,
    /// How many were begun within the last hour.
    pub voluntary_begun: usize,
}

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
