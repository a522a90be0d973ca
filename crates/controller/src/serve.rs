//! The driver for real life: one task owns the fleet; calls, reads and commits run beside it and
//! come back as inputs.

use crate::fleet::{Departure, Effect, Fleet, FleetConfig, Input, Outcome, Unreadable};
use crate::handle::{Ask, Handle, MAX_EVENTS_BEHIND, MAX_WAITING_WORDS};
use crate::metrics::Metrics;
use crate::orders::{MAX_WAITING_ORDERS, Order};
use crate::refusal::Refusal;
use crate::standing::{self, StandingError};
use crate::tap::Tap;
use crate::trace;
use crate::view::View;
use holdfast_cloud::Cloud;
use holdfast_model::standing::Cause;
use holdfast_model::versions::RecordError;
use holdfast_model::{
    CloudError, Command, ErrorClass, Event, NodeId, Record, Standing, Time, versions,
};
use holdfast_store::writer::Writer;
use holdfast_store::{Store, StoreError, Write, Written};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

/// How often the region's catalogue (types, subnets, prices) is read again.
const CATALOGUE_EVERY: Duration = Duration::from_secs(600);
/// First pause before a catalogue that could not be read is asked for again.
const CATALOGUE_RETRY: Duration = Duration::from_secs(5);
/// After this long without an answer a call's outcome counts as unknown and it is repeated.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// After this long a read counts as failed.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The store's setting that remembers the account.
const ACCOUNT: &str = "account";

/// Why the controller cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the fleet as a whole must not forget.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// The cloud does not say who we are.
    #[error("the cloud does not answer: {0}")]
    Cloud(#[from] CloudError),
}

/// A running controller. Dropping it stops it at once; nothing is lost by that.
pub struct Controller {
    handle: Handle,
    task: JoinHandle<()>,
}

impl Controller {
    /// How the rest of the server speaks to it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Whether its task has ended. It ends only when it is stopped or has panicked.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the controller: loads the records, asks who we are, and takes up what is in flight.
///
/// # Errors
/// [`StartError`]; then nothing was changed.
pub async fn start(
    cloud: Arc<dyn Cloud>,
    store: Arc<dyn Store>,
    config: FleetConfig,
) -> Result<Controller, StartError> {
    let records = load(&*store)?;
    let identity = cloud.identity().await?;
    let account = format!("{}/{}", identity.account, identity.region);
    let known = store.setting(ACCOUNT)?;
    let clock = Clock::start();
    let standing = standing::begin(&*store, clock.now())?;
    let another = match known {
        None => {
            store.set_setting(ACCOUNT, &account)?;
            None
        }
        Some(known) if known == account => None,
        Some(known) => Some(format!(
            "this installation belongs to {known}, but the credentials are of {account}: nothing \
             is changed; start the server with the credentials of {known}"
        )),
    };
    let catalogue = cloud.catalogue().await?;
    let (words, words_in) = mpsc::channel(MAX_WAITING_WORDS);
    let (events, _) = broadcast::channel(MAX_EVENTS_BEHIND);
    let (orders, orders_in) = mpsc::channel(MAX_WAITING_ORDERS);
    let view = View { installation: config.installation.0.clone(), ..View::default() };
    let view = Arc::new(RwLock::new(view));
    let catalogue_changed = Arc::new(Notify::new());
    let metrics = Arc::new(Metrics::new());
    let handle = Handle {
        words,
        orders,
        view: Arc::clone(&view),
        events: events.clone(),
        store: Arc::clone(&store),
        catalogue_changed: Arc::clone(&catalogue_changed),
        metrics: Arc::clone(&metrics),
    };
    let (inputs, inputs_in) = mpsc::unbounded_channel();
    let mut driver = Driver {
        fleet: Fleet::new(config),
        tap: Tap::new(metrics),
        clock,
        cloud,
        writer: Writer::start(Arc::clone(&store)),
        store,
        kept: standing.clone(),
        inputs,
        answers: BTreeMap::new(),
        next_word: 0,
        view,
        events,
        catalogue_changed,
    };
    driver.take(Input::Standing(standing));
    if let Some(why) = another {
        driver.take(Input::Freeze(Cause::Account, why));
    }
    driver.take(Input::Catalogue(catalogue));
    driver.take(Input::Loaded(records));
    let task = tokio::spawn(driver.run(words_in, orders_in, inputs_in));
    Ok(Controller { handle, task })
}

type Loaded = Vec<(NodeId, Result<Record, Unreadable>)>;

fn load(store: &dyn Store) -> Result<Loaded, StoreError> {
    let stored = store.load()?;
    Ok(stored
        .into_iter()
        .map(|s| {
            let record = match s.fault {
                Some(fault) => Err(RecordError::Damaged(fault.to_string())),
                None => versions::read(&s.json),
            };
            let another = || RecordError::Damaged("its revision or id is another's".to_owned());
            let record = record
                .and_then(|r| {
                    if r.revision == Some(s.revision) && r.id == s.node {
                        Ok(r)
                    } else {
                        Err(another())
                    }
                })
                .map_err(|e| Unreadable::of(&e, s.revision));
            if let Err(Unreadable { why, .. }) = &record {
                tracing::error!(node = %s.node, %why, "a node is stopped");
            }
            (s.node, record)
        })
        .collect())
}

/// Wall-clock time that never runs backwards while the process lives.
struct Clock {
    began: Instant,
    wall: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place where real time enters")]
    fn start() -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        Clock { began: Instant::now(), wall }
    }

    fn now(&self) -> Time {
        Time(self.wall + self.began.elapsed().as_millis() as u64)
    }
}

struct Driver {
    fleet: Fleet,
    tap: Tap,
    clock: Clock,
    cloud: Arc<dyn Cloud>,
    writer: Writer,
    store: Arc<dyn Store>,
    /// What is stored of the fleet as a whole.
    kept: Standing,
    /// Unbounded in type, bounded in fact: one message for each call, read and commit under way.
    inputs: mpsc::UnboundedSender<Input>,
    answers: BTreeMap<u64, oneshot::Sender<Result<Arc<Record>, Refusal>>>,
    next_word: u64,
    view: Arc<RwLock<View>>,
    events: broadcast::Sender<Event>,
    catalogue_changed: Arc<Notify>,
}

impl Driver {
    async fn run(
        mut self,
        mut words: mpsc::Receiver<Ask>,
        mut orders: mpsc::Receiver<Order>,
        mut inputs: mpsc::UnboundedReceiver<Input>,
    ) {
        self.keep_catalogue();
        let cloud = Arc::clone(&self.cloud);
        loop {
            let due = self.fleet.next_wake().since(self.clock.now());
            let input = tokio::select! {
                biased;
                Some(input) = inputs.recv() => input,
                Some(order) = orders.recv() => {
                    self.obey(order);
                    continue;
                }
                Some(ask) = words.recv() => {
                    self.next_word += 1;
                    self.answers.insert(self.next_word, ask.answer);
                    Input::Word(self.next_word, ask.word)
                }
                notice = cloud.notice() => Input::Noticed(notice),
                () = tokio::time::sleep(Duration::from_millis(due)) => Input::Tick,
                else => return,
            };
            self.take(input);
        }
    }

    /// Carries out what is said to the fleet as a whole, and answers it.
    fn obey(&mut self, order: Order) {
        match order {
            Order::Freeze(reason, answer) => {
                self.take(Input::Freeze(Cause::Asked, reason));
                let _ = answer.send(self.standing());
            }
            Order::Thaw(answer) => {
                self.take(Input::Thaw);
                let _ = answer.send(self.standing());
            }
            Order::Strays(answer) => {
                let looked = self.fleet.world().is_swept();
                let _ = answer.send(
                    looked.then(|| self.fleet.strays(self.clock.now())).ok_or_else(|| {
                        let why = "the first whole look at the cloud is not over";
                        Refusal::Unavailable(why.to_owned())
                    }),
                );
            }
        }
    }

    /// How the fleet stands, if that is durable.
    fn standing(&self) -> Result<Standing, Refusal> {
        let standing = self.fleet.standing();
        if &self.kept == standing {
            return Ok(standing.clone());
        }
        let why = "it holds for now, but could not be stored (see the server's log)";
        Err(Refusal::Unavailable(why.to_owned()))
    }

    fn take(&mut self, input: Input) {
        let now = self.clock.now();
        self.tap.hears(now, &input);
        let effects = self.fleet.handle(now, input);
        self.tap.sees(now, &effects, &self.fleet);
        self.keep_standing();
        let mut shown = std::collections::BTreeSet::new();
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Show(node) => {
                    shown.insert(node);
                }
                // Who has been answered must see at once what the answer says.
                answer @ Effect::Answer { .. } => answers.push(answer),
                other => self.carry_out(other),
            }
        }
        self.show(shown);
        for answer in answers {
            self.carry_out(answer);
        }
    }

    /// What concerns the fleet as a whole is durable before anything follows from it. It changes
    /// so rarely that waiting for the disk here does no harm.
    fn keep_standing(&mut self) {
        if &self.kept == self.fleet.standing() {
            return;
        }
        match standing::keep(&*self.store, self.fleet.standing()) {
            Ok(()) => self.kept = self.fleet.standing().clone(),
            // It is tried again at the next input; until then it holds in this process alone.
            Err(error) => tracing::error!(%error, "the fleet's standing could not be stored"),
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let inputs = self.inputs.clone();
        match effect {
            Effect::Commit { id, node, expected, record, events } => {
                self.commit(id, node, expected, record, events);
            }
            Effect::Call { calls } => {
                let cloud = Arc::clone(&self.cloud);
                let span = |c: &Departure| {
                    let record = self.fleet.record(&c.node);
                    trace::call(&c.node, record.as_deref(), c.row, c.command.action())
                };
                // Of several that leave together each has its own; they last until all have answered.
                let spans: Vec<Span> = calls.iter().map(span).collect();
                let first = spans.first().cloned().unwrap_or_else(Span::none);
                let work = async move {
                    let patience = calls.iter().map(|c| patience(&c.command)).max();
                    let (ids, commands): (Vec<u64>, Vec<Command>) =
                        calls.into_iter().map(|c| (c.id, c.command)).unzip();
                    let action = commands.first().map_or("nothing", Command::action);
                    let call = cloud.execute(commands);
                    let patience = patience.unwrap_or(CALL_TIMEOUT);
                    let results = match tokio::time::timeout(patience, call).await {
                        Ok(results) if results.len() == ids.len() => results,
                        Ok(_) => {
                            let why = "the cloud answered another batch";
                            ids.iter().map(|_| Err(unknown(action, why))).collect()
                        }
                        Err(_) => {
                            ids.iter().map(|_| Err(unknown(action, "no answer in time"))).collect()
                        }
                    };
                    for ((id, result), span) in ids.into_iter().zip(results).zip(spans) {
                        span.in_scope(|| tracing::debug!(done = result.is_ok(), "answered"));
                        let _ = inputs.send(Input::Replied(id, result));
                    }
                };
                tokio::spawn(work.instrument(first));
            }
            Effect::Observe { id, query } => {
                let cloud = Arc::clone(&self.cloud);
                tokio::spawn(async move {
                    let read = tokio::time::timeout(READ_TIMEOUT, cloud.observe(query));
                    let result = read
                        .await
                        .unwrap_or_else(|_| Err(unknown("Describe", "no answer in time")));
                    let _ = inputs.send(Input::Observed(id, result));
                });
            }
            Effect::Answer { id, answer } => {
                if let Some(sender) = self.answers.remove(&id) {
                    let _ = sender.send(answer);
                }
            }
            Effect::Show(_) => {}
        }
    }

    fn commit(
        &mut self,
        id: u64,
        node: NodeId,
        expected: u64,
        record: Option<Arc<Record>>,
        events: Vec<Event>,
    ) {
        let inputs = self.inputs.clone();
        let span = trace::commit(&node, record.as_deref());
        let json = record.map(|r| serde_json::to_string(&*r)).transpose();
        let json = match json {
            Ok(json) => json,
            Err(e) => {
                let _ = inputs.send(Input::Committed(id, Outcome::Failed(e.to_string())));
                return;
            }
        };
        let live = self.events.clone();
        let write = Write { node, expected, record: json, events: events.clone() };
        self.writer.submit(write, move |written| {
            let _within = span.entered();
            let outcome = match written {
                Ok(Written::Done) => {
                    for event in events {
                        log(&event);
                        let _ = live.send(event);
                    }
                    Outcome::Done
                }
                Ok(Written::Conflict { found }) => {
                    tracing::error!(found, expected, "a record was written by another process");
                    Outcome::Conflict
                }
                Err(error) => {
                    tracing::error!(%error, "a commit failed");
                    Outcome::Failed(error.to_string())
                }
            };
            let _ = inputs.send(Input::Committed(id, outcome));
        });
    }

    /// Reads the catalogue again from time to time, and when it is known to have changed.
    fn keep_catalogue(&self) {
        let cloud = Arc::clone(&self.cloud);
        let inputs = self.inputs.clone();
        let changed = Arc::clone(&self.catalogue_changed);
        tokio::spawn(async move {
            let mut pause = CATALOGUE_EVERY;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = changed.notified() => {}
                }
                pause = match cloud.catalogue().await {
                    Ok(catalogue) => {
                        if inputs.send(Input::Catalogue(catalogue)).is_err() {
                            return;
                        }
                        CATALOGUE_EVERY
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the catalogue could not be read");
                        CATALOGUE_RETRY
                    }
                };
            }
        });
    }

    /// Shows what has changed to those who only look.
    fn show(&self, nodes: std::collections::BTreeSet<NodeId>) {
        let views: Vec<_> = nodes
            .into_iter()
            .map(|node| {
                let stopped = self.fleet.stopped(&node).map(ToOwned::to_owned);
                let view = self.fleet.view(&node);
                (node, view, stopped)
            })
            .collect();
        let mut shown = self.view.write().unwrap_or_else(PoisonError::into_inner);
        for (node, view, stopped) in views {
            match view {
                Some(view) => shown.nodes.insert(node.clone(), view),
                None => shown.nodes.remove(&node),
            };
            match stopped {
                Some(why) => shown.stopped.insert(node, why),
                None => shown.stopped.remove(&node),
            };
        }
        if !Arc::ptr_eq(&shown.catalogue, &self.fleet.catalogue()) {
            shown.catalogue = self.fleet.catalogue();
        }
        if &shown.standing != self.fleet.standing() {
            shown.standing = self.fleet.standing().clone();
        }
        shown.ready = self.fleet.world().is_swept();
        shown.beliefs = self.fleet.beliefs(self.clock.now());
        shown.voluntary_per_hour = self.fleet.brake().most();
        shown.voluntary_begun = self.fleet.brake().begun();
    }
}

/// A drain takes as long as its script may; everything else should be answered soon.
fn patience(command: &Command) -> Duration {
    match command {
        Command::Drain { timeout_ms, .. } => CALL_TIMEOUT + Duration::from_millis(*timeout_ms),
        _ => CALL_TIMEOUT,
    }
}

fn unknown(action: &str, why: &str) -> CloudError {
    CloudError {
        class: ErrorClass::OutcomeUnknown,
        code: "OutcomeUnknown".to_owned(),
        message: format!("{action}: {why}"),
    }
}

fn log(event: &Event) {
    use holdfast_model::Severity;
    let Event { node, code, message, .. } = event;
    match event.severity {
        Severity::Debug => tracing::debug!(%node, %code, "{message}"),
        Severity::Info => tracing::info!(%node, %code, "{message}"),
        Severity::Warn => tracing::warn!(%node, %code, "{message}"),
        Severity::Error => tracing::error!(%node, %code, "{message}"),
    }
}
