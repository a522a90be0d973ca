//! The pool: one sparse XFS with reflinks, in which every volume and snapshot lies.

use super::error::StorageError;
use super::loops::{self, Blocks, FileKey, LOOP_MAJOR};
use super::{mounts, programs};
use nix::mount::MsFlags;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
/// The smallest pool; mkfs.xfs refuses less than 300 MiB.
const MIN_POOL_BYTES: u64 = 512 * MIB;
/// How much must stay free in the pool, and on the disk under it, before anything new is made.
pub(super) const RESERVE_BYTES: u64 = 64 * MIB;
/// A new pool leaves this part of what its disk has free to others.
const DISK_KEEPS_PART: u64 = 20;
/// How often the pool is attached anew if the device is lost between attaching and mounting.
const MAX_MOUNT_TRIES: u32 = 3;

/// How a pool is made. An existing pool keeps its size.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// The pool's size in bytes. It is sparse: it takes from the disk only what is written. It is
    /// capped to 19 of 20 parts of what the disk has free, and at least 512 MiB.
    pub size_bytes: u64,
}

impl Default for PoolOptions {
    fn default() -> Self {
        PoolOptions { size_bytes: 64 * GIB }
    }
}

/// An open pool. Dropping it leaves everything mounted: nodes outlive the server.
#[derive(Debug)]
pub struct Pool {
    dir: PathBuf,
    /// When everything that is free was last given back, for want of space.
    pub(super) reclaimed: Mutex<Option<Instant>>,
    /// The program that holds filesystems still; without one, those of volumes are not trimmed.
    pub(super) holder: OnceLock<PathBuf>,
    /// Who holds a filesystem still has this: a second standstill of the same would be refused.
    standing: Mutex<()>,
}

impl Pool {
    /// Lets this program hold filesystems still (one whose `main` begins with
    /// [`holdfast_agent::dispatch`]).
    pub fn hold_still_with(&self, program: &Path) {
        // The first one stays: all are the same program.
        let _ = self.holder.set(program.to_owned());
    }

    /// Waits until nobody holds a filesystem still, and keeps others from it.
    pub(crate) fn turn_to_stand_still(&self) -> MutexGuard<'_, ()> {
        // Holds nothing that a panic could leave half done.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the pool below a directory: makes it if it is not there, mounts it if it is not
    /// mounted (replaying its journal), adopts it if it is.
    ///
    /// # Errors
    /// [`StorageError::NotRoot`], [`StorageError::NoLoopDevices`],
    /// [`StorageError::MissingProgram`], [`StorageError::NoSpace`],
    /// [`StorageError::PoolDoesNotMount`] (an existing pool is never formatted), or what the
    /// kernel says.
    pub fn open(dir: &Path, options: &PoolOptions) -> Result<Pool, StorageError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(StorageError::NotRoot);
        }
        make_dir(dir)?;
        let dir = dir.canonicalize().map_err(StorageError::io("resolving", dir))?;
        mounts::isolate(&dir)?;
        let (holder, standing) = (OnceLock::new(), Mutex::new(()));
        let pool = Pool { dir, reclaimed: Mutex::new(None), holder, standing };
        if !pool.file().exists() {
            pool.format(options)?;
        }
        pool.mount_pool()?;
        for directory in [pool.volumes(), pool.snapshots(), pool.masters(), pool.drafts()] {
            make_dir(&directory)?;
        }
        pool.remove_drafts()?;
        Ok(pool)
    }

    /// The directory that was given, resolved.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.join("pool.xfs")
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("pool")
    }

    pub(super) fn volumes(&self) -> PathBuf {
        self.root().join("volumes")
    }

    pub(super) fn snapshots(&self) -> PathBuf {
        self.root().join("snapshots")
    }

    pub(super) fn masters(&self) -> PathBuf {
        self.root().join("masters")
    }

    /// Where labels lie, beside the images that they are about.
    pub(crate) fn labels(&self) -> PathBuf {
        self.root().join("labels")
    }

    pub(super) fn drafts(&self) -> PathBuf {
        self.root().join("tmp")
    }

    fn format(&self, options: &PoolOptions) -> Result<(), StorageError> {
        let (free, _) = space(&self.dir)?;
        if free < MIN_POOL_BYTES + RESERVE_BYTES {
            return Err(no_space("the pool", &self.dir, free));
        }
        // The memory of nodes lies on the same disk: it must be written when the pool is full.
        let most = (free - free / DISK_KEEPS_PART).max(MIN_POOL_BYTES);
        let size = options.size_bytes.clamp(MIN_POOL_BYTES, most);
        let draft = self.dir.join("pool.xfs.new");
        let made = self.format_draft(&draft, size);
        if made.is_err() {
            let _ = fs::remove_file(&draft);
        }
        made
    }

    fn format_draft(&self, draft: &Path, size: u64) -> Result<(), StorageError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(draft)
            .map_err(StorageError::io("creating", draft))?;
        let private = fs::Permissions::from_mode(0o600);
        file.set_permissions(private).map_err(StorageError::io("protecting", draft))?;
        // A multiple of the block size, or the loop device ends in a partial block.
        file.set_len(size / MIB * MIB).map_err(StorageError::io("sizing", draft))?;
        programs::must("mkfs.xfs", "xfsprogs", &["-q", "-K", "-m", "reflink=1"], draft)?;
        file.sync_all().map_err(StorageError::io("syncing", draft))?;
        let target = self.file();
        fs::rename(draft, &target).map_err(StorageError::io("naming", &target))?;
        File::open(&self.dir)
            .and_then(|d| d.sync_all())
            .map_err(StorageError::io("syncing", &self.dir))
    }

    fn mount_pool(&self) -> Result<(), StorageError> {
        let target = self.root();
        make_dir(&target)?;
        let file = self.file();
        if let Some(mounted) = mounts::at(&target)? {
            let key = FileKey::of(&file).map_err(StorageError::io("looking at", &file))?;
            let ours = mounted.device.0 == LOOP_MAJOR
                && loops::LoopDevice(mounted.device.1)
                    .backing()
                    .map_err(StorageError::io("looking at", &target))?
                    == Some(key);
            return if ours {
                Ok(())
            } else {
                Err(StorageError::PoolPathTaken { path: target, expected: file })
            };
        }
        let mut last = None;
        for _ in 0..MAX_MOUNT_TRIES {
            let device = loops::attach(&file, Blocks::Least)?;
            let flags = MsFlags::MS_NOATIME | MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
            match mounts::mount_device(&device.path(), &target, "xfs", flags, "") {
                Ok(()) => return mounts::make_private(&target),
                // A device that somebody was letting go of when we found it.
                Err(cause) if matches!(cause.raw_os_error(), Some(libc::ENXIO | libc::ENODEV)) => {
                    last = Some(cause);
                }
                Err(cause) => {
                    last = Some(cause);
                    loops::detach(&file, "the pool")?;
                    break;
                }
            }
        }
        let cause = last.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENXIO));
        Err(StorageError::PoolDoesNotMount { path: file, cause })
    }

    /// Removes what a killed server was making.
    fn remove_drafts(&self) -> Result<(), StorageError> {
        let directory = self.drafts();
        let entries = fs::read_dir(&directory).map_err(StorageError::io("listing", &directory))?;
        for entry in entries {
            let path = entry.map_err(StorageError::io("listing", &directory))?.path();
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(StorageError::io("deleting", &path))?;
        }
        Ok(())
    }

    /// Free and total bytes of the pool, the free ones as far as the disk under it has them.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn free_bytes(&self) -> Result<(u64, u64), StorageError> {
        let (in_pool, total) = space(&self.root())?;
        let (on_disk, _) = space(&self.dir.join("pool.xfs"))?;
        Ok((in_pool.min(on_disk), total))
    }

    /// Refuses to begin something when the pool or the disk under it is nearly full, and stays so when
    /// everything that is free has been given back: a pool that runs full breaks the volumes of
    /// running nodes.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`].
    pub fn check_space(&self, what: &str) -> Result<(), StorageError> {
        match self.has_space(what) {
            Err(short) if short.is_no_space() => {
                if let Err(e) = self.reclaim() {
                    tracing::warn!(error = %e, "free blocks could not be given back");
                }
                self.has_space(what)
            }
            found => found,
        }
    }

    /// As [`Pool::check_space`], without giving anything back first.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`].
    pub fn has_space(&self, what: &str) -> Result<(), StorageError> {
        for path in [self.root(), self.file()] {
            let (free, _) = space(&path)?;
            if free < RESERVE_BYTES {
                return Err(no_space(what, &path, free));
            }
        }
        Ok(())
    }
}

/// Free and total bytes of the filesystem that a path lies on.
pub(super) fn space(path: &Path) -> Result<(u64, u64), StorageError> {
    let found = nix::sys::statvfs::statvfs(path)
        .map_err(|e| StorageError::io("asking for free space of", path)(io::Error::from(e)))?;
    let unit = found.fragment_size();
    Ok((found.blocks_available() * unit, found.blocks() * unit))
}

fn no_space(what: &str, path: &Path, free: u64) -> StorageError {
    StorageError::NoSpace {
        what: what.to_owned(),
        path: path.to_owned(),
        free_mib: free / MIB,
        reserve_mib: RESERVE_BYTES / MIB,
    }
}

fn make_dir(path: &Path) -> Result<(), StorageError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(StorageError::io("creating", path))
}
