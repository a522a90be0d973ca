//! What Holdfast needs of a cloud: [`Cloud`], and the [`conformance`] suite that every cloud is
//! held to.
//!
//! **Invariant:** no cloud knows a policy. It does what it is told, or refuses by its own rules.

pub mod conformance;
pub mod refusal;
pub mod request;

use holdfast_model::facts::{Page, Query};
use holdfast_model::market::Catalogue;
use holdfast_model::{CloudError, Command, InstanceId, Reply, Time};
use std::future::Future;
use std::pin::Pin;

/// A boxed future, so that [`Cloud`] is object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A hint that something happened. It only wakes: correctness rests on observing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The instance it is about.
    pub instance: InstanceId,
    /// When the cloud will take it back; `None`: something happened, go and look.
    pub interruption_at: Option<Time>,
}

/// Who Holdfast is to this cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account. If it is another one than before, nothing is changed until a person agrees.
    pub account: String,
    /// The region.
    pub region: String,
}

/// A cloud. All times are in milliseconds; every method may be called from many tasks at once.
pub trait Cloud: Send + Sync + 'static {
    /// Who we are.
    fn identity(&self) -> BoxFuture<'_, Result<Identity, CloudError>>;

    /// What the region offers.
    fn catalogue(&self) -> BoxFuture<'_, Result<Catalogue, CloudError>>;

    /// One page of what there is.
    ///
    /// With ids: those of them that exist (missing ones are left out, not an error). Without: what
    /// carries the tag `holdfast:installation`, whatever its value. Instances that were terminated
    /// are shown for a while.
    fn observe(&self, query: Query) -> BoxFuture<'_, Result<Page, CloudError>>;

    /// Carries out commands, each by itself; the results stand in the commands' order.
    fn execute(&self, batch: Vec<Command>) -> BoxFuture<'_, Vec<Result<Reply, CloudError>>>;

    /// The next hint. Pending for ever if the cloud has none. Cancel-safe.
    fn notice(&self) -> BoxFuture<'_, Notice>;
}
