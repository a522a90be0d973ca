//! Places for connections. Whoever has not shown the token yet is a *stranger*: strangers have few
//! places and little time, and where all are taken the next one takes the place of an earlier one.
//! With the first request that carries the token a connection becomes a *member's*, and moves to
//! places that no stranger can take. So nobody without the token can keep out somebody who has it.

use crate::limits::{MAX_MEMBERS, MAX_STRANGERS, STRANGER_TIME, WRITE_PATIENCE};
use std::collections::BTreeMap;
use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How many connections there may be, and for how long without progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most connections that have not shown the token.
    pub strangers: usize,
    /// By when a connection must have shown the token.
    pub stranger_time: Duration,
    /// Whether a newcomer takes the place of a stranger where all are taken; else it waits.
    pub makes_room: bool,
    /// The most connections that have shown the token.
    pub members: usize,
    /// How long an answer may stand without being read.
    pub write_patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            strangers: MAX_STRANGERS,
            stranger_time: STRANGER_TIME,
            makes_room: true,
            members: MAX_MEMBERS,
            write_patience: WRITE_PATIENCE,
        }
    }
}

/// Who sits where.
pub(crate) struct Places {
    bounds: Bounds,
    strangers: Arc<Semaphore>,
    members: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

/// The strangers, in the order in which they came.
#[derive(Default)]
struct Waiting {
    next: u64,
    by_number: BTreeMap<u64, Stranger>,
}

struct Stranger {
    origin: u128,
    /// Tells the connection to go; dropped, it tells that the connection is a member's.
    go: oneshot::Sender<()>,
}

impl Waiting {
    /// Sends the longest waiting stranger of the busiest origin away: an attack from one address
    /// costs the places of that address first.
    fn send_one_away(&mut self) {
        let mut counts: BTreeMap<u128, usize> = BTreeMap::new();
        for stranger in self.by_number.values() {
            *counts.entry(stranger.origin).or_default() += 1;
        }
        let most = counts.values().max().copied().unwrap_or(0);
        let first = self.by_number.iter().find(|(_, s)| counts.get(&s.origin) == Some(&most));
        let Some((&number, _)) = first else { return };
        if let Some(stranger) = self.by_number.remove(&number) {
            // One that has gone by itself needs no word.
            let _ = stranger.go.send(());
        }
    }
}

/// Where a peer is: its IPv4 address, or the network of 64 bits that one IPv6 host usually has to
/// itself (RFC 4291, section 2.5.4).
fn origin(peer: IpAddr) -> u128 {
    match peer.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    }
}

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Arc<Places> {
        Arc::new(Places {
            bounds,
            strangers: Arc::new(Semaphore::new(bounds.strangers)),
            members: Arc::new(Semaphore::new(bounds.members)),
            waiting: Mutex::default(),
        })
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// A stranger's place; where all are taken, one is made free. `None`: there will be no more.
    pub(crate) async fn seat(self: &Arc<Self>, peer: IpAddr) -> Option<(Arc<Seat>, Notice)> {
        if self.bounds.makes_room && self.strangers.available_permits() == 0 {
            self.waiting().send_one_away();
        }
        // Whoever is sent away leaves its place as soon as its task runs.
        let permit = Arc::clone(&self.strangers).acquire_owned().await.ok()?;
        let (go, told) = oneshot::channel();
        let number = {
            let mut waiting = self.waiting();
            let number = waiting.next;
            waiting.next += 1;
            waiting.by_number.insert(number, Stranger { origin: origin(peer), go });
            number
        };
        let seat = Seat { number, places: Arc::clone(self), held: Mutex::new((false, permit)) };
        Some((Arc::new(seat), Notice { told, time: self.bounds.stranger_time }))
    }

    /// What is guarded is changed in one step, so a panic elsewhere leaves it sound.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place; free again when it is dropped.
pub(crate) struct Seat {
    number: u64,
    places: Arc<Places>,
    /// Whether the place is a member's, and the place.
    held: Mutex<(bool, OwnedSemaphorePermit)>,
}

impl Seat {
    /// The connection has shown the token: it moves to a member's place, if it is not there
    /// already. `false`: all of them are taken, or it has just been sent away.
    pub(crate) fn becomes_a_members(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 {
            return true;
        }
        let Ok(permit) = Arc::clone(&self.places.members).try_acquire_owned() else { return false };
        if self.places.waiting().by_number.remove(&self.number).is_none() {
            return false;
        }
        *held = (true, permit);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.places.waiting().by_number.remove(&self.number);
    }
}

/// Tells a stranger's connection when it must go.
pub(crate) struct Notice {
    told: oneshot::Receiver<()>,
    time: Duration,
}

impl Notice {
    /// Ends when the stranger was sent away or its time is over; never for a member.
    pub(crate) async fn must_go(self) -> &'static str {
        match tokio::time::timeout(self.time, self.told).await {
            Ok(Ok(())) => "its place was needed",
            Err(_) => "it has shown no token in time",
            Ok(Err(_)) => pending().await,
        }
    }
}
