//! The data directory is its owner's alone.

use super::io_error;
use crate::StoreError;
use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Makes the directory with mode 0700 if there is none. One that others may read is closed to them; one
/// that others may write to, or that belongs to somebody else, is refused: what lies in it may be
/// theirs.
pub(super) fn make(dir: &Path) -> Result<(), StoreError> {
    let failed = |e: std::io::Error| io_error(dir, &e);
    let Ok(found) = std::fs::metadata(dir) else {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        if let Some(parent) = dir.parent().filter(|parent| *parent != Path::new("")) {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
        }
        return Ok(());
    };
    let exposed = |why: String| StoreError::Exposed { dir: dir.display().to_string(), why };
    let me = rustix::process::geteuid().as_raw();
    if found.uid() != me {
        return Err(exposed(format!("belongs to user {}, not to {me} who runs this", found.uid())));
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(exposed(format!("has mode {mode:04o}: others may write to it")));
    }
    if mode != 0o700 {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)?;
        tracing::warn!(
            dir = %dir.display(),
            "the data directory had mode {mode:04o}; it is for its owner only now (0700)"
        );
    }
    Ok(())
}
