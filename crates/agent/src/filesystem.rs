//! Which file system is that? Its UUID, as it counts for a manifest.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{AgentError, Doing, Result};

/// `_IOR(0x15, 0, struct fsuuid2)` of linux/fs.h, where the structure is a length and 16 bytes.
const FS_IOC_GETFSUUID: libc::c_ulong = 0x8011_1500;

/// The UUID of the file system that `path` is on, in lower-case hexadecimal with hyphens.
///
/// Asks the kernel (Linux 6.9 and later), else reads the superblock of ext4 and XFS from the
/// block device.
///
/// # Errors
/// `Io` when `path` or its device cannot be read, `Invalid` when the file system has no UUID.
pub fn filesystem_uuid(path: &Path) -> Result<String> {
    let dir = File::open(path).doing(|| format!("opening {}", path.display()))?;
    let mut answer = [0_u8; 17];
    // SAFETY: the structure is 17 bytes; the descriptor is open.
    let result = unsafe { libc::ioctl(dir.as_raw_fd(), FS_IOC_GETFSUUID as _, &raw mut answer) };
    if result == 0 && answer[0] == 16 {
        return Ok(hyphenated(&answer[1..]));
    }
    let meta = dir.metadata().doing(|| format!("looking at {}", path.display()))?;
    let (major, minor) = (libc::major(meta.dev()), libc::minor(meta.dev()));
    let none = || {
        AgentError::Invalid(format!(
            "the file system at {} has no UUID; use ext4 or XFS on a block device",
            path.display()
        ))
    };
    if major == 0 {
        return Err(none());
    }
    let device = PathBuf::from(format!("/dev/block/{major}:{minor}"));
    let device = if device.exists() {
        device
    } else {
        let link = format!("/sys/dev/block/{major}:{minor}");
        let target = std::fs::read_link(&link).doing(|| format!("reading {link}"))?;
        Path::new("/dev").join(target.file_name().ok_or_else(none)?)
    };
    let doing = || format!("reading the superblock on {}", device.display());
    let mut head = [0_u8; 2048];
    File::open(&device).doing(doing)?.read_exact_at(&mut head, 0).doing(doing)?;
    superblock_uuid(&head).ok_or_else(none)
}

/// ext4: the superblock is at 1024, magic 0xEF53 at 0x38, UUID at 0x68 (the kernel's
/// Documentation/filesystems/ext4). XFS: at 0, magic `XFSB`, UUID at 32.
fn superblock_uuid(head: &[u8; 2048]) -> Option<String> {
    if head[1024 + 0x38..1024 + 0x3a] == [0x53, 0xef] {
        return Some(hyphenated(&head[1024 + 0x68..1024 + 0x78]));
    }
    (head[..4] == *b"XFSB").then(|| hyphenated(&head[32..48]))
}

fn hyphenated(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ext4_superblock_names_its_uuid() {
        let mut head = [0_u8; 2048];
        head[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
        head[1024 + 0x68] = 0xab;
        assert_eq!(superblock_uuid(&head).as_deref(), Some("ab000000-0000-0000-0000-000000000000"));
        assert_eq!(superblock_uuid(&[0; 2048]), None);
    }
}
