//! Giving space back: from a volume's filesystem to the pool, and from the pool to the disk.
//!
//! A file that a node deletes is gone for the node alone: its blocks stay in the volume's image until
//! the filesystem says that they are free (FITRIM), and what the pool has free stays in the pool's
//! file until the pool says so. The loop devices turn both into holes.
//!
//! Asked for now and then, and not by the mount option `discard`: with that, every commit of a node's
//! journal makes holes, and writing many small files took three quarters longer.

use super::loops::{LOOP_MAJOR, LoopDevice};
use super::{Pool, StorageError, ioctl, mounts};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// So much of a filesystem is gone through at a time, in bytes; between two steps others have their
/// turn.
const STEP_BYTES: u64 = 8 << 30;
/// Smaller free pieces are left alone as a rule, in bytes: each costs as much as a large one.
const WORTHWHILE_BYTES: u64 = 64 << 10;
/// Where every block counts: a block, in bytes.
const BLOCK_BYTES: u64 = 4 << 10;
/// Whoever is refused for want of space has everything looked through again only after so long.
const BETWEEN_RECLAIMS: Duration = Duration::from_secs(2);
/// XFS frees the blocks of a deleted file a little later: so long it is waited for that.
const AFTER_DELETION: Duration = Duration::from_millis(50);

impl Pool {
    /// Gives back to the disk what the pool has free; how many bytes it was told are free. Before
    /// each step `go_on` is asked, and may wait; `false` ends it.
    ///
    /// # Errors
    /// What the kernel says; a disk that cannot give space back is no error.
    pub fn trim_pool(&self, go_on: &mut dyn FnMut() -> bool) -> Result<u64, StorageError> {
        trim_at(&self.root(), WORTHWHILE_BYTES, go_on)
    }

    /// Gives back to the pool what the filesystems of mounted volumes have free. Bytes and `go_on` as
    /// for [`Pool::trim_pool`]. A volume whose filesystem has been given up is passed over.
    ///
    /// # Errors
    /// If the kernel's list of mounts cannot be read.
    pub fn trim_volumes(&self, go_on: &mut dyn FnMut() -> bool) -> Result<u64, StorageError> {
        self.trim_mounted(WORTHWHILE_BYTES, go_on)
    }

    fn trim_mounted(
        &self,
        least: u64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<u64, StorageError> {
        let mut given = 0_u64;
        for target in self.mounted_volumes()? {
            match trim_at(&target, least, go_on) {
                Ok(bytes) => given = given.saturating_add(bytes),
                Err(e) => tracing::debug!(error = %e, "what a volume has free stays with it"),
            }
        }
        Ok(given)
    }

    /// Gives back everything that can be, down to single blocks, before something is refused for want
    /// of space. What another thread has just done is not done again.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn reclaim(&self) -> Result<u64, StorageError> {
        // Holds an instant, which is whole even after a panic.
        let mut last = self.reclaimed.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < BETWEEN_RECLAIMS) {
            return Ok(0);
        }
        let done = self.reclaim_now();
        *last = Some(Instant::now());
        done
    }

    fn reclaim_now(&self) -> Result<u64, StorageError> {
        let mut go_on = || true;
        let in_volumes = self.trim_mounted(BLOCK_BYTES, &mut go_on)?;
        let root = self.root();
        let opened = File::open(&root).map_err(StorageError::io("opening", &root))?;
        nix::unistd::syncfs(&opened)
            .map_err(|e| StorageError::io("syncing", &root)(io::Error::from(e)))?;
        std::thread::sleep(AFTER_DELETION);
        let in_pool = trim_at(&root, BLOCK_BYTES, &mut go_on)?;
        tracing::info!(in_volumes, in_pool, "free blocks were given back, in bytes");
        Ok(in_volumes.saturating_add(in_pool))
    }

    /// Where volumes of this pool are mounted for the host.
    fn mounted_volumes(&self) -> Result<Vec<PathBuf>, StorageError> {
        let root = self.root();
        let pool = std::fs::metadata(&root).map_err(StorageError::io("looking at", &root))?.dev();
        let mut found = Vec::new();
        for mounted in mounts::below(self.dir())? {
            let of_loop = mounted.device.0 == LOOP_MAJOR && mounted.target != root;
            // What is being detached in this moment has no file any more.
            let backing = || LoopDevice(mounted.device.1).backing().ok().flatten();
            if of_loop && backing().is_some_and(|file| file.dev == pool) {
                found.push(mounted.target);
            }
        }
        Ok(found)
    }
}

/// Goes through one mounted filesystem.
fn trim_at(
    target: &Path,
    least: u64,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<u64, StorageError> {
    let opened = File::open(target).map_err(StorageError::io("opening", target))?;
    let stat = nix::sys::statvfs::fstatvfs(&opened)
        .map_err(|e| StorageError::io("asking for the size of", target)(io::Error::from(e)))?;
    let size = stat.blocks() * stat.fragment_size();
    let (mut start, mut given) = (0_u64, 0_u64);
    while start < size && go_on() {
        let next = start.saturating_add(STEP_BYTES);
        // The last step takes what the filesystem has beyond the size that it tells.
        let len = if next < size { STEP_BYTES } else { u64::MAX - start };
        match ioctl::trim(&opened, start, len, least) {
            Ok(bytes) => given = given.saturating_add(bytes),
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(given),
            Err(e) => return Err(StorageError::io("giving back what is free of", target)(e)),
        }
        start = next;
    }
    Ok(given)
}
