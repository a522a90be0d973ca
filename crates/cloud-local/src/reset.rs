//! Giving everything up: `holdfast local reset`.

use crate::refusal::LocalError;
use crate::refusal::io;
use crate::{network, node, storage};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Kills every node of a local cloud's directory, takes down its mounts, loop devices, network
/// and control groups, and deletes its files. What is not there is success; running it again
/// finishes what was interrupted. The server must not be running.
///
/// # Errors
/// [`LocalError`], naming what could not be taken down.
pub fn reset(dir: &Path) -> Result<(), LocalError> {
    let dir = match dir.canonicalize() {
        Ok(dir) => dir,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io("resolving", dir)(e)),
    };
    end_nodes(&dir.join("nodes"))?;
    node::remove_groups()?;
    network::teardown(&dir)?;
    storage::teardown(&dir)?;
    for name in ["nodes", "mounts", "netns"] {
        let path = dir.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(io("deleting", &path)(e)),
            _ => {}
        }
    }
    for path in memories(&dir)? {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(io("deleting", &path)(e)),
            _ => {}
        }
    }
    match std::fs::remove_dir(&dir) {
        // Somebody else's files in it stay.
        Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
            Err(io("deleting", &dir)(e))
        }
        _ => Ok(()),
    }
}

/// The memory, its log, and what was set aside of it.
fn memories(dir: &Path) -> Result<Vec<PathBuf>, LocalError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io("listing", dir))? {
        let entry = entry.map_err(io("listing", dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("cloud.db") || name == "labels.late" {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn end_nodes(nodes: &Path) -> Result<(), LocalError> {
    let entries = match std::fs::read_dir(nodes) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io("listing", nodes)(e)),
    };
    for entry in entries {
        let dir = entry.map_err(io("listing", nodes))?.path();
        let id = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        node::end(&dir, &id)?;
    }
    Ok(())
}
