//! The ioctls that storage needs, each as a safe function. Numbers and layouts are those of the
//! kernel's headers `linux/loop.h`, `linux/fs.h` and `fs/ext4/ext4.h`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

const LOOP_CLR_FD: libc::c_ulong = 0x4C01;
const LOOP_GET_STATUS64: libc::c_ulong = 0x4C05;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;
const FICLONE: libc::c_ulong = 0x4004_9409;
const FS_IOC_FSGETXATTR: libc::c_ulong = 0x801C_581F;
const FS_IOC_FSSETXATTR: libc::c_ulong = 0x401C_5820;
const FS_XFLAG_COWEXTSIZE: u32 = 0x0001_0000;
/// `_IOWR('X', 121, struct fstrim_range)`.
const FITRIM: libc::c_ulong = 0xC018_5879;
/// `_IOR('X', 125, __u32)`.
const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587D;
/// Do not even write the journal: what a power cut does.
const EXT4_GOING_FLAGS_NOLOGFLUSH: u32 = 2;

/// `struct loop_info64`.
#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

impl LoopInfo64 {
    const ZERO: LoopInfo64 = LoopInfo64 {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        sizelimit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: 0,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

/// `struct fsxattr`.
#[repr(C)]
struct FsXattr {
    xflags: u32,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
    pad: [u8; 8],
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The number of a loop device that was free a moment ago.
pub(super) fn loop_free(control: &File) -> io::Result<u32> {
    // SAFETY: the request takes no argument.
    let number = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) })?;
    u32::try_from(number).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Binds an image to a loop device with blocks of so many bytes, past the page cache where the
/// image's filesystem can do that with such blocks; whether it can. EBUSY: somebody else took the
/// device.
///
/// Through the page cache, a loop device of Linux 6.15 and later says that a write was done which its
/// file, for lack of space, took only in part (since "loop: stop using vfs_iter_{read,write} for
/// buffered I/O"): what was synced, and acknowledged, is not there. Past it, such a write fails.
pub(super) fn loop_configure(
    device: &File,
    image: &File,
    name: &[u8],
    block_size: u32,
) -> io::Result<bool> {
    let mut info = LoopInfo64::ZERO;
    // The name is for people (`losetup -l`); its last byte stays zero.
    let shown = name.len().min(info.file_name.len() - 1);
    info.file_name[..shown].copy_from_slice(&name[..shown]);
    info.flags = LO_FLAGS_DIRECT_IO;
    let fd =
        u32::try_from(image.as_raw_fd()).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    let config = LoopConfig { fd, block_size, info, reserved: [0; 8] };
    // SAFETY: the request reads a `struct loop_config`, which `config` is laid out as.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) })?;
    Ok(loop_status(device)?.flags & LO_FLAGS_DIRECT_IO != 0)
}

fn loop_status(device: &File) -> io::Result<LoopInfo64> {
    let mut info = LoopInfo64::ZERO;
    // SAFETY: the request fills a `struct loop_info64`, which `info` is laid out as.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64, &raw mut info) })?;
    Ok(info)
}

/// What a loop device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backing {
    /// Device number of the file.
    pub(super) dev: u64,
    /// Its inode.
    pub(super) ino: u64,
    /// Whether the device goes when its last opener does.
    pub(super) leaving: bool,
}

/// The file behind a loop device; `None` if it is free.
pub(super) fn loop_backing(device: &File) -> io::Result<Option<Backing>> {
    match loop_status(device) {
        Ok(info) => Ok(Some(Backing {
            dev: info.device,
            ino: info.inode,
            leaving: info.flags & LO_FLAGS_AUTOCLEAR != 0,
        })),
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Asks the kernel to free a loop device; it does so when the last opener is gone.
pub(super) fn loop_clear(device: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD) })?;
    Ok(())
}

/// Makes `target` share all blocks of `source`; flushes the source first.
pub(super) fn clone_file(source: &File, target: &File) -> io::Result<()> {
    // SAFETY: the request's argument is a file descriptor, passed by value.
    check(unsafe { libc::ioctl(target.as_raw_fd(), FICLONE, source.as_raw_fd()) })?;
    Ok(())
}

/// `struct fstrim_range`, all in bytes.
#[repr(C)]
struct TrimRange {
    start: u64,
    len: u64,
    minlen: u64,
}

/// Tells the device under a mounted filesystem which of its blocks are free, from `start` on for
/// `len` bytes, in pieces of at least `least` bytes; how many bytes that was.
pub(super) fn trim(directory: &File, start: u64, len: u64, least: u64) -> io::Result<u64> {
    let mut range = TrimRange { start, len, minlen: least };
    // SAFETY: the request reads and writes a `struct fstrim_range`, which `range` is laid out as.
    check(unsafe { libc::ioctl(directory.as_raw_fd(), FITRIM, &raw mut range) })?;
    Ok(range.len)
}

/// Sets the unit in which a shared image is copied on write, in bytes.
pub(super) fn set_cow_extent_size(file: &File, bytes: u32) -> io::Result<()> {
    let mut attr =
        FsXattr { xflags: 0, extsize: 0, nextents: 0, projid: 0, cowextsize: 0, pad: [0; 8] };
    // SAFETY: the request fills a `struct fsxattr`, which `attr` is laid out as.
    check(unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSGETXATTR, &raw mut attr) })?;
    attr.xflags |= FS_XFLAG_COWEXTSIZE;
    attr.cowextsize = bytes;
    // SAFETY: the request reads a `struct fsxattr`.
    check(unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSSETXATTR, &raw const attr) })?;
    Ok(())
}

/// Cuts the power of the ext4 on which `directory` lies: nothing more is written, not even the
/// journal; every later write fails with EIO.
pub(super) fn ext4_shutdown(directory: RawFd) -> io::Result<()> {
    let how: u32 = EXT4_GOING_FLAGS_NOLOGFLUSH;
    // SAFETY: the request reads one u32.
    check(unsafe { libc::ioctl(directory, EXT4_IOC_SHUTDOWN, &raw const how) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_sizes_of_the_kernel_headers() {
        assert_eq!(size_of::<LoopInfo64>(), 232);
        assert_eq!(size_of::<LoopConfig>(), 304);
        assert_eq!(size_of::<FsXattr>(), 28);
        assert_eq!(size_of::<TrimRange>(), 24);
    }
}
