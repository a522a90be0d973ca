//! What of the host's `/usr` is meant for the host alone, and every node can read all the same.
//!
//! A node's `/usr` is the host's, and root in a node is user 0 there: a mode that closes a file to
//! others does not close it to a node. What a distribution installs is no secret; what people put
//! below `/usr/local` may be, so the log says what there is.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where people, and no distribution, put files.
const LOCAL: &str = "/usr/local";
/// At most so many entries are looked at.
const MAX_ENTRIES: usize = 200_000;
/// So many are named.
const MAX_NAMED: usize = 8;

/// Looks in a thread of its own, once, and warns.
pub(crate) fn warn_of_closed_files() {
    let looking = || {
        let found = closed_to_others(Path::new(LOCAL));
        if found.count > 0 {
            tracing::warn!(
                count = found.count,
                examples = ?found.named,
                "files below {LOCAL} that are closed to others can be read in every node; move \
                 what is secret out of /usr"
            );
        }
    };
    let started = std::thread::Builder::new().name("local-usr".to_owned()).spawn(looking);
    if let Err(e) = started {
        tracing::warn!(error = %e, "no thread to look for closed files below {LOCAL}");
    }
}

/// Files, and directories with all that is in them, that others may not read.
#[derive(Debug, Default)]
struct Closed {
    count: usize,
    /// The first of them.
    named: Vec<PathBuf>,
}

/// Does not follow links. What cannot be looked at is passed over.
fn closed_to_others(top: &Path) -> Closed {
    let mut found = Closed::default();
    let mut left = MAX_ENTRIES;
    let mut waiting = VecDeque::from([top.to_owned()]);
    while let Some(directory) = waiting.pop_front() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            if left == 0 {
                return found;
            }
            left -= 1;
            let Ok(meta) = entry.metadata() else { continue };
            if !meta.is_file() && !meta.is_dir() {
                continue;
            }
            if meta.mode() & 0o004 == 0 {
                found.count += 1;
                if found.named.len() < MAX_NAMED {
                    found.named.push(entry.path());
                }
            } else if meta.is_dir() {
                waiting.push_back(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn files_and_directories_that_are_closed_to_others_are_found_and_links_are_not_followed() {
        let top = tempfile::tempdir().expect("a directory");
        let at = |name: &str| top.path().join(name);
        let close = |name: &str| {
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o700)).expect("can be set");
        };
        for directory in ["open", "closed"] {
            fs::create_dir(at(directory)).expect("can be made");
        }
        for file in ["plain", "key", "open/key", "closed/key"] {
            fs::write(at(file), "").expect("can be written");
        }
        symlink("/etc/shadow", at("link")).expect("can be linked");
        for name in ["key", "open/key", "closed", "closed/key"] {
            close(name);
        }
        let mut found = closed_to_others(top.path());
        found.named.sort();
        assert_eq!(found.named, [at("closed"), at("key"), at("open/key")]);
        assert_eq!(found.count, 3);
    }
}
