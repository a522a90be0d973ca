//! ext4: making it, reading its superblock, checking it, growing it.

use super::error::StorageError;
use super::programs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the superblock begins, in bytes (ext4's disk layout).
const SUPERBLOCK: u64 = 1024;
const MAGIC_AT: usize = 0x38;
const MAGIC: u16 = 0xEF53;
/// `s_state`; its bit 2 says that the kernel has found errors.
const STATE_AT: usize = 0x3A;
const STATE_ERRORS: u16 = 2;
const UUID_AT: usize = 0x68;
/// `s_journal_inum`, and which it is wherever mkfs.ext4 makes a journal.
const JOURNAL_INODE_AT: usize = 0xE0;
const JOURNAL_INODE: u32 = 8;
/// `s_journal_dev`: the device of a journal that is elsewhere.
const JOURNAL_DEVICE_AT: usize = 0xE4;
/// `s_error_count`: errors that the kernel has found since the last check.
const ERROR_COUNT_AT: usize = 0x194;
/// `s_mount_opts`: options that the kernel adds to every mount, as text that ends in a zero.
const MOUNT_OPTIONS_AT: usize = 0x200;
/// The part of the superblock that is read.
const SUPERBLOCK_READ: usize = 0x240;
/// Exit status of e2fsck from which on errors are left uncorrected (e2fsck(8)).
const FSCK_UNCORRECTED: i32 = 4;

/// What a superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Superblock {
    /// As people write it.
    pub(super) uuid: String,
    /// Whether the kernel has found errors that no check has looked at since.
    pub(super) has_errors: bool,
    /// What it asks for that no volume of ours has, and that would reach beyond it, as a sentence.
    pub(super) foreign: Option<&'static str>,
}

/// Makes a filesystem in a new image, with what is in a directory. Only ever called on a file that
/// this process has just made.
pub(super) fn make(image: &Path, uuid: &str, content: Option<&Path>) -> Result<(), StorageError> {
    // The image is all holes, which read as zeros: nothing needs to be zeroed or discarded.
    // Blocks of 4,096 bytes also where mkfs.ext4 would take smaller ones: a loop device has these.
    let mut arguments = vec![
        "-q",
        "-F",
        "-b",
        "4096",
        "-U",
        uuid,
        "-E",
        "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
    ];
    let content = content.map(|path| path.display().to_string());
    if let Some(content) = &content {
        arguments.extend(["-d", content]);
    }
    programs::must("mkfs.ext4", "e2fsprogs", &arguments, image)
}

/// Reads the superblock; `None` if there is no ext4.
pub(super) fn superblock(image: &Path) -> io::Result<Option<Superblock>> {
    let mut bytes = [0; SUPERBLOCK_READ];
    if let Err(e) = File::open(image)?.read_exact_at(&mut bytes, SUPERBLOCK) {
        return if e.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(e) };
    }
    if number_16(&bytes, MAGIC_AT) != MAGIC {
        return Ok(None);
    }
    Ok(Some(Superblock {
        uuid: uuid_text(&bytes[UUID_AT..UUID_AT + 16]),
        has_errors: number_16(&bytes, STATE_AT) & STATE_ERRORS != 0
            || number_32(&bytes, ERROR_COUNT_AT) != 0,
        foreign: foreign(&bytes),
    }))
}

/// A superblock is data that somebody may have written who is not the host: what it asks of the kernel
/// beside how to read the volume is not done.
fn foreign(bytes: &[u8; SUPERBLOCK_READ]) -> Option<&'static str> {
    if bytes[MOUNT_OPTIONS_AT] != 0 {
        return Some("its superblock brings mount options (`tune2fs -E mount_opts=` removes them)");
    }
    let inode = number_32(bytes, JOURNAL_INODE_AT);
    if number_32(bytes, JOURNAL_DEVICE_AT) != 0 || inode != JOURNAL_INODE {
        return Some("its journal is not in itself (`tune2fs -O ^has_journal`, then `tune2fs -j`)");
    }
    None
}

fn number_16(bytes: &[u8; SUPERBLOCK_READ], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn number_32(bytes: &[u8; SUPERBLOCK_READ], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Sixteen bytes as people write a UUID.
pub(super) fn uuid_text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

/// Replays the journal and repairs what is safe to repair without asking. What it said, and
/// whether the filesystem is sound now.
pub(super) fn preen(device: &Path) -> Result<(bool, String), StorageError> {
    let output = programs::run("e2fsck", "e2fsprogs", &["-p"], device)?;
    let sound = output.status.code().is_some_and(|code| code < FSCK_UNCORRECTED);
    Ok((sound, programs::last_words(&output)))
}

/// Grows the filesystem in an unmounted image to the image's size. One that is damaged, or no
/// ext4, is left as it is.
///
/// Offline, though the kernel can do it online: that takes CAP_SYS_RESOURCE, which containers
/// often lack, and only new copies ever grow.
pub(super) fn grow(image: &Path) -> Result<(), StorageError> {
    let found = superblock(image).map_err(StorageError::io("reading", image))?;
    if found.is_none() {
        return Ok(());
    }
    // resize2fs insists on a forced check.
    let output = programs::run("e2fsck", "e2fsprogs", &["-f", "-p"], image)?;
    if output.status.code().is_none_or(|code| code >= FSCK_UNCORRECTED) {
        return Ok(());
    }
    programs::must("resize2fs", "e2fsprogs", &[], image)
}

/// Whether a failed mount says that the filesystem itself is damaged or missing.
pub(super) fn is_damage(cause: &io::Error) -> bool {
    matches!(
        cause.raw_os_error(),
        Some(libc::EUCLEAN | libc::EINVAL | libc::EBADMSG | libc::EIO | libc::ENOTDIR)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_in_its_five_groups() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(uuid_text(&bytes), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
