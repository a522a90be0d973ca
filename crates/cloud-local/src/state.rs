//! The local cloud's memory: one SQLite file. What is durable here is what EC2 would remember;
//! what is attached, mounted or running is asked of the kernel.

use crate::rows::Row;
use holdfast_model::facts::ResourceKind;
use holdfast_model::{Lifecycle, Time};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The version of the tables. Another one is refused.
const VERSION: u32 = 3;
/// How long a token is remembered after its use at least, in milliseconds: EC2 keeps those of
/// RunInstances for 24 hours after termination and more.
const TOKEN_MEMORY_MS: u64 = 7 * 24 * holdfast_model::time::HOUR;

/// Why the memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite's word.
    #[error("{path}: {cause}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's word.
        cause: rusqlite::Error,
    },
    /// It was written by another version.
    #[error(
        "{path} has version {found}; this program reads {VERSION}. Use the program that wrote it"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A row cannot be read.
    #[error("the row of {id} in cloud.db cannot be read ({cause}); restore cloud.db from a copy")]
    Row {
        /// Whose row.
        id: String,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
}

impl From<rusqlite::Error> for StateError {
    fn from(cause: rusqlite::Error) -> Self {
        StateError::Sqlite { path: PathBuf::from("cloud.db"), cause }
    }
}

/// The open file.
pub(crate) struct State {
    db: Mutex<Connection>,
}

const TABLES: &str = "
CREATE TABLE resources (
    kind TEXT NOT NULL,
    id TEXT NOT NULL PRIMARY KEY,
    json TEXT NOT NULL
) STRICT;
CREATE INDEX resources_by_kind ON resources (kind, id);
CREATE TABLE tokens (
    token TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE TABLE markets (
    instance_type TEXT NOT NULL,
    zone TEXT NOT NULL,
    lifecycle TEXT NOT NULL,
    capacity INTEGER,
    hourly_usd REAL,
    quota INTEGER,
    PRIMARY KEY (instance_type, zone, lifecycle)
) STRICT;
";

/// What version 1 lacks.
const TO_VERSION_2: &str = "ALTER TABLE markets ADD COLUMN quota INTEGER;";
/// What version 2 lacks.
const TO_VERSION_3: &str = "
CREATE TABLE addresses (
    id TEXT NOT NULL PRIMARY KEY,
    public_ip TEXT NOT NULL UNIQUE
) STRICT;
";

impl State {
    pub(crate) fn open(path: &Path) -> Result<State, StateError> {
        let at = |cause| StateError::Sqlite { path: path.to_owned(), cause };
        let mut db = Connection::open(path).map_err(at)?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(at)?;
        db.pragma_update(None, "synchronous", "FULL").map_err(at)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(at)?;
        let found: u32 = tx.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(at)?;
        let scripts: &[&str] = match found {
            0 => &[TABLES, TO_VERSION_3],
            1 => &[TO_VERSION_2, TO_VERSION_3],
            2 => &[TO_VERSION_3],
            VERSION => &[],
            found => return Err(StateError::Version { path: path.to_owned(), found }),
        };
        for script in scripts {
            tx.execute_batch(script).map_err(at)?;
        }
        tx.pragma_update(None, "user_version", VERSION).map_err(at)?;
        tx.commit().map_err(at)?;
        Ok(State { db: Mutex::new(db) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back: the connection is still sound.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction: committed if it succeeds, else as if it had not begun.
    pub(crate) fn change<R, E: From<StateError>>(
        &self,
        work: impl FnOnce(&Table<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut db = self.lock();
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StateError::from)?;
        let table = Table { tx };
        let result = work(&table)?;
        table.tx.commit().map_err(StateError::from)?;
        Ok(result)
    }

    /// Runs `work` on one consistent view.
    pub(crate) fn look<R, E: From<StateError>>(
        &self,
        work: impl FnOnce(&Table<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut db = self.lock();
        let tx = db.transaction().map_err(StateError::from)?;
        work(&Table { tx })
    }
}

/// The tables inside one transaction.
pub(crate) struct Table<'a> {
    tx: Transaction<'a>,
}

/// What is set for a market.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct MarketRow {
    /// How many instances it takes; `None`: any number.
    pub(crate) capacity: Option<u32>,
    /// US dollars for an hour, if it is not the usual price.
    pub(crate) hourly_usd: Option<f64>,
    /// How many instances the account may have in it; `None`: any number.
    pub(crate) quota: Option<u32>,
}

impl Table<'_> {
    /// The resource of that id.
    pub(crate) fn get<T: Row>(&self, id: &str) -> Result<Option<T>, StateError> {
        let text: Option<String> = self
            .tx
            .prepare_cached("SELECT json FROM resources WHERE id = ?1 AND kind = ?2")?
            .query_row(params![id, kind_name(T::KIND)], |row| row.get(0))
            .optional()?;
        text.map(|t| parse(id, &t)).transpose()
    }

    /// Every resource of a kind, by id.
    pub(crate) fn all<T: Row>(&self) -> Result<Vec<T>, StateError> {
        let mut query =
            self.tx.prepare_cached("SELECT id, json FROM resources WHERE kind = ?1 ORDER BY id")?;
        let rows = query.query_map([kind_name(T::KIND)], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        let mut found = Vec::new();
        for row in rows {
            let (id, text) = row?;
            found.push(parse(&id, &text)?);
        }
        Ok(found)
    }

    /// Writes a resource.
    pub(crate) fn put<T: Row>(&self, row: &T) -> Result<(), StateError> {
        let id = row.id();
        let text = serde_json::to_string(row)
            .map_err(|cause| StateError::Row { id: id.to_owned(), cause })?;
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO resources (kind, id, json) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![kind_name(T::KIND), id, text])?;
        Ok(())
    }

    /// Forgets a resource.
    pub(crate) fn delete<T: Row>(&self, id: &str) -> Result<(), StateError> {
        self.tx
            .prepare_cached("DELETE FROM resources WHERE id = ?1 AND kind = ?2")?
            .execute(params![id, kind_name(T::KIND)])?;
        Ok(())
    }

    /// The request and the resource of a token.
    pub(crate) fn token(&self, token: &str) -> Result<Option<(String, String)>, StateError> {
        Ok(self
            .tx
            .prepare_cached("SELECT request, id FROM tokens WHERE token = ?1")?
            .query_row([token], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    /// Remembers a token.
    pub(crate) fn put_token(
        &self,
        token: &str,
        request: &str,
        id: &str,
        now: Time,
    ) -> Result<(), StateError> {
        self.tx.execute(
            "INSERT INTO tokens (token, request, id, at) VALUES (?1, ?2, ?3, ?4)",
            params![token, request, id, signed(now.0)],
        )?;
        Ok(())
    }

    /// Forgets the tokens of a creation that came to nothing.
    pub(crate) fn delete_tokens_of(&self, id: &str) -> Result<(), StateError> {
        self.tx.execute("DELETE FROM tokens WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Forgets old tokens whose resource is gone.
    pub(crate) fn prune_tokens(&self, now: Time) -> Result<(), StateError> {
        let before = signed(now.0.saturating_sub(TOKEN_MEMORY_MS));
        self.tx.execute(
            "DELETE FROM tokens WHERE at < ?1 AND id NOT IN (SELECT id FROM resources)",
            [before],
        )?;
        Ok(())
    }

    /// Every Elastic IP: its allocation and its address, by allocation.
    pub(crate) fn addresses(&self) -> Result<Vec<(String, String)>, StateError> {
        let mut query =
            self.tx.prepare_cached("SELECT id, public_ip FROM addresses ORDER BY id")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The address of an Elastic IP.
    pub(crate) fn address(&self, id: &str) -> Result<Option<String>, StateError> {
        Ok(self
            .tx
            .prepare_cached("SELECT public_ip FROM addresses WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?)
    }

    /// Remembers an Elastic IP.
    pub(crate) fn put_address(&self, id: &str, public_ip: &str) -> Result<(), StateError> {
        self.tx.execute(
            "INSERT INTO addresses (id, public_ip) VALUES (?1, ?2)",
            params![id, public_ip],
        )?;
        Ok(())
    }

    /// Forgets an Elastic IP.
    pub(crate) fn delete_address(&self, id: &str) -> Result<(), StateError> {
        self.tx.execute("DELETE FROM addresses WHERE id = ?1", [id])?;
        Ok(())
    }

    /// What is set for a market.
    pub(crate) fn market(
        &self,
        instance_type: &str,
        zone: &str,
        lifecycle: Lifecycle,
    ) -> Result<MarketRow, StateError> {
        let found = self
            .tx
            .prepare_cached(
                "SELECT capacity, hourly_usd, quota FROM markets
                 WHERE instance_type = ?1 AND zone = ?2 AND lifecycle = ?3",
            )?
            .query_row(params![instance_type, zone, lifecycle.to_string()], |row| {
                Ok(MarketRow { capacity: row.get(0)?, hourly_usd: row.get(1)?, quota: row.get(2)? })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    /// Sets a market.
    pub(crate) fn put_market(
        &self,
        instance_type: &str,
        zone: &str,
        lifecycle: Lifecycle,
        row: MarketRow,
    ) -> Result<(), StateError> {
        self.tx.execute(
            "INSERT OR REPLACE INTO markets (instance_type, zone, lifecycle, capacity, hourly_usd, quota)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                instance_type,
                zone,
                lifecycle.to_string(),
                row.capacity,
                row.hourly_usd,
                row.quota
            ],
        )?;
        Ok(())
    }
}

fn parse<T: Row>(id: &str, text: &str) -> Result<T, StateError> {
    serde_json::from_str(text).map_err(|cause| StateError::Row { id: id.to_owned(), cause })
}

fn kind_name(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Instance => "instance",
        ResourceKind::Volume => "volume",
        ResourceKind::Snapshot => "snapshot",
        ResourceKind::Image => "image",
        ResourceKind::Interface => "interface",
    }
}

/// SQLite's integers are signed; an instant in milliseconds fits until the year 292 million.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of version 1, as they were.
    const VERSION_1: &str = "
        CREATE TABLE resources (
            kind TEXT NOT NULL, id TEXT NOT NULL PRIMARY KEY, json TEXT NOT NULL
        ) STRICT;
        CREATE INDEX resources_by_kind ON resources (kind, id);
        CREATE TABLE tokens (
            token TEXT NOT NULL PRIMARY KEY, request TEXT NOT NULL, id TEXT NOT NULL,
            at INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE markets (
            instance_type TEXT NOT NULL, zone TEXT NOT NULL, lifecycle TEXT NOT NULL,
            capacity INTEGER, hourly_usd REAL, PRIMARY KEY (instance_type, zone, lifecycle)
        ) STRICT;
        INSERT INTO markets VALUES ('t3.micro', 'local-1a', 'spot', 3, 0.5);
        PRAGMA user_version = 1;
    ";

    #[test]
    fn a_memory_of_version_1_is_read_and_keeps_what_was_set() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cloud.db");
        Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
        for _ in 0..2 {
            let state = State::open(&path).unwrap();
            let row = state.look(|t| t.market("t3.micro", "local-1a", Lifecycle::Spot)).unwrap();
            let expected = MarketRow { capacity: Some(3), hourly_usd: Some(0.5), quota: None };
            assert_eq!(row, expected);
        }
    }
}
