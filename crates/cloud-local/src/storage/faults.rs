//! Whether a mounted volume still takes what is written to it.

use super::error::StorageError;
use super::mounts;
use super::pool::Pool;
use std::path::Path;

/// What the kernel adds to a filesystem's options once it takes no more writes. `shutdown`: a power
/// cut. `emergency_ro`, `ro`: the kernel gave it up after an error.
const NO_MORE_WRITES: [&str; 3] = ["shutdown", "emergency_ro", "ro"];

/// With less than this, XFS refuses writes, at the latest: some of what it shows as free it keeps for
/// itself.
const FULL_BYTES: u64 = 16 << 20;

impl Pool {
    /// What is wrong with the volume that is mounted at a path, as a sentence; `None`: nothing, or
    /// nothing is mounted there.
    ///
    /// A write that failed once counts until the volume is mounted anew: the kernel has thrown the
    /// data away and will say so only once to whoever syncs, so whatever runs on the volume cannot
    /// know any more what it has.
    ///
    /// # Errors
    /// If the kernel's list of mounts cannot be read.
    pub fn fault(&self, target: &Path) -> Result<Option<String>, StorageError> {
        let Some(mounted) = mounts::at(target)? else { return Ok(None) };
        let device = format!("loop{}", mounted.device.1);
        if let Some(damage) = damage(&device) {
            return Ok(Some(damage));
        }
        if let Some(option) = given_up(&mounted) {
            return Ok(Some(format!("its filesystem takes no more writes ({option})")));
        }
        // ext4 counts failed writes among its warnings, since the mount; older kernels do not.
        let counter = format!("/sys/fs/ext4/{device}/warning_count");
        let warnings = std::fs::read_to_string(counter).unwrap_or_default();
        let warnings: u64 = warnings.trim().parse().unwrap_or_default();
        Ok((warnings > 0).then(|| "writes to it have failed".to_owned()))
    }

    /// Whether the volume that is mounted at a path takes no more writes.
    ///
    /// # Errors
    /// If the kernel's list of mounts cannot be read.
    pub fn is_given_up(&self, target: &Path) -> Result<bool, StorageError> {
        Ok(mounts::at(target)?.is_some_and(|mounted| given_up(&mounted).is_some()))
    }

    /// Whether the pool, or the disk under it, has next to no space: what is written to a volume now
    /// may fail, and some of these failures only the writer hears of (a flush that fails, say).
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_full(&self) -> Result<bool, StorageError> {
        Ok(self.free_bytes()?.0 < FULL_BYTES)
    }

    /// How many writes and flushes the device of the volume that is mounted at a path has had.
    ///
    /// # Errors
    /// If the kernel's list of mounts cannot be read.
    pub fn written(&self, target: &Path) -> Result<Option<u64>, StorageError> {
        let Some(mounted) = mounts::at(target)? else { return Ok(None) };
        let path = format!("/sys/block/loop{}/stat", mounted.device.1);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        // Linux, Documentation/block/stat.rst: write I/Os are the fifth number, flushes the 16th.
        let flushes = numbers.get(15).copied().unwrap_or_default();
        Ok(numbers.get(4).map(|writes| writes.saturating_add(flushes)))
    }
}

/// What ext4 calls errors that are damage (`fs/ext4/ext4.h`: EXT4_ERR_EFSBADCRC,
/// EXT4_ERR_EFSCORRUPTED); others tell of a device that failed, or had no space.
const DAMAGE: [u64; 2] = [4, 5];

/// What damage the kernel has found in the filesystem of a device since it was last checked.
fn damage(device: &str) -> Option<String> {
    let text = |name: &str| {
        let path = format!("/sys/fs/ext4/{device}/{name}");
        std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
    };
    let number = |name: &str| text(name).parse::<u64>().unwrap_or_default();
    let count = number("errors_count");
    let is_damage = ["first_error_errcode", "last_error_errcode"]
        .into_iter()
        .any(|name| DAMAGE.contains(&number(name)));
    if count == 0 || !is_damage {
        return None;
    }
    let seconds = i64::try_from(number("first_error_time")).unwrap_or_default();
    let first = jiff::Timestamp::from_second(seconds)
        .map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default();
    Some(format!(
        "the kernel has found its filesystem damaged ({count} errors, the first at {first} in {}), \
         and writes to it no more",
        text("first_error_func")
    ))
}

/// The option that says that a filesystem takes no more writes.
fn given_up(mounted: &mounts::MountEntry) -> Option<&str> {
    mounted.super_options.split(',').find(|option| NO_MORE_WRITES.contains(option))
}
