//! Copies of SQLite files while they are in use, and the directory's lock without its store.

use super::lock::DirectoryLock;
use super::{connect, io_error, sqlite_error};
use crate::StoreError;
use rusqlite::OpenFlags;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Copies a SQLite file as it is at one instant, whoever writes to it meanwhile, and checks the copy. The
/// copy has mode 0600 and is whole in itself, without a log. `target` must not exist.
///
/// # Errors
/// [`StoreError::Full`], or [`StoreError::Failed`] with the file and the reason; then there is no copy.
pub fn copy(source: &Path, target: &Path) -> Result<(), StoreError> {
    // Made here so that it is never readable by others: SQLite takes an empty file.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(target).map_err(|e| io_error(target, &e))?;
    let made = fill(source, target);
    if made.is_err() {
        // Best effort: the reason is what counts.
        let _ = std::fs::remove_file(target);
    }
    made
}

fn fill(source: &Path, target: &Path) -> Result<(), StoreError> {
    let from = connect(source, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let name = target.to_str().ok_or_else(|| StoreError::Failed {
        path: target.display().to_string(),
        why: "the name of a copy must be UTF-8".to_owned(),
    })?;
    // https://sqlite.org/lang_vacuum.html#vacuuminto: of one instant, in one read transaction.
    from.execute("VACUUM INTO ?1", [name]).map_err(|e| sqlite_error(&from, source, &e))?;
    let copied = connect(target, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let whole: String = copied
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|e| sqlite_error(&copied, target, &e))?;
    if whole != "ok" {
        let path = source.display().to_string();
        return Err(StoreError::Failed { path, why: format!("its copy is damaged: {whole}") });
    }
    File::open(target).and_then(|file| file.sync_all()).map_err(|e| io_error(target, &e))
}

/// A data directory held against servers, whatever its store is worth.
#[derive(Debug)]
pub struct DirectoryHold {
    _lock: DirectoryLock,
}

impl DirectoryHold {
    /// Takes the directory.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while a server has it.
    pub fn take(data_dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { _lock: DirectoryLock::take(data_dir)? })
    }
}
