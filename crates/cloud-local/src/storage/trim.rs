//! Giving space back: from a volume's filesystem to the pool, and from the pool to the disk.
//!
//! A file that a node deletes is gone for the node alone: its blocks stay in the volume's image until
//! the filesystem says that they are free (FITRIM), and what the pool has free stays in the pool's
//! file until the pool says so. The loop devices turn both into holes.
//!
//! Asked for now and then, and not by the mount option `discard`: with that, every commit of a node's
//! journal makes holes, and writing many small files took three quarters longer.
//!
//! What a filesystem calls free need not be free: when its journal cannot be written any more, ext4
//! takes the last deletions for done, and the next mount brings the files back. So a volume is trimmed
//! only while its filesystem stands still, which it does only after everything is in its journal.

use super::error::StorageError;
use super::loops::{LOOP_MAJOR, LoopDevice};
use super::pool::Pool;
use super::{ioctl, mounts};
use holdfast_agent::Standstill;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// So much of a filesystem is gone through at a time, in bytes; between two steps others have their
/// turn.
const STEP_BYTES: u64 = 8 << 30;
/// So much of a volume is gone through at a time, in bytes: its node stands still meanwhile.
const STILL_STEP_BYTES: u64 = 4 << 30;
/// Smaller free pieces are left alone as a rule, in bytes: each costs as much as a large one.
const WORTHWHILE_BYTES: u64 = 64 << 10;
/// Where every block counts: a block, in bytes.
const BLOCK_BYTES: u64 = 4 << 10;
/// Whoever is refused for want of space has everything looked through again only after so long.
const BETWEEN_RECLAIMS: Duration = Duration::from_secs(2);
/// XFS frees the blocks of a deleted file a little later: so long it is waited for that.
const AFTER_DELETION: Duration = Duration::from_millis(50);

const GIVING: &str = "giving back what is free of";
const STANDING: &str = "holding still";

impl Pool {
    /// Gives back to the disk what the pool has free; how many bytes it was told are free. Before
    /// each step `go_on` is asked, and may wait; `false` ends it.
    ///
    /// # Errors
    /// What the kernel says; a disk that cannot give space back is no error.
    pub fn trim_pool(&self, go_on: &mut dyn FnMut() -> bool) -> Result<u64, StorageError> {
        self.trim_root(WORTHWHILE_BYTES, go_on)
    }

    fn trim_root(&self, least: u64, go_on: &mut dyn FnMut() -> bool) -> Result<u64, StorageError> {
        let root = self.root();
        let trim = |opened: &File, start, len| {
            ioctl::trim(opened, start, len, least).map_err(StorageError::io(GIVING, &root))
        };
        in_steps(&root, STEP_BYTES, go_on, trim)
    }

    /// Gives back to the pool what the filesystems of mounted volumes have free. Bytes and `go_on` as
    /// for [`Pool::trim_pool`]. A volume to which a write has failed is passed over.
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
            match self.trim_still(&target, least, go_on) {
                Ok(bytes) => given = given.saturating_add(bytes),
                Err(e) => tracing::debug!(error = %e, "what a volume has free stays with it"),
            }
        }
        Ok(given)
    }

    /// Goes through a volume's filesystem while it stands still.
    fn trim_still(
        &self,
        target: &Path,
        least: u64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<u64, StorageError> {
        let Some(holder) = self.holder.get() else { return Ok(0) };
        in_steps(target, STILL_STEP_BYTES, go_on, |opened, start, len| {
            let giving = StorageError::io(GIVING, target);
            if let Some(fault) = self.fault(target)? {
                return Err(giving(io::Error::other(fault)));
            }
            let turn = self.turn_to_stand_still();
            let still = Standstill::begin(holder, &[target.to_owned()]);
            let still =
                still.map_err(|e| StorageError::io(STANDING, target)(io::Error::other(e)))?;
            // One that is read-only already stands still for nothing.
            let given = match self.fault(target)? {
                Some(fault) => Err(io::Error::other(fault)),
                None => ioctl::trim(opened, start, len, least),
            };
            let held = still.end();
            drop(turn);
            match held {
                Ok(true) => given.map_err(giving),
                Ok(false) => Err(giving(io::Error::other("it could not stand still for so long"))),
                Err(e) => Err(giving(io::Error::other(e))),
            }
        })
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
        let in_pool = self.trim_root(BLOCK_BYTES, &mut go_on)?;
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

/// Goes through one mounted filesystem, so many bytes at a time; what `trim` was told is free.
fn in_steps(
    target: &Path,
    step: u64,
    go_on: &mut dyn FnMut() -> bool,
    mut trim: impl FnMut(&File, u64, u64) -> Result<u64, StorageError>,
) -> Result<u64, StorageError> {
    let opened = File::open(target).map_err(StorageError::io("opening", target))?;
    let stat = nix::sys::statvfs::fstatvfs(&opened)
        .map_err(|e| StorageError::io("asking for the size of", target)(io::Error::from(e)))?;
    let size = stat.blocks() * stat.fragment_size();
    let (mut start, mut given) = (0_u64, 0_u64);
    while start < size && go_on() {
        let next = start.saturating_add(step);
        // The last step takes what the filesystem has beyond the size that it tells.
        let len = if next < size { step } else { u64::MAX - start };
        match trim(&opened, start, len) {
            Ok(bytes) => given = given.saturating_add(bytes),
            Err(StorageError::Io { cause, .. })
                if cause.raw_os_error() == Some(libc::EOPNOTSUPP) =>
            {
                return Ok(given);
            }
            Err(e) => return Err(e),
        }
        start = next;
    }
    Ok(given)
}
