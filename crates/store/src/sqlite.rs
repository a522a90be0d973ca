//! The store of a real server: one SQLite file in the data directory.
//!
//! Write-ahead log with `synchronous=FULL`: when [`SqliteStore::commit`] returns, the group is on
//! the disk (<https://sqlite.org/pragma.html#pragma_synchronous>). Reads go through a connection
//! of their own and so never wait for the writer.
//!
//! A commit that fails is not in the store. There is one exception, and callers lose nothing by
//! it: if the flush of the log fails and the machine stops before the next commit, the group may
//! be found after all when the store is opened again.

mod copies;
mod directory;
mod lock;
mod migrations;
mod sums;
mod writing;

use crate::{
    EventFilter, EventLimits, MAX_EVENTS_READ, Store, StoreError, StoredEvent, StoredRecord, Write,
    Written, check_group,
};
use holdfast_model::{Event, EventCode, NodeId, Time};
use lock::DirectoryLock;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, ffi, params};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use writing::WriteSide;

pub use copies::{DirectoryHold, copy};

/// The store's file in the data directory.
pub const FILE: &str = "holdfast.db";

/// The version of the file's schema that this program writes.
pub const VERSION: i64 = migrations::NEWEST;

/// How long a statement waits for another program that has the file open (a person's `sqlite3`).
const BUSY_PATIENCE: Duration = Duration::from_secs(2);

/// To how many bytes the log is cut back after it has grown.
const LOG_KEPT: i64 = 16 * 1024 * 1024;

/// See the module. Closing it (dropping) folds the log into the file and frees the directory.
pub struct SqliteStore {
    path: PathBuf,
    // Dropped in this order: the writer closes last of the two connections, because only a
    // connection that may write can fold the log in; then the directory is free.
    reader: Mutex<Connection>,
    writer: Mutex<WriteSide>,
    _lock: DirectoryLock,
}

impl SqliteStore {
    /// Opens the store of a data directory (made with mode 0700 if there is none), takes the
    /// directory for this process and brings an older file to the newest version.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another server has the directory, [`StoreError::Newer`] if a newer
    /// Holdfast wrote the file (which is then left as it is), [`StoreError::Full`] without room,
    /// else [`StoreError::Failed`].
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Self::open_with_limits(data_dir, EventLimits::default())
    }

    /// [`SqliteStore::open`], keeping other numbers of events.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with_limits(data_dir: &Path, limits: EventLimits) -> Result<Self, StoreError> {
        directory::make(data_dir)?;
        let lock = DirectoryLock::take(data_dir)?;
        let path = data_dir.join(FILE);
        // Only now, under the lock: closing a descriptor of a file drops the locks that SQLite
        // holds on it in this process.
        make_file(data_dir, &path).map_err(|e| io_error(&path, &e))?;

        let mut conn = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check_version(&conn, &path)?;
        prepare(&mut conn).map_err(|e| sqlite_error(&conn, &path, &e))?;
        let reader = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(Self {
            path,
            reader: Mutex::new(reader),
            writer: Mutex::new(WriteSide::new(conn, limits)),
            _lock: lock,
        })
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let conn = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        work(&conn).map_err(|e| sqlite_error(&conn, &self.path, &e))
    }

    /// Folds the log into the file and empties it, so that a copy of the file alone is a whole
    /// backup until the next commit. Closing does so too, but a process may end without it.
    ///
    /// # Errors
    /// If the disk refuses; nothing is lost by that.
    pub fn fold(&self) -> Result<(), StoreError> {
        self.write(|side| {
            // Answers one row: whether it was kept from it, and two counts.
            side.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        })
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&mut WriteSide) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        // A panic while it was held has rolled its transaction back.
        let mut side: MutexGuard<'_, WriteSide> =
            self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut side).map_err(|e| sqlite_error(&side.conn, &self.path, &e))
    }
}

impl Store for SqliteStore {
    fn load(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.read(|conn| {
            let mut query =
                conn.prepare_cached("SELECT node, revision, json, sum FROM records ORDER BY node")?;
            query.query_map([], record)?.collect()
        })
    }

    fn commit(&self, group: &[Write]) -> Result<Vec<Written>, StoreError> {
        check_group(&self.path.display().to_string(), group)?;
        self.write(|side| side.commit(group))
    }

    fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        let (from, to) = (integer(filter.from.0), integer(filter.to.0));
        let after = integer(filter.after);
        let limit = integer(filter.limit.min(MAX_EVENTS_READ) as u64);
        let mut newest: Vec<StoredEvent> = self.read(|conn| match &filter.node {
            Some(node) => conn
                .prepare_cached(
                    "SELECT sequence, node, at, json FROM events
                     WHERE node = ?5 AND sequence > ?1 AND at BETWEEN ?2 AND ?3
                     ORDER BY sequence DESC LIMIT ?4",
                )?
                .query_map(params![after, from, to, limit, node.as_str()], event)?
                .collect(),
            None => conn
                .prepare_cached(
                    "SELECT sequence, node, at, json FROM events
                     WHERE sequence > ?1 AND at BETWEEN ?2 AND ?3
                     ORDER BY sequence DESC LIMIT ?4",
                )?
                .query_map(params![after, from, to, limit], event)?
                .collect(),
        })?;
        newest.reverse();
        Ok(newest)
    }

    fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let found = self.read(|conn| {
            conn.prepare_cached("SELECT value, sum FROM settings WHERE name = ?1")?
                .query_row([name], |row| {
                    let value = row.get_ref(0)?.as_bytes()?;
                    let sound = sums::agrees(row, 1, &sums::of_setting(name, value))?;
                    Ok((String::from_utf8_lossy(value).into_owned(), sound))
                })
                .optional()
        })?;
        match found {
            Some((value, true)) => Ok(Some(value)),
            Some((_, false)) => {
                let why = format!(
                    "the setting {name} is damaged ({}); put a copy of the file back (docs/restore.md)",
                    sums::DAMAGED
                );
                Err(StoreError::Failed { path: self.path.display().to_string(), why })
            }
            None => Ok(None),
        }
    }

    fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.write(|side| side.set_setting(name, value))
    }
}

/// A row of `records`. Bytes that are not text are passed on as they can be shown: what the JSON
/// is worth is decided where its node can be stopped.
fn record(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    let node: String = row.get(0)?;
    let revision = row.get::<_, i64>(1)?.unsigned_abs();
    let json = row.get_ref(2)?.as_bytes()?;
    let sound = sums::agrees(row, 3, &sums::of_record(&node, revision, json))?;
    Ok(StoredRecord {
        node: NodeId(node),
        revision,
        json: String::from_utf8_lossy(json).into_owned(),
        fault: (!sound).then(|| sums::DAMAGED.to_owned()),
    })
}

/// A row of `events`. One that cannot be read is shown as such: it hides no other.
fn event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let sequence = row.get::<_, i64>(0)?.unsigned_abs();
    let event = match serde_json::from_slice(row.get_ref(3)?.as_bytes()?) {
        Ok(event) => event,
        Err(e) => {
            let at = Time(row.get::<_, i64>(2)?.unsigned_abs());
            let message = format!("event {sequence} of the store cannot be read: {e}");
            Event::new(at, NodeId(row.get(1)?), EventCode::UnreadableEvent, message)
        }
    };
    Ok(StoredEvent { sequence, event })
}

/// SQLite's integers are signed: what is beyond (292 million years, as an instant) becomes the
/// greatest.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Makes the file before SQLite would, so that it is never readable by others; the log takes over
/// its mode.
fn make_file(dir: &Path, path: &Path) -> io::Result<()> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    File::open(dir)?.sync_all()
}

fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, StoreError> {
    // Each connection is behind a mutex of ours.
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |e: &rusqlite::Error| StoreError::Failed {
        path: path.display().to_string(),
        why: e.to_string(),
    };
    let conn = Connection::open_with_flags(path, flags).map_err(|e| failed(&e))?;
    conn.busy_timeout(BUSY_PATIENCE).map_err(|e| failed(&e))?;
    Ok(conn)
}

/// Refuses a file that is not ours to change, without changing it.
fn check_version(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = || -> rusqlite::Result<(i64, bool)> {
        // Else closing it would already fold another version's log into its file.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok((migrations::version(conn)?, migrations::has_tables(conn)?))
    };
    let (found, has_tables) = read().map_err(|e| sqlite_error(conn, path, &e))?;
    let path = path.display().to_string();
    if found > migrations::NEWEST {
        return Err(StoreError::Newer { path, found, known: migrations::NEWEST });
    }
    if found < 0 || (found == 0 && has_tables) {
        let why = "it is a SQLite file of another program; give another --data-dir".to_owned();
        return Err(StoreError::Failed { path, why });
    }
    Ok(())
}

fn prepare(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let why = "its file system allows no write-ahead log (a network share?)".to_owned();
        return Err(rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_CANTOPEN),
            Some(why),
        ));
    }
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // This pragma answers with the value.
    conn.pragma_update_and_check(None, "journal_size_limit", LOG_KEPT, |_| Ok(()))?;
    migrations::run(conn)?;
    sums::fill(conn)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn io_error(path: &Path, error: &io::Error) -> StoreError {
    let path = path.display().to_string();
    if is_full(error) {
        return StoreError::Full { path };
    }
    StoreError::Failed { path, why: error.to_string() }
}

fn sqlite_error(conn: &Connection, path: &Path, error: &rusqlite::Error) -> StoreError {
    let full = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => true,
        // The log's index and new files report a full disk in this way.
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => is_full(&last_os_error(conn)),
        _ => false,
    };
    let path = path.display().to_string();
    if full {
        return StoreError::Full { path };
    }
    StoreError::Failed { path, why: error.to_string() }
}

/// What the system said when the connection last met an I/O error
/// (<https://sqlite.org/c3ref/system_errno.html>).
fn last_os_error(conn: &Connection) -> io::Error {
    // SAFETY: the handle is that of an open connection, which `conn` keeps open for the call.
    io::Error::from_raw_os_error(unsafe { ffi::sqlite3_system_errno(conn.handle()) })
}
