//! Image files in the pool: made whole under a temporary name, cloned, renamed, deleted.

use super::error::StorageError;
use super::ioctl;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Shared images are copied in units of one block when written: larger ones make snapshots grow
/// several times as fast.
const COW_EXTENT_BYTES: u32 = 4096;
/// The longest id.
const MAX_ID: usize = 64;

/// An image being made. Unless it is kept, it goes when this value does (and, after a kill, when
/// the pool is opened again).
pub(super) struct Draft {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Draft {
    /// An empty sparse image.
    pub(super) fn new(directory: &Path, id: &str) -> Result<Draft, StorageError> {
        let path = directory.join(format!("{id}.{}", super::random::random_hex(8)?));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(StorageError::io("creating", &path))?;
        let draft = Draft { path, file, kept: false };
        ioctl::set_cow_extent_size(&draft.file, COW_EXTENT_BYTES)
            .map_err(StorageError::io("setting the copy-on-write unit of", &draft.path))?;
        Ok(draft)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it as long as this, with a hole at its end.
    pub(super) fn set_len(&self, bytes: u64) -> Result<(), StorageError> {
        self.file.set_len(bytes).map_err(StorageError::io("sizing", &self.path))
    }

    /// Makes it share all of another image, as that is at this instant.
    pub(super) fn clone_of(&self, source: &Path) -> Result<(), StorageError> {
        let opened = File::open(source).map_err(StorageError::io("opening", source))?;
        ioctl::clone_file(&opened, &self.file).map_err(StorageError::io("cloning", source))
    }

    /// Gives it its name, durably. A name that is taken is never replaced.
    pub(super) fn keep(mut self, target: &Path, id: &str) -> Result<(), StorageError> {
        self.file.sync_all().map_err(StorageError::io("syncing", &self.path))?;
        match renameat2(AT_FDCWD, &self.path, AT_FDCWD, target, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => self.kept = true,
            Err(nix::Error::EEXIST) => {
                return Err(StorageError::AlreadyExists { id: id.to_owned() });
            }
            Err(e) => return Err(StorageError::io("naming", target)(io::Error::from(e))),
        }
        sync_parent(target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // Best effort: the next opening of the pool removes it otherwise.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes an image durably; one that is gone is success.
pub(super) fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(StorageError::io("deleting", path)(e)),
    }
}

fn sync_parent(path: &Path) -> Result<(), StorageError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    File::open(parent).and_then(|d| d.sync_all()).map_err(StorageError::io("syncing", parent))
}

/// Refuses an id that is no plain file name.
pub(super) fn check_id(id: &str) -> Result<(), StorageError> {
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain && !id.is_empty() && id.len() <= MAX_ID {
        Ok(())
    } else {
        Err(StorageError::BadId { id: id.to_owned() })
    }
}
