//! The certain end of a node's processes.

use crate::refusal::LocalError;
use crate::refusal::io;
use holdfast_agent::{AgentError, Cgroup, ShimHandle};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// A shim that is starting, or ending, is done within this time: it gives a node ten seconds to
/// start.
const LIMIT: Duration = Duration::from_secs(15);
/// After a kill, a shim is gone within this time, in milliseconds.
const SHIM_END_MS: u64 = 5_000;
/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Held: no shim runs for the directory, and none can start.
pub(crate) struct NoShim {
    _lock: Option<File>,
}

/// Kills the node of a directory with all its processes, and waits until they and its shim are
/// gone; then removes its control group, and its configuration with the user data in it. A node
/// that never was, or has ended, is success.
///
/// A server that was killed may have left a shim that is only now starting its node: a shim holds
/// `shim.lock` from before it begins until after it has ended, so that lock is the proof.
pub(crate) fn end(dir: &Path, instance: &str) -> Result<NoShim, LocalError> {
    let path = dir.join("shim.lock");
    let lock = match File::options().create(true).truncate(false).write(true).open(&path) {
        Ok(lock) => lock,
        // The node's directory was never made.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(NoShim { _lock: None }),
        Err(e) => return Err(io("opening", &path)(e)),
    };
    let begun = Instant::now();
    loop {
        match ShimHandle::open(dir) {
            Ok(handle) => {
                handle.kill()?;
                if handle.wait_exit(SHIM_END_MS)?.is_none() {
                    return Err(stuck(instance, SHIM_END_MS));
                }
            }
            Err(AgentError::NotRunning { .. }) => {}
            Err(e) => return Err(e.into()),
        }
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(e)) => return Err(io("locking", &path)(e)),
            Err(TryLockError::WouldBlock) if begun.elapsed() > LIMIT => {
                return Err(stuck(instance, u64::try_from(LIMIT.as_millis()).unwrap_or(u64::MAX)));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
    // What a shim that was itself killed has left.
    let group = Cgroup::open(instance)?;
    group.kill()?;
    group.remove()?;
    let config = holdfast_agent::config_path(dir);
    match std::fs::remove_file(&config) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(io("deleting", &config)(e)),
        _ => {}
    }
    Ok(NoShim { _lock: Some(lock) })
}

/// Held while a node starts: its control group is being made below `holdfast/`.
///
/// The lock is on the hierarchy's own directory, so that it leaves no trace. A host without it has
/// no groups to protect.
pub(crate) fn making_groups() -> Option<File> {
    let file = File::open(GROUPS).ok()?;
    file.lock_shared().ok()?;
    Some(file)
}

/// Removes `holdfast/` from the control groups unless somebody uses it, or starts a node now.
pub(crate) fn remove_groups() -> Result<(), LocalError> {
    let Ok(file) = File::open(GROUPS) else { return Ok(()) };
    if file.try_lock().is_ok() {
        Cgroup::remove_base()?;
    }
    Ok(())
}

fn stuck(instance: &str, limit_ms: u64) -> LocalError {
    AgentError::TimedOut { doing: format!("the end of the shim of {instance}"), limit_ms }.into()
}
