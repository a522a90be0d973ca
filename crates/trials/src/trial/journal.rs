//! What servers have acknowledged: it is written down after that, never before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What was acknowledged, and when.
#[derive(Debug, Default)]
pub struct Journal {
    /// The ids, in the order in which they were acknowledged.
    pub ids: Vec<u64>,
    /// When each of them was.
    pub times: Vec<Instant>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// What is shared with a thread; it is whole after each step.
pub fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a client asks for the next id and says that it was acknowledged.
pub struct Acknowledge<'a> {
    journal: &'a Mutex<Journal>,
    stop: &'a AtomicBool,
    pause: Duration,
    next: u64,
}

impl<'a> Acknowledge<'a> {
    /// From the first id on, until told to stop, with a pause after each.
    pub fn new(journal: &'a Mutex<Journal>, stop: &'a AtomicBool, pause: Duration) -> Self {
        Acknowledge { journal, stop, pause, next: 1 }
    }

    /// The id to be written next: the same until it is acknowledged. `None`: that is enough.
    pub fn next(&self) -> Option<u64> {
        (!self.stop.load(Ordering::Relaxed)).then_some(self.next)
    }

    /// The server has acknowledged the id: it is journalled after that, never before.
    pub fn acknowledged(&mut self) {
        let now = Instant::now();
        {
            let mut journal = lock(self.journal);
            journal.ids.push(self.next);
            journal.times.push(now);
        }
        self.next += 1;
        if !self.pause.is_zero() {
            std::thread::sleep(self.pause);
        }
    }
}
