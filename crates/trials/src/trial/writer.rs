//! A writer outside the nodes: it journals an id only after the server has acknowledged it, and
//! remembers when. What it journalled must be there at the end.

use super::journal::{Acknowledge, Journal, lock};
use super::patience::Patience;
use super::workload::Workload;
use holdfast_cloud_local::network;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pause between attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(5);

/// A write that was acknowledged and is not there.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    /// Which one.
    pub id: u64,
    /// When the server said that it has it.
    pub acknowledged_at: Instant,
}

/// A running writer.
pub struct Writer {
    journal: Arc<Mutex<Journal>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    workload: Workload,
    address: Arc<Mutex<Ipv4Addr>>,
}

impl Writer {
    /// Starts writing to a server inside the nodes' network.
    pub fn start(
        data_dir: &Path,
        workload: Workload,
        address: Ipv4Addr,
        patience: Patience,
    ) -> Writer {
        Writer::paced(data_dir, workload, address, patience, Duration::ZERO)
    }

    /// The same, with a pause after each write.
    pub fn paced(
        data_dir: &Path,
        workload: Workload,
        address: Ipv4Addr,
        patience: Patience,
        pause: Duration,
    ) -> Writer {
        let address = Arc::new(Mutex::new(address));
        let at = Arc::clone(&address);
        let journal = Arc::new(Mutex::new(Journal::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (to, until, dir) = (Arc::clone(&journal), Arc::clone(&stop), data_dir.to_owned());
        let thread = std::thread::spawn(move || {
            let outcome = network::in_fabric(&dir, {
                let to = Arc::clone(&to);
                move || write(workload, &at, patience, pause, &to, &until)
            });
            if let Err(error) = outcome {
                lock(&to).last_error = Some(error.to_string());
            }
        });
        Writer { journal, stop, thread: Some(thread), workload, address }
    }

    /// From the next connection on it writes to this address: the node has moved.
    pub fn goes_to(&self, address: Ipv4Addr) {
        *lock(&self.address) = address;
    }

    /// The first acknowledgement after `since`.
    pub fn first_ack_after(&self, since: Instant) -> Option<Instant> {
        let journal = lock(&self.journal);
        let first = journal.times.partition_point(|at| *at <= since);
        journal.times.get(first).copied()
    }

    /// How many ids have been acknowledged.
    pub fn acked(&self) -> usize {
        lock(&self.journal).ids.len()
    }

    /// When the last id was acknowledged.
    pub fn last_ack(&self) -> Option<Instant> {
        lock(&self.journal).times.last().copied()
    }

    /// What went wrong last.
    pub fn last_error(&self) -> Option<String> {
        lock(&self.journal).last_error.clone()
    }

    /// The longest time without an acknowledgement that ended after `since`: its two ends.
    pub fn longest_gap(&self, since: Instant) -> Option<(Instant, Instant)> {
        let journal = lock(&self.journal);
        let pairs = journal.times.windows(2).filter(|pair| pair[1] > since);
        pairs.max_by_key(|pair| pair[1] - pair[0]).map(|pair| (pair[0], pair[1]))
    }

    /// Stops writing and reads everything back: how many ids were acknowledged, and those of them
    /// that are not there.
    pub fn finish(mut self, data_dir: &Path) -> Result<(usize, Vec<Lost>), String> {
        self.end()?;
        self.compare(data_dir)
    }

    /// Stops writing.
    pub fn end(&mut self) -> Result<(), String> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| "the writer panicked".to_owned())
    }

    /// Reads everything back: how many ids were acknowledged, and those of them that are not there.
    pub fn compare(&self, data_dir: &Path) -> Result<(usize, Vec<Lost>), String> {
        let (workload, address) = (self.workload, *lock(&self.address));
        let found = network::in_fabric(data_dir, move || workload.read_back(address))
            .map_err(|e| e.to_string())??;
        let journal = lock(&self.journal);
        let all = journal.ids.iter().zip(&journal.times);
        let lost = all.filter(|(id, _)| !found.contains(id));
        let lost = lost.map(|(id, at)| Lost { id: *id, acknowledged_at: *at }).collect();
        Ok((journal.ids.len(), lost))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn write(
    workload: Workload,
    address: &Mutex<Ipv4Addr>,
    patience: Patience,
    pause: Duration,
    journal: &Mutex<Journal>,
    stop: &AtomicBool,
) {
    let mut acknowledge = Acknowledge::new(journal, stop, pause);
    while !stop.load(Ordering::Relaxed) {
        let address = *lock(address);
        if let Err(error) = workload.write(address, patience, &mut acknowledge) {
            lock(journal).last_error = Some(error);
        }
        std::thread::sleep(RECONNECT_PAUSE);
    }
}
