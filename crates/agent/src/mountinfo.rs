//! Where a mount is in a node, by the kernel's own list.
//!
//! The list is read on the host, of the node's init: nothing in the node has a say in it.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::{Doing, Result};

/// A volume's mount in a node. Wherever it goes, it keeps these numbers; what is only found in its
/// place does not have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// The mount's number.
    pub mount_id: u64,
    /// Its filesystem's device number.
    pub device: u64,
}

impl Placed {
    /// Where it is now, as `init` sees it; `None` if it is mounted no more.
    pub fn place(self, init_pid: i32) -> Result<Option<PathBuf>> {
        let path = PathBuf::from(format!("/proc/{init_pid}/mountinfo"));
        let doing = || format!("reading {}", path.display());
        let file = fs::File::open(&path).doing(doing)?;
        for line in BufReader::new(file).split(b'\n') {
            if let Some((found, place)) = parse(&line.doing(doing)?)
                && found == self
            {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Whether it is at exactly this path, with no detour.
    pub fn is_at(self, init_pid: i32, target: &Path) -> Result<bool> {
        Ok(self.place(init_pid)?.is_some_and(|place| place == target))
    }
}

/// The first fields of a line: id, parent, major:minor, root, mount point (proc(5)).
fn parse(line: &[u8]) -> Option<(Placed, PathBuf)> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let mut fields = line.split(|b| *b == b' ');
    let mount_id = text(fields.next()?)?.parse().ok()?;
    let (major, minor) = text(fields.nth(1)?)?.split_once(':')?;
    let device = libc::makedev(major.parse().ok()?, minor.parse().ok()?);
    Some((Placed { mount_id, device }, unescape(fields.nth(1)?)))
}

/// A path as the kernel's lists of mounts write it, without the octal escapes of space, tab, newline
/// and backslash (proc(5)).
#[must_use]
pub fn unescape(bytes: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = &after[3..];
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_the_numbers_and_the_place_with_its_escapes() {
        let line = b"36 35 7:12 / /srv/a\\040b\\134c rw,noatime - ext4 /dev/loop12 rw";
        let placed = Placed { mount_id: 36, device: libc::makedev(7, 12) };
        assert_eq!(parse(line), Some((placed, PathBuf::from("/srv/a b\\c"))));
        assert_eq!(parse(b"36 35"), None);
    }
}
