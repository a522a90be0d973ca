//! The simulation behind the [`Cloud`] trait: time passes when it is told to.

use crate::cloud::SimCloud;
use crate::config::{ACCOUNT, REGION};
use holdfast_cloud::{BoxFuture, Cloud, Identity, Notice};
use holdfast_model::facts::{Page, Query};
use holdfast_model::market::Catalogue;
use holdfast_model::{CloudError, Command, Reply, Time};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// The most tasks that wait for a notice; a further one replaces the first.
const MAX_WAITING: usize = 64;

struct Inner {
    cloud: SimCloud,
    now: Time,
    notices: VecDeque<Notice>,
    waiting: VecDeque<Waker>,
}

/// A [`SimCloud`] behind the [`Cloud`] trait. Answers come at once, as of the handle's time, which
/// only [`SimCloudHandle::pass`] moves.
#[derive(Clone)]
pub struct SimCloudHandle {
    inner: Arc<Mutex<Inner>>,
}

impl SimCloudHandle {
    /// Takes the simulation over, at time zero.
    #[must_use]
    pub fn new(cloud: SimCloud) -> SimCloudHandle {
        let inner =
            Inner { cloud, now: Time(0), notices: VecDeque::new(), waiting: VecDeque::new() };
        SimCloudHandle { inner: Arc::new(Mutex::new(inner)) }
    }

    fn within<R>(&self, work: impl FnOnce(&mut Inner) -> R) -> R {
        // A test that failed while it held the lock leaves the simulation readable.
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The handle's time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.within(|inner| inner.now)
    }

    /// Does something with the simulation, at the handle's time.
    pub fn with<R>(&self, work: impl FnOnce(&mut SimCloud, Time) -> R) -> R {
        self.within(|inner| work(&mut inner.cloud, inner.now))
    }

    /// Lets so many milliseconds pass.
    pub fn pass(&self, millis: u64) {
        self.within(|inner| {
            inner.now = inner.now.plus(millis);
            inner.cloud.advance(inner.now);
            inner.notices.extend(inner.cloud.take_notices(inner.now));
            if !inner.notices.is_empty() {
                inner.waiting.drain(..).for_each(Waker::wake);
            }
        });
    }
}

impl Cloud for SimCloudHandle {
    fn identity(&self) -> BoxFuture<'_, Result<Identity, CloudError>> {
        Box::pin(async { Ok(Identity { account: ACCOUNT.to_owned(), region: REGION.to_owned() }) })
    }

    fn catalogue(&self) -> BoxFuture<'_, Result<Catalogue, CloudError>> {
        Box::pin(async { Ok(self.with(|cloud, _| cloud.catalogue())) })
    }

    fn observe(&self, query: Query) -> BoxFuture<'_, Result<Page, CloudError>> {
        Box::pin(async move { self.with(|cloud, now| cloud.observe(now, &query).1) })
    }

    fn execute(&self, batch: Vec<Command>) -> BoxFuture<'_, Vec<Result<Reply, CloudError>>> {
        Box::pin(async move {
            let answers = self.with(|cloud, now| cloud.call_together(now, batch));
            answers.into_iter().map(|scheduled| scheduled.result).collect()
        })
    }

    fn notice(&self) -> BoxFuture<'_, Notice> {
        Box::pin(std::future::poll_fn(|context| {
            self.within(|inner| match inner.notices.pop_front() {
                Some(notice) => Poll::Ready(notice),
                None => {
                    if inner.waiting.len() >= MAX_WAITING {
                        inner.waiting.pop_front();
                    }
                    inner.waiting.push_back(context.waker().clone());
                    Poll::Pending
                }
            })
        }))
    }
}
