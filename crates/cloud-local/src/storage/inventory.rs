//! What exists below a data directory, and taking all of it down.

use super::error::StorageError;
use super::loops::{self, FileKey, LoopDevice};
use super::mounts;
use super::pool::Pool;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How often the mounts below a directory are listed again because one hid another.
const MAX_ROUNDS: u32 = 64;

/// What the kernel and the disk hold of one data directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// Loop devices and the file behind each.
    pub loops: Vec<(LoopDevice, PathBuf)>,
    /// Mount points at or below the directory, the deepest first.
    pub mounts: Vec<PathBuf>,
    /// Ids of volumes, by their images.
    pub volumes: Vec<String>,
    /// Ids of snapshots, by their images.
    pub snapshots: Vec<String>,
    /// Images that were begun and not finished.
    pub drafts: Vec<String>,
}

impl Inventory {
    /// What there is below a data directory, whether its pool is open or not.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn of(dir: &Path) -> Result<Inventory, StorageError> {
        let dir = match dir.canonicalize() {
            Ok(dir) => dir,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Inventory::default()),
            Err(e) => return Err(StorageError::io("resolving", dir)(e)),
        };
        let pool = dir.join("pool");
        Ok(Inventory {
            loops: ours(&dir)?,
            mounts: mounts::below(&dir)?.into_iter().map(|m| m.target).collect(),
            volumes: ids(&pool.join("volumes"))?,
            snapshots: ids(&pool.join("snapshots"))?,
            drafts: ids(&pool.join("tmp"))?,
        })
    }
}

impl Pool {
    /// What there is: see [`Inventory::of`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn inventory(&self) -> Result<Inventory, StorageError> {
        Inventory::of(self.dir())
    }

    /// The volumes that are mounted where a process sees them, by id.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn volumes_of(&self, pid: i32) -> Result<BTreeSet<String>, StorageError> {
        let mounts = mounts::of_process(pid)?;
        let devices: BTreeSet<u32> =
            mounts.iter().filter(|m| m.device.0 == loops::LOOP_MAJOR).map(|m| m.device.1).collect();
        let volumes = self.volumes();
        let pool = FileKey::of(&volumes).map_err(StorageError::io("looking at", &volumes))?.dev;
        let mut found = BTreeSet::new();
        for (device, shown) in loops::held()? {
            if !devices.contains(&device.0) {
                continue;
            }
            let backing = device.backing().map_err(StorageError::io("asking", &device.path()))?;
            let id = shown.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            if let (Some(backing), Some(id)) = (backing, id)
                && backing.dev == pool
            {
                found.insert(id);
            }
        }
        Ok(found)
    }
}

/// The loop devices whose file lies below the directory.
///
/// The path is what the kernel shows; of an image whose pool has been unmounted lazily only the
/// path within the pool is left, so every device on the pool's own filesystem is ours, too.
fn ours(dir: &Path) -> Result<Vec<(LoopDevice, PathBuf)>, StorageError> {
    let held = loops::held()?;
    let pool_device = match FileKey::of(&dir.join("pool.xfs")) {
        Ok(key) => {
            let mut found = None;
            for (device, shown) in &held {
                if shown.ends_with("pool.xfs") && device.backing().ok().flatten() == Some(key) {
                    found = Some(nix::sys::stat::makedev(
                        u64::from(loops::LOOP_MAJOR),
                        u64::from(device.0),
                    ));
                }
            }
            found
        }
        Err(_) => None,
    };
    let mut found = Vec::new();
    for (device, shown) in held {
        let in_pool = || {
            let backing = device.backing().ok().flatten();
            backing.is_some_and(|b| Some(b.dev) == pool_device)
        };
        if shown.starts_with(dir) || in_pool() {
            found.push((device, shown));
        }
    }
    Ok(found)
}

fn ids(directory: &Path) -> Result<Vec<String>, StorageError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StorageError::io("listing", directory)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(StorageError::io("listing", directory))?.file_name();
        let name = name.to_string_lossy();
        found.push(name.strip_suffix(".img").unwrap_or(&name).to_owned());
    }
    found.sort();
    Ok(found)
}

/// Takes down every mount and loop device of a data directory, and deletes the pool with all that
/// is in it. What is not there is success; running it again finishes what was interrupted.
///
/// # Errors
/// [`StorageError::StillHeld`] if a process that is not ours keeps a device open; the rest is
/// taken down before that is said.
pub fn teardown(dir: &Path) -> Result<(), StorageError> {
    let dir = match dir.canonicalize() {
        Ok(dir) => dir,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StorageError::io("resolving", dir)(e)),
    };
    // Volumes first, while the pool still shows what they are; the pool's device comes last.
    let held = ours(&dir)?;
    let pool_root = dir.join("pool");
    unmount_all(&dir, |target| target != dir && target != pool_root)?;
    let mut first_error = None;
    let (pool, volumes): (Vec<_>, Vec<_>) =
        held.into_iter().partition(|(_, shown)| shown.ends_with("pool.xfs"));
    for (device, shown) in volumes {
        first_error = first_error.or(free(device, &shown).err());
    }
    unmount_all(&dir, |_| true)?;
    for (device, shown) in pool {
        first_error = first_error.or(free(device, &shown).err());
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    for name in ["pool.xfs", "pool.xfs.new"] {
        let path = dir.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::io("deleting", &path)(e));
            }
            _ => {}
        }
    }
    match fs::remove_dir(&pool_root) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("deleting", &pool_root)(e))
        }
        _ => Ok(()),
    }
}

fn unmount_all(dir: &Path, which: impl Fn(&Path) -> bool) -> Result<(), StorageError> {
    for _ in 0..MAX_ROUNDS {
        let found: Vec<_> = mounts::below(dir)?.into_iter().filter(|m| which(&m.target)).collect();
        if found.is_empty() {
            return Ok(());
        }
        for mount in found {
            mounts::unmount_lazily(&mount.target)?;
        }
    }
    Ok(())
}

fn free(device: LoopDevice, shown: &Path) -> Result<(), StorageError> {
    match device.backing() {
        Ok(Some(key)) => loops::detach_device(device, key, &shown.display().to_string()),
        Ok(None) => Ok(()),
        Err(e) => Err(StorageError::io("asking", &device.path())(e)),
    }
}
