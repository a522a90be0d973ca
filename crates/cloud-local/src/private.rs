//! What lies in the data directory is its owner's alone.

use crate::refusal::LocalError;
use crate::refusal::io;
use crate::storage::Pool;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Closes the directories and files of the local cloud to others, where an earlier version or somebody's
/// umask left them open, and says so. What nodes have in their volumes is theirs and stays.
pub(crate) fn close_to_others(pool: &Pool) -> Result<(), LocalError> {
    let dir = pool.dir();
    let mut opened = 0;
    for below in ["", "mounts", "nodes", "pool"] {
        opened += close(&dir.join(below), 0o700)?;
    }
    for below in ["", "pool/volumes", "pool/snapshots", "pool/masters"] {
        let list = dir.join(below);
        for entry in fs::read_dir(&list).map_err(io("listing", &list))? {
            let entry = entry.map_err(io("listing", &list))?;
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                opened += close(&entry.path(), 0o600)?;
            }
        }
    }
    if opened > 0 {
        tracing::warn!(
            dir = %dir.display(),
            "{opened} files and directories were open to others; they are for their owner only now"
        );
    }
    Ok(())
}

/// How many were open: one or none.
fn close(path: &Path, mode: u32) -> Result<u32, LocalError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found.permissions().mode() & 0o777,
        // It went meanwhile.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(io("looking at", path)(e)),
    };
    if found & 0o077 == 0 {
        return Ok(0);
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(io("closing to others", path))?;
    Ok(1)
}
