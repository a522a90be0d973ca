//! Why the memory cannot be used.

use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// The version of the tables. A newer one is refused.
pub(super) const VERSION: u32 = 4;

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
    /// It was written by a newer version, and is left as it is.
    #[error(
        "{path} has version {found}, this holdfast knows up to {VERSION}; run the newer holdfast"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file is damaged.
    #[error(
        "{path} is damaged ({why}); nothing was changed. Make it anew from what is beside the images \
         with `holdfast local rebuild`, or put a copy back (see the backups in the data directory)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's word.
        why: String,
    },
    /// The file is missing, but not what it is about.
    #[error(
        "{path} is missing, but {what}; nothing was changed. Make it anew from what is beside the \
         images with `holdfast local rebuild`, or put a copy back (see the backups in the data \
         directory)"
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is there, as a clause.
        what: String,
    },
    /// A row cannot be read.
    #[error(
        "the row of {id} in cloud.db is damaged ({why}); everything else goes on, and nothing of \
         {id} is deleted. `holdfast local unaccounted list` says what can be done"
    )]
    Row {
        /// Whose row.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// A label cannot be written or read.
    #[error("the labels beside the images, {path}: {cause}")]
    Label {
        /// Their directory.
        path: PathBuf,
        /// The system's word.
        cause: std::io::Error,
    },
}

impl StateError {
    pub(super) fn of(path: &Path, cause: rusqlite::Error) -> StateError {
        let broken = matches!(
            cause.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        );
        let path = path.to_owned();
        match broken {
            true => StateError::Damaged { path, why: cause.to_string() },
            false => StateError::Sqlite { path, cause },
        }
    }

    /// Whether there is no space for a label.
    pub(crate) fn is_no_space(&self) -> bool {
        matches!(self, StateError::Label { cause, .. }
            if matches!(cause.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)))
    }
}

impl From<rusqlite::Error> for StateError {
    fn from(cause: rusqlite::Error) -> Self {
        StateError::of(Path::new("cloud.db"), cause)
    }
}
