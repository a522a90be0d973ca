//! A writer outside the nodes: it journals an id only after the server has acknowledged it, and
//! remembers when. What it journalled must be there at the end.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holdfast_cloud_local::network;

/// After this long without an answer the writer gives up a connection: a machine without power
/// does not say goodbye.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
/// Pause between attempts to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(5);
/// How long reading everything back may take.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Which protocol a writer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// PostgreSQL: one INSERT per id.
    Postgres,
    /// Redis: one SADD per id.
    Redis,
}

/// What was acknowledged, and when.
#[derive(Debug, Default)]
pub struct Journal {
    ids: Vec<u64>,
    times: Vec<Instant>,
    last_error: Option<String>,
}

/// A running writer.
pub struct Writer {
    journal: Arc<Mutex<Journal>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    protocol: Protocol,
    address: Ipv4Addr,
}

impl Writer {
    /// Starts writing to a server inside the nodes' network.
    pub fn start(data_dir: &Path, protocol: Protocol, address: Ipv4Addr) -> Writer {
        let journal = Arc::new(Mutex::new(Journal::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (to, until, dir) = (Arc::clone(&journal), Arc::clone(&stop), data_dir.to_owned());
        let thread = std::thread::spawn(move || {
            let outcome = network::in_fabric(&dir, {
                let to = Arc::clone(&to);
                move || write(protocol, address, &to, &until)
            });
            if let Err(error) = outcome {
                lock(&to).last_error = Some(error.to_string());
            }
        });
        Writer { journal, stop, thread: Some(thread), protocol, address }
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

    /// The longest time without an acknowledgement that ended after `since`.
    pub fn longest_gap(&self, since: Instant) -> Duration {
        let journal = lock(&self.journal);
        let pairs = journal.times.windows(2).filter(|pair| pair[1] > since);
        pairs.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Stops writing and reads everything back: how many ids were acknowledged, and how many of
    /// them are not there.
    pub fn finish(mut self, data_dir: &Path) -> Result<(usize, usize), String> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| "the writer panicked".to_owned())?;
        }
        let (protocol, address) = (self.protocol, self.address);
        let found = network::in_fabric(data_dir, move || read_back(protocol, address))
            .map_err(|e| e.to_string())??;
        let journal = lock(&self.journal);
        let lost = journal.ids.iter().filter(|id| !found.contains(id)).count();
        Ok((journal.ids.len(), lost))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(protocol: Protocol, address: Ipv4Addr, journal: &Mutex<Journal>, stop: &AtomicBool) {
    let mut next = 1;
    while !stop.load(Ordering::Relaxed) {
        let outcome = match protocol {
            Protocol::Postgres => write_postgres(address, journal, stop, &mut next),
            Protocol::Redis => write_redis(address, journal, stop, &mut next),
        };
        if let Err(error) = outcome {
            lock(journal).last_error = Some(error);
        }
        std::thread::sleep(RECONNECT_PAUSE);
    }
}

/// An id is journalled after its acknowledgement, never before.
fn acknowledged(journal: &Mutex<Journal>, next: &mut u64) {
    let now = Instant::now();
    let mut journal = lock(journal);
    journal.ids.push(*next);
    journal.times.push(now);
    *next += 1;
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())
}

async fn postgres(address: Ipv4Addr) -> Result<tokio_postgres::Client, String> {
    let mut config = tokio_postgres::Config::new();
    config.host(address.to_string()).user("postgres").dbname("postgres");
    let connect = config.connect(tokio_postgres::NoTls);
    let (client, connection) = tokio::time::timeout(ANSWER_TIMEOUT, connect)
        .await
        .map_err(|_| "no answer to a connection".to_owned())?
        .map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(client)
}

fn write_postgres(
    address: Ipv4Addr,
    journal: &Mutex<Journal>,
    stop: &AtomicBool,
    next: &mut u64,
) -> Result<(), String> {
    runtime()?.block_on(async {
        let client = postgres(address).await?;
        let patient = |e: tokio_postgres::Error| e.to_string();
        client
            .batch_execute("CREATE TABLE IF NOT EXISTS acked (id bigint PRIMARY KEY)")
            .await
            .map_err(patient)?;
        let insert = client
            .prepare("INSERT INTO acked (id) VALUES ($1) ON CONFLICT DO NOTHING")
            .await
            .map_err(patient)?;
        while !stop.load(Ordering::Relaxed) {
            let id = i64::try_from(*next).map_err(|e| e.to_string())?;
            tokio::time::timeout(ANSWER_TIMEOUT, client.execute(&insert, &[&id]))
                .await
                .map_err(|_| "no answer to a write".to_owned())?
                .map_err(patient)?;
            acknowledged(journal, next);
        }
        Ok(())
    })
}

fn redis(address: Ipv4Addr, timeout: Duration) -> Result<redis::Connection, String> {
    let client = redis::Client::open((address.to_string(), 6379)).map_err(|e| e.to_string())?;
    let connection =
        client.get_connection_with_timeout(ANSWER_TIMEOUT).map_err(|e| e.to_string())?;
    connection.set_read_timeout(Some(timeout)).map_err(|e| e.to_string())?;
    connection.set_write_timeout(Some(timeout)).map_err(|e| e.to_string())?;
    Ok(connection)
}

fn write_redis(
    address: Ipv4Addr,
    journal: &Mutex<Journal>,
    stop: &AtomicBool,
    next: &mut u64,
) -> Result<(), String> {
    let mut connection = redis(address, ANSWER_TIMEOUT)?;
    while !stop.load(Ordering::Relaxed) {
        let _: () = redis::cmd("SADD")
            .arg("acked")
            .arg(*next)
            .query(&mut connection)
            .map_err(|e| e.to_string())?;
        acknowledged(journal, next);
    }
    Ok(())
}

/// Everything that the server has.
fn read_back(protocol: Protocol, address: Ipv4Addr) -> Result<BTreeSet<u64>, String> {
    match protocol {
        Protocol::Postgres => runtime()?.block_on(async {
            let client = postgres(address).await?;
            let rows =
                tokio::time::timeout(READ_TIMEOUT, client.query("SELECT id FROM acked", &[]))
                    .await
                    .map_err(|_| "reading back took too long".to_owned())?
                    .map_err(|e| e.to_string())?;
            let ids = rows.iter().map(|row| row.get::<_, i64>(0));
            Ok(ids.filter_map(|id| u64::try_from(id).ok()).collect())
        }),
        Protocol::Redis => {
            let mut connection = redis(address, READ_TIMEOUT)?;
            let ids: Vec<u64> = redis::cmd("SMEMBERS")
                .arg("acked")
                .query(&mut connection)
                .map_err(|e| e.to_string())?;
            Ok(ids.into_iter().collect())
        }
    }
}
