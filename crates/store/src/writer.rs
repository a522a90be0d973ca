//! One thread that writes for everybody. While one group is being flushed to the disk, further
//! writes gather; they become the next group. So many nodes share one flush.

use crate::{MAX_GROUP, Store, StoreError, Write, Written};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

/// The most writes that wait; further ones are refused at once.
pub const MAX_WAITING: usize = 10 * MAX_GROUP;

/// What errors of the writer name in place of a file.
const PATH: &str = "(its writer)";

type Done = Box<dyn FnOnce(Result<Written, StoreError>) + Send>;

struct Job {
    write: Write,
    done: Done,
}

#[derive(Default)]
struct Counters {
    writes: AtomicU64,
    groups: AtomicU64,
}

/// See the module. Dropping it is [`Writer::stop`].
pub struct Writer {
    /// `None` once stopped.
    queue: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_id: Option<ThreadId>,
    counters: Arc<Counters>,
}

impl Writer {
    /// Starts the thread. If the system allows no further thread, every write is refused.
    #[must_use]
    pub fn start(store: Arc<dyn Store>) -> Writer {
        let (sender, jobs) = sync_channel(MAX_WAITING);
        let counters = Arc::<Counters>::default();
        let counted = Arc::clone(&counters);
        let started = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work(store.as_ref(), &jobs, &counted));
        let (queue, thread) = match started {
            Ok(thread) => (Some(sender), Some(thread)),
            Err(e) => {
                tracing::error!(error = %e, "the store's writer could not be started");
                (None, None)
            }
        };
        let thread_id = thread.as_ref().map(|t| t.thread().id());
        Writer { queue: Mutex::new(queue), thread: Mutex::new(thread), thread_id, counters }
    }

    /// Hands over a write; never waits for the disk. `done` is called exactly once: on the
    /// writer's thread when the write is durable or has failed, in the order of submission. It
    /// must not block.
    ///
    /// If [`MAX_WAITING`] writes wait already, or the writer does not run (any more), `done` is
    /// called with [`StoreError::Failed`] before this returns, and nothing is written.
    pub fn submit(
        &self,
        write: Write,
        done: impl FnOnce(Result<Written, StoreError>) + Send + 'static,
    ) {
        let job = Job { write, done: Box::new(done) };
        let sent = match lock(&self.queue).as_ref() {
            Some(queue) => queue.try_send(job),
            None => Err(TrySendError::Disconnected(job)),
        };
        let (job, why) = match sent {
            Ok(()) => return,
            Err(TrySendError::Full(job)) => {
                (job, format!("{MAX_WAITING} writes wait already: the disk is slow; try again"))
            }
            Err(TrySendError::Disconnected(job)) => {
                (job, "it does not run; start the server again".to_owned())
            }
        };
        (job.done)(Err(StoreError::Failed { path: PATH.to_owned(), why }));
    }

    /// How many writes were taken from the queue for a commit since the start.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.counters.writes.load(Ordering::Acquire)
    }

    /// How many groups, each one transaction, these writes took.
    #[must_use]
    pub fn groups(&self) -> u64 {
        self.counters.groups.load(Ordering::Acquire)
    }

    /// Accepts no more, finishes what was accepted, and returns when all of it is answered. Called
    /// by a `done`, it returns at once, and the rest is finished afterwards.
    pub fn stop(&self) {
        drop(lock(&self.queue).take());
        if self.thread_id == Some(thread::current().id()) {
            return;
        }
        // Held while joining, so that a second caller waits as well.
        let mut handle = lock(&self.thread);
        if let Some(thread) = handle.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer ended by a panic");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The guarded values are replaced whole, so a panic elsewhere leaves them sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs until every sender is gone and the queue is empty.
fn work(store: &dyn Store, jobs: &Receiver<Job>, counters: &Counters) {
    while let Ok(first) = jobs.recv() {
        let mut writes = vec![first.write];
        let mut waiting = vec![first.done];
        while writes.len() < MAX_GROUP
            && let Ok(job) = jobs.try_recv()
        {
            writes.push(job.write);
            waiting.push(job.done);
        }
        // A panic must not end the thread: whoever waits would wait for ever.
        let outcome = catch_unwind(AssertUnwindSafe(|| store.commit(&writes)))
            .unwrap_or_else(|_| Err(failed("a commit panicked")));
        counters.writes.fetch_add(writes.len() as u64, Ordering::Release);
        counters.groups.fetch_add(1, Ordering::Release);
        let mut results = outcome.map(Vec::into_iter);
        for done in waiting {
            let result = match &mut results {
                Ok(written) => written.next().ok_or_else(|| failed("a write has no result")),
                Err(e) => Err(e.clone()),
            };
            if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
                tracing::error!("what was to follow a commit panicked");
            }
        }
    }
}

fn failed(why: &str) -> StoreError {
    StoreError::Failed { path: PATH.to_owned(), why: why.to_owned() }
}
