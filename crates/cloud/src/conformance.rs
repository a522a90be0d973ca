//! What every cloud must do, as checks that run against any [`Cloud`]. A cloud's own tests call
//! [`run`] with a [`Subject`]; each check has a sentence for a name, and a failure says which.

mod checks;
mod limits;
mod network;
mod snapshots;

use crate::{BoxFuture, Cloud};
use holdfast_model::facts::{Fact, Query};
use holdfast_model::{AllocationId, CloudError, Command, ImageId, InstanceId, Market, Reply};
use std::sync::Arc;

/// A cloud under test, and how the suite does to it what the world would do.
pub struct Subject {
    /// The cloud.
    pub cloud: Arc<dyn Cloud>,
    /// A market with capacity.
    pub market: Market,
    /// A market in another zone.
    pub elsewhere: Market,
    /// An image to boot from.
    pub image: ImageId,
    /// Takes an instance back at once.
    pub interrupt: Box<dyn Fn(InstanceId) -> BoxFuture<'static, ()> + Send + Sync>,
    /// Sets whether the market has capacity.
    pub set_capacity: Box<dyn Fn(Market, bool) -> BoxFuture<'static, ()> + Send + Sync>,
    /// Allocates an Elastic IP, as a user does.
    pub allocate_address: Box<dyn Fn() -> BoxFuture<'static, AllocationId> + Send + Sync>,
    /// Lets a little time pass (virtual or real) before the suite looks again.
    pub pass_time: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

/// How often the suite looks before it gives up waiting.
const MAX_LOOKS: usize = 600;

impl Subject {
    async fn one(&self, command: Command) -> Result<Reply, CloudError> {
        let mut results = self.cloud.execute(vec![command.clone()]).await;
        assert_eq!(results.len(), 1, "one result per command, for {command:?}");
        results.remove(0)
    }

    async fn must(&self, command: Command) -> Reply {
        let shown = format!("{command:?}");
        for _ in 0..MAX_LOOKS {
            match self.one(command.clone()).await {
                Ok(reply) => return reply,
                Err(e) if e.class.is_definite() => panic!("{shown}: {e}"),
                Err(_) => (self.pass_time)().await,
            }
        }
        panic!("{shown}: never done");
    }

    async fn look(&self, id: &str) -> Option<Fact> {
        let kind = holdfast_model::facts::ResourceKind::of_id(id)?;
        let query = Query { kind, ids: vec![id.to_owned()], page: None };
        let page = match self.cloud.observe(query).await {
            Ok(page) => page,
            Err(e) => panic!("observing {id}: {e}"),
        };
        page.facts.into_iter().find(|f| f.id() == id)
    }

    /// Looks until the fact is as wished.
    async fn until(&self, id: &str, wish: &str, test: impl Fn(Option<&Fact>) -> bool) {
        let mut last = None;
        for _ in 0..MAX_LOOKS {
            last = self.look(id).await;
            if test(last.as_ref()) {
                return;
            }
            (self.pass_time)().await;
        }
        panic!("{id} never became {wish}; last seen: {last:?}");
    }
}

/// Runs every check, one after another; each cleans up what it made.
///
/// # Panics
/// At the first check that fails, with its name.
pub async fn run(subject: &Subject) {
    checks::all(subject).await;
}
