//! One server per data directory.

use crate::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The file that is locked, in the data directory. It holds nothing.
const FILE: &str = "holdfast.lock";

/// How often the lock is tried, and how long between two tries. A child that a killed server had
/// forked but that has not yet executed its program holds the lock for some milliseconds more.
const TRIES: usize = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// An exclusive `flock` on the data directory; the kernel releases it however the process ends.
/// The descriptor closes on exec (Rust's default), so children that outlive the server, such as
/// nodes, do not keep it.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let failed = |e: &std::io::Error| super::io_error(&path, e);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| failed(&e))?;
        for attempt in 1..=TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if attempt < TRIES => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(e)) => return Err(failed(&e)),
            }
        }
        Err(StoreError::InUse { dir: dir.display().to_string() })
    }
}
