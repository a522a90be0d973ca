//! What is broken by hand, as accidents and people do.

use holdfast_agent::Cgroup;
use holdfast_cloud_local::network;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Takes all space of the pool: the name of the file that does.
const BALLAST: &str = "soak-ballast";
/// How much of a snapshot is overwritten, in bytes: its filesystem cannot be mended after that.
const SPOILT: usize = 32 << 20;
/// So much is left to be filled by writing, in bytes.
const LAST: u64 = 8 << 20;

/// A pool without any space, until this is dropped.
pub struct FullPool(PathBuf);

impl FullPool {
    /// Fills the pool of a local cloud to the last block.
    pub fn fill(cloud_dir: &Path) -> Result<FullPool, String> {
        let pool = cloud_dir.join("pool");
        let path = pool.join(BALLAST);
        let text = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = File::create(&path).map_err(text)?;
        let full = FullPool(path.clone());
        let stat = rustix::fs::statvfs(&pool).map_err(|e| text(e.into()))?;
        let most = (stat.f_bavail * stat.f_frsize).saturating_sub(LAST);
        fallocate(&file, FallocateFlags::empty(), 0, most).map_err(|e| text(e.into()))?;
        file.seek(SeekFrom::Start(most)).map_err(text)?;
        for block in [1 << 16, 1 << 12] {
            let block = vec![1_u8; block];
            while file.write_all(&block).is_ok() {}
        }
        // What is not on the pool yet would take its space later, and fail then.
        let _ = file.sync_all();
        Ok(full)
    }
}

impl Drop for FullPool {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Stops every process of an instance; how many.
pub fn stop_processes(instance: &str) -> Result<usize, String> {
    let group = Cgroup::open(instance).map_err(|e| e.to_string())?;
    let pids = group.processes().map_err(|e| e.to_string())?;
    let stopped = pids.iter().filter_map(|pid| Pid::from_raw(*pid));
    Ok(stopped.filter(|pid| kill_process(*pid, Signal::STOP).is_ok()).count())
}

/// Deletes the link that everything leaves by: the primary one, or the one beside it.
const DELETE_LINK: &str =
    r#"ip link delete "$(ip -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p')""#;

/// Deletes an instance's interface.
pub fn delete_interface(cloud_dir: &Path, instance: &str) -> Result<(), String> {
    let namespace = cloud_dir.join("netns").join(instance);
    let ended =
        network::in_namespace(&namespace, || Command::new("sh").args(["-c", DELETE_LINK]).output());
    let output = ended.map_err(|e| e.to_string())?.map_err(|e| format!("ip: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("ip: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// The snapshots that a node, or a part of it, names and that are there, oldest first.
pub fn snapshots_of(cloud_dir: &Path, named_by: &impl Serialize) -> Vec<PathBuf> {
    // Without a text, it names none.
    let text = serde_json::to_string(named_by).unwrap_or_default();
    let entries = std::fs::read_dir(cloud_dir.join("pool/snapshots"));
    let mut found: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let id = name.to_string_lossy().trim_end_matches(".img").to_owned();
            text.contains(&id)
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Overwrites a snapshot with what is no filesystem.
pub fn spoil(path: &Path) -> Result<(), String> {
    let text = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = File::options().write(true).open(path).map_err(text)?;
    file.write_all(&vec![0xa5; SPOILT]).map_err(text)?;
    file.sync_all().map_err(text)
}

/// A copy of a snapshot, as a careful operator has one.
pub struct GoodCopy {
    of: PathBuf,
    copy: PathBuf,
}

impl GoodCopy {
    /// Makes it, on the same pool: it shares its blocks.
    pub fn make(cloud_dir: &Path, of: &Path) -> Result<GoodCopy, String> {
        // Two nodes may be tried at the same time, each with a copy of its own.
        let name = of.file_name().unwrap_or_default().to_string_lossy();
        let copy = cloud_dir.join("pool").join(format!("soak-copy-{name}"));
        std::fs::copy(of, &copy).map_err(|e| format!("{}: {e}", of.display()))?;
        Ok(GoodCopy { of: of.to_owned(), copy })
    }

    /// Puts it where the spoilt one is.
    pub fn put_back(self) -> Result<(), String> {
        std::fs::rename(&self.copy, &self.of).map_err(|e| format!("{}: {e}", self.of.display()))
    }
}

impl Drop for GoodCopy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.copy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_copies_of_two_snapshots_at_the_same_time_do_not_get_mixed_up() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = dir.path().join("pool/snapshots");
        std::fs::create_dir_all(&snapshots).unwrap();
        let [one, two] = ["snap-1.img", "snap-2.img"].map(|name| snapshots.join(name));
        for path in [&one, &two] {
            std::fs::write(path, path.display().to_string()).unwrap();
        }
        let copies = [&one, &two].map(|path| GoodCopy::make(dir.path(), path).unwrap());
        for path in [&one, &two] {
            spoil(path).unwrap();
        }
        for copy in copies {
            copy.put_back().unwrap();
        }
        for path in [&one, &two] {
            assert_eq!(std::fs::read_to_string(path).unwrap(), path.display().to_string());
        }
    }
}
