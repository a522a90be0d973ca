//! What the controller does, in numbers: for Prometheus, and whoever reads its format.
//!
//! The fleet knows nothing of this. A [`Tap`](crate::tap::Tap) sees what goes in and what comes out, and
//! counts.

pub(crate) mod blackout;
mod list;

pub use list::{LIST, Listed, Type, render};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// The type of what [`Metrics::text`] gives, for the header `Content-Type`.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds for what is answered by a machine, in seconds.
const ANSWERED: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 120.0];
/// Bounds for what a replacement takes, in seconds.
const REPLACED: [f64; 16] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0,
    3_600.0,
];

/// How a commit may end.
pub(crate) const OUTCOMES: [&str; 3] = ["done", "conflict", "failed"];

pub(crate) type Labels = Vec<(&'static str, String)>;
pub(crate) type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// A family of metrics, and what its labels are called.
pub(crate) struct Of<F> {
    family: F,
    labels: &'static [&'static str],
}

impl<F> Of<F> {
    /// The labels with these values, which stand in the order of the list.
    fn labels(&self, values: &[&str]) -> Labels {
        debug_assert_eq!(values.len(), self.labels.len());
        self.labels.iter().copied().zip(values.iter().map(|v| (*v).to_owned())).collect()
    }
}

impl Of<Family<Labels, Counter>> {
    pub(crate) fn add(&self, values: &[&str], more: u64) {
        self.family.get_or_create(&self.labels(values)).inc_by(more);
    }
}

impl Of<Family<Labels, Gauge>> {
    pub(crate) fn set(&self, values: &[&str], now: i64) {
        self.family.get_or_create(&self.labels(values)).set(now);
    }
}

impl Of<Family<Labels, Gauge<f64, AtomicU64>>> {
    pub(crate) fn set(&self, values: &[&str], now: f64) {
        self.family.get_or_create(&self.labels(values)).set(now);
    }
}

impl Of<Histograms> {
    /// Something took so many milliseconds.
    pub(crate) fn observe(&self, values: &[&str], millis: u64) {
        self.family.get_or_create(&self.labels(values)).observe(seconds(millis));
    }
}

/// Milliseconds as Prometheus has them.
pub(crate) fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

/// Every metric. What changes it is a [`Tap`](crate::tap::Tap).
pub struct Metrics {
    registry: Registry,
    pub(crate) nodes: Of<Family<Labels, Gauge>>,
    pub(crate) frozen: Of<Family<Labels, Gauge>>,
    pub(crate) replacements: Of<Family<Labels, Counter>>,
    pub(crate) blackout: Of<Histograms>,
    pub(crate) rows: Of<Histograms>,
    pub(crate) overtakes: Of<Family<Labels, Counter>>,
    pub(crate) calls: Of<Family<Labels, Counter>>,
    pub(crate) call_time: Of<Histograms>,
    pub(crate) calls_in_flight: Of<Family<Labels, Gauge>>,
    pub(crate) calls_waiting: Of<Family<Labels, Gauge>>,
    pub(crate) calls_later: Of<Family<Labels, Gauge>>,
    pub(crate) market_refusals: Of<Family<Labels, Counter>>,
    pub(crate) reads: Of<Family<Labels, Counter>>,
    pub(crate) read_time: Of<Histograms>,
    pub(crate) sweep_time: Of<Histograms>,
    pub(crate) swept_at: Of<Family<Labels, Gauge<f64, AtomicU64>>>,
    pub(crate) commits: Of<Family<Labels, Counter>>,
    pub(crate) commit_time: Of<Histograms>,
    pub(crate) commits_in_flight: Of<Family<Labels, Gauge>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// All of them, with nothing counted yet.
    #[must_use]
    pub fn new() -> Metrics {
        let mut registry = Registry::default();
        // In the order of the list.
        let build: Of<Family<Labels, Gauge>> = make(&mut registry, &list::BUILD);
        build.set(&[env!("CARGO_PKG_VERSION")], 1);
        let metrics = Metrics {
            nodes: make(&mut registry, &list::NODES),
            frozen: make(&mut registry, &list::FROZEN),
            replacements: make(&mut registry, &list::REPLACEMENTS),
            blackout: timed(&mut registry, &list::BLACKOUT, replaced),
            rows: timed(&mut registry, &list::ROWS, replaced),
            overtakes: make(&mut registry, &list::OVERTAKES),
            calls: make(&mut registry, &list::CALLS),
            call_time: timed(&mut registry, &list::CALL_TIME, answered),
            calls_in_flight: make(&mut registry, &list::CALLS_IN_FLIGHT),
            calls_waiting: make(&mut registry, &list::CALLS_WAITING),
            calls_later: make(&mut registry, &list::CALLS_LATER),
            market_refusals: make(&mut registry, &list::MARKET_REFUSALS),
            reads: make(&mut registry, &list::READS),
            read_time: timed(&mut registry, &list::READ_TIME, answered),
            sweep_time: timed(&mut registry, &list::SWEEP_TIME, answered),
            swept_at: make(&mut registry, &list::SWEPT_AT),
            commits: make(&mut registry, &list::COMMITS),
            commit_time: timed(&mut registry, &list::COMMIT_TIME, answered),
            commits_in_flight: make(&mut registry, &list::COMMITS_IN_FLIGHT),
            registry,
        };
        // A counter that is not there yet cannot be seen to grow.
        for result in OUTCOMES {
            metrics.commits.add(&[result], 0);
        }
        metrics.calls_later.set(&[], 0);
        metrics.commits_in_flight.set(&[], 0);
        metrics
    }

    /// All of them as text, in the format OpenMetrics 1.0 ([`CONTENT_TYPE`]).
    ///
    /// # Errors
    /// Never for these metrics: only a metric that cannot be written as text has one.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn answered() -> Histogram {
    Histogram::new(ANSWERED)
}

fn replaced() -> Histogram {
    Histogram::new(REPLACED)
}

fn make<M>(registry: &mut Registry, listed: &Listed) -> Of<Family<Labels, M>>
where
    Family<Labels, M>: prometheus_client::registry::Metric + Default + Clone,
{
    register(registry, listed, Family::default())
}

fn timed(registry: &mut Registry, listed: &Listed, new: fn() -> Histogram) -> Of<Histograms> {
    register(registry, listed, Family::new_with_constructor(new))
}

fn register<F>(registry: &mut Registry, listed: &Listed, family: F) -> Of<F>
where
    F: prometheus_client::registry::Metric + Clone,
{
    // The crate adds what a counter ends with, and the unit.
    let name = listed.name.trim_end_matches("_total");
    match name.strip_suffix("_seconds") {
        Some(name) => registry.register_with_unit(name, listed.says, Unit::Seconds, family.clone()),
        None => registry.register(name, listed.says, family.clone()),
    }
    Of { family, labels: listed.labels }
}
