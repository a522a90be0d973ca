//! `holdfast local reset`: every trace goes.

use super::arguments::ResetOptions;
use super::backup::BACKUPS;
use super::options::CLOUD_DIR;
use holdfast_api::TOKEN_FILE;
use holdfast_store::StoreError;
use holdfast_store::sqlite::{FILE, SqliteStore};
use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{confirm, print};
use std::io::ErrorKind;
use std::path::Path;

/// Files of an installation beside the cloud's; what others put there stays.
const FILES: [&str; 6] =
    [FILE, "holdfast.db-wal", "holdfast.db-shm", "holdfast.lock", TOKEN_FILE, "token.new"];

/// Removes every node, and the installation, from this host. The server must not be running.
pub fn reset(options: &ResetOptions) -> Result<(), Failure> {
    let dir = options.data_dir.as_path();
    let failed = |why: String| Failure::new(Code::Failed, why);
    if !rustix::process::geteuid().is_root() {
        let why = "removing nodes from this host needs root; run it as root";
        return Err(failed(why.to_owned()));
    }
    if !dir.exists() {
        return print(&format!("There is nothing at {}.\n", dir.display()));
    }
    // Held to the end, so that no server begins in between.
    let held = hold(dir)?;
    let question = format!(
        "Kill every node and delete every volume below {}? Nothing can be brought back.",
        dir.display()
    );
    if !options.yes && !confirm(&question)? {
        return Err(failed("nothing was removed".to_owned()));
    }
    holdfast_cloud_local::reset(&dir.join(CLOUD_DIR)).map_err(|e| failed(e.to_string()))?;
    drop(held);
    for name in FILES {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(failed(format!("deleting {}: {e}", path.display())));
            }
            _ => {}
        }
    }
    let backups = dir.join(BACKUPS);
    match std::fs::remove_dir_all(&backups) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(failed(format!("deleting {}: {e}", backups.display())));
        }
        _ => {}
    }
    match std::fs::remove_dir(dir) {
        // Somebody else's files in it, or a mount: it stays.
        Err(e) if !matches!(e.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::ResourceBusy) => {
            Err(failed(format!("deleting {}: {e}", dir.display())))
        }
        _ => print(&format!("Every trace of the nodes below {} is gone.\n", dir.display())),
    }
}

/// Takes the data directory, if a server has ever used it. A store that cannot be read is no
/// reason to keep it.
fn hold(dir: &Path) -> Result<Option<SqliteStore>, Failure> {
    if !dir.join(FILE).exists() {
        return Ok(None);
    }
    match SqliteStore::open(dir) {
        Ok(store) => Ok(Some(store)),
        Err(e @ StoreError::InUse { .. }) => Err(Failure::new(Code::Failed, e.to_string())),
        Err(_) => Ok(None),
    }
}
