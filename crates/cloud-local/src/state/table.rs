//! The open file, and a transaction in it.

use super::cells::{signed, sound_json, text};
use super::error::StateError;
use super::schema;
use crate::clock::now;
use crate::labels::{Label, Labels};
use crate::rows::Row;
use crate::sums;
use holdfast_model::Time;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a token is remembered after its use at least, in milliseconds: EC2 keeps those of
/// RunInstances for 24 hours after termination and more.
const TOKEN_MEMORY_MS: u64 = 7 * 24 * holdfast_model::time::HOUR;

/// The memory's file in the data directory.
pub(crate) const FILE: &str = "cloud.db";
/// The open file, and the labels that repeat it.
pub(crate) struct State {
    db: Mutex<Connection>,
    labels: Labels,
    /// Where the directories of instances are.
    nodes: PathBuf,
    /// Rows that were found damaged, with what is wrong.
    damaged: Mutex<BTreeMap<String, String>>,
}

impl State {
    /// Opens the memory of a data directory, whose labels are given.
    pub(crate) fn open(dir: &Path, labels: Labels) -> Result<State, StateError> {
        Self::open_file(&dir.join(FILE), &dir.join("nodes"), labels)
    }

    /// Opens a file by another name.
    pub(crate) fn open_file(
        path: &Path,
        nodes: &Path,
        labels: Labels,
    ) -> Result<State, StateError> {
        make_private(path).map_err(|cause| StateError::Label { path: path.to_owned(), cause })?;
        let db = Mutex::new(schema::open(path)?);
        Ok(State { db, labels, nodes: nodes.to_owned(), damaged: Mutex::default() })
    }

    /// The labels beside the images.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// An error with the labels, for `map_err`.
    pub(crate) fn label_error(&self, cause: std::io::Error) -> StateError {
        StateError::Label { path: self.labels.dir().to_owned(), cause }
    }

    /// The rows that were found damaged so far, with what is wrong with each.
    pub(crate) fn damaged(&self) -> BTreeMap<String, String> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A row is sound again, or given up.
    pub(crate) fn is_sound_again(&self, id: &str) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back: the connection is still sound.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction: committed if it succeeds, else as if it had not begun. Labels are
    /// written before it is committed.
    pub(crate) fn change<R, E: From<StateError>>(
        &self,
        work: impl FnOnce(&Table<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut db = self.lock();
        let tx = db
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StateError::from)?;
        let table =
            Table { tx, labels: &self.labels, changes: RefCell::default(), damaged: &self.damaged };
        let result = work(&table)?;
        let changes = table.changes.take();
        let fresh = self.labels.write(&changes.labels).map_err(|e| self.label_error(e))?;
        for label in &changes.instances {
            // It is of use to a later `local rebuild` only: no instance is kept from its work by it.
            let written = crate::labels::write_instance(&self.nodes.join(&label.id), label);
            if let Err(e) = written {
                tracing::warn!(instance = %label.id, error = %e, "its label was not written");
            }
        }
        if let Err(e) = table.tx.commit() {
            for id in fresh {
                self.forget_label(&id);
            }
            return Err(StateError::from(e).into());
        }
        changes.gone.iter().for_each(|id| self.forget_label(id));
        Ok(result)
    }

    /// A label that stays by mistake is removed at the next start, for its id is among those that are
    /// gone.
    fn forget_label(&self, id: &str) {
        if let Err(e) = self.labels.remove(id) {
            tracing::warn!(%id, error = %e, "its label was not removed");
        }
    }

    /// Runs `work` on one consistent view.
    pub(crate) fn look<R, E: From<StateError>>(
        &self,
        work: impl FnOnce(&Table<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut db = self.lock();
        let tx = db.transaction().map_err(StateError::from)?;
        work(&Table {
            tx,
            labels: &self.labels,
            changes: RefCell::default(),
            damaged: &self.damaged,
        })
    }
}

/// What a transaction asks of the labels.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) labels: Vec<Label>,
    pub(super) instances: Vec<Label>,
    pub(super) gone: Vec<String>,
}

/// The tables inside one transaction.
pub(crate) struct Table<'a> {
    pub(super) tx: Transaction<'a>,
    pub(super) labels: &'a Labels,
    pub(super) changes: RefCell<Changes>,
    pub(super) damaged: &'a Mutex<BTreeMap<String, String>>,
}

/// What the checksum of a row says of it.
pub(crate) struct Stored {
    pub(crate) id: String,
    /// What is wrong with it; `None`: nothing that its checksum shows.
    pub(crate) fault: Option<String>,
}

impl Table<'_> {
    /// The resource of that id.
    ///
    /// # Errors
    /// [`StateError::Row`] if its row is damaged.
    pub(crate) fn get<T: Row>(&self, id: &str) -> Result<Option<T>, StateError> {
        let kind = T::KIND.name();
        let found = self
            .tx
            .prepare_cached("SELECT json, sum FROM resources WHERE id = ?1 AND kind = ?2")?
            .query_row(params![id, kind], |row| Ok(parse(kind, id, row, 0)))
            .optional()?;
        found.transpose().map_err(|why| {
            self.note_damage(id, &why);
            StateError::Row { id: id.to_owned(), why }
        })
    }

    /// Every resource of a kind, by id. A damaged row hides no other: it is left out, and noted.
    pub(crate) fn all<T: Row>(&self) -> Result<Vec<T>, StateError> {
        let kind = T::KIND.name();
        let mut query = self
            .tx
            .prepare_cached("SELECT id, json, sum FROM resources WHERE kind = ?1 ORDER BY id")?;
        let mut rows = query.query([kind])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id = text(row, 0);
            match parse(kind, &id, row, 1) {
                Ok(sound) => found.push(sound),
                Err(why) => self.note_damage(&id, &why),
            }
        }
        Ok(found)
    }

    /// Every row, of whatever kind it says it is, with what is wrong with it.
    pub(crate) fn stored(&self) -> Result<Vec<Stored>, StateError> {
        let mut query =
            self.tx.prepare_cached("SELECT kind, id, json, sum FROM resources ORDER BY id")?;
        let mut rows = query.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (kind, id) = (text(row, 0), text(row, 1));
            let fault = sound_json(&kind, &id, row, 2).err();
            found.push(Stored { id, fault });
        }
        Ok(found)
    }

    pub(super) fn note_damage(&self, id: &str, why: &str) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        if damaged.insert(id.to_owned(), why.to_owned()).is_none() {
            tracing::error!(%id, %why, "a row of cloud.db is damaged; everything else goes on");
        }
    }

    /// Writes a resource, and its label before that is committed.
    pub(crate) fn put<T: Row>(&self, row: &T) -> Result<(), StateError> {
        let (id, kind) = (row.id(), T::KIND.name());
        let broken =
            |e: serde_json::Error| StateError::Row { id: id.to_owned(), why: e.to_string() };
        let json = serde_json::to_string(row).map_err(broken)?;
        self.put_json(kind, id, &json)?;
        if let Some(kept) = row.label() {
            let label = Label::new(kind, id, serde_json::to_value(&kept).map_err(broken)?);
            self.changes.borrow_mut().labels.push(label);
        }
        if let Some(instance) = row.instance() {
            self.relabel_instance(instance.as_str())?;
        }
        Ok(())
    }

    pub(super) fn put_json(&self, kind: &str, id: &str, json: &str) -> Result<(), StateError> {
        self.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO resources (kind, id, json, sum) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![kind, id, json, sums::of_row(kind, id, json.as_bytes())])?;
        Ok(())
    }

    /// The label of an instance holds its row and what interfaces it has.
    pub(crate) fn relabel_instance(&self, id: &str) -> Result<(), StateError> {
        if let Some(label) = self.label_of_instance(id)? {
            let mut changes = self.changes.borrow_mut();
            changes.instances.retain(|other| other.id != label.id);
            changes.instances.push(label);
        }
        Ok(())
    }

    /// Forgets a resource, and remembers that it is gone: a file of it that is found later is the rest
    /// of a deletion.
    pub(crate) fn delete<T: Row>(&self, id: &str) -> Result<(), StateError> {
        let gone = self
            .tx
            .prepare_cached("DELETE FROM resources WHERE id = ?1 AND kind = ?2")?
            .execute(params![id, T::KIND.name()])?;
        if gone > 0 {
            self.put_gone(id, now())?;
        }
        Ok(())
    }

    /// Remembers that something was deleted on purpose.
    pub(crate) fn put_gone(&self, id: &str, now: Time) -> Result<(), StateError> {
        self.tx
            .prepare_cached("INSERT OR REPLACE INTO gone (id, at) VALUES (?1, ?2)")?
            .execute(params![id, signed(now.0)])?;
        self.changes.borrow_mut().gone.push(id.to_owned());
        Ok(())
    }

    /// What was deleted and may have left files, with the time of the deletion.
    pub(crate) fn gone(&self) -> Result<BTreeMap<String, Time>, StateError> {
        let mut query = self.tx.prepare_cached("SELECT id, at FROM gone")?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, Time(row.get::<_, i64>(1)?.unsigned_abs())))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A deletion has left nothing.
    pub(crate) fn forget_gone(&self, id: &str) -> Result<(), StateError> {
        self.tx.execute("DELETE FROM gone WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Removes a row, whatever it is worth.
    pub(crate) fn give_up_row(&self, id: &str) -> Result<(), StateError> {
        self.tx.execute("DELETE FROM resources WHERE id = ?1", [id])?;
        self.tx.execute("DELETE FROM addresses WHERE id = ?1", [id])?;
        Ok(())
    }

    /// The ids of all rows, damaged ones included.
    pub(crate) fn ids(&self) -> Result<BTreeSet<String>, StateError> {
        let mut query = self.tx.prepare_cached("SELECT id FROM resources")?;
        let rows = query.query_map([], |row| Ok(text(row, 0)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The hash of the request, and the resource, of a token.
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

    /// The labels beside the images.
    pub(crate) fn labels(&self) -> &Labels {
        self.labels
    }
}

fn parse<T: Row>(
    kind: &str,
    id: &str,
    row: &rusqlite::Row<'_>,
    column: usize,
) -> Result<T, String> {
    let json = sound_json(kind, id, row, column)?;
    let sound: T = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    if sound.id() == id { Ok(sound) } else { Err(format!("it is the row of {}", sound.id())) }
}

/// Makes the file before SQLite would, so that it is never readable by others; its log takes over its
/// mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::set_permissions(&name, std::fs::Permissions::from_mode(0o600)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}
