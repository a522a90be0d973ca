//! Mounting, unmounting and the kernel's list of mounts.

use super::error::StorageError;
use holdfast_agent::unescape_mountinfo;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often an unmount is tried while the last process of a node goes away.
const MAX_UNMOUNT_TRIES: u32 = 100;
/// Between two tries.
const UNMOUNT_PAUSE: Duration = Duration::from_millis(5);

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone)]
pub(super) struct MountEntry {
    pub(super) id: u64,
    /// Major and minor of the filesystem's device.
    pub(super) device: (u32, u32),
    pub(super) target: PathBuf,
    /// The filesystem's own options, such as `rw,shutdown`.
    pub(super) super_options: String,
}

/// Every mount that this process sees, oldest first.
pub(super) fn all() -> Result<Vec<MountEntry>, StorageError> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read(path).map_err(StorageError::io("reading", path))?;
    Ok(text.split(|b| *b == b'\n').filter_map(parse).collect())
}

/// Every mount that another process sees; none if there is no such process.
pub(super) fn of_process(pid: i32) -> Result<Vec<MountEntry>, StorageError> {
    let path = PathBuf::from(format!("/proc/{pid}/mountinfo"));
    match fs::read(&path) {
        Ok(text) => Ok(text.split(|b| *b == b'\n').filter_map(parse).collect()),
        // A process that ends meanwhile has none (proc(5)).
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESRCH | libc::EINVAL)) => {
            Ok(Vec::new())
        }
        Err(e) => Err(StorageError::io("reading", &path)(e)),
    }
}

/// The topmost mount at exactly this path.
pub(super) fn at(target: &Path) -> Result<Option<MountEntry>, StorageError> {
    Ok(all()?.into_iter().rfind(|m| m.target == target))
}

fn parse(line: &[u8]) -> Option<MountEntry> {
    // Fields: id, parent, major:minor, root, mount point, options, optional ones, a hyphen, type,
    // source, the filesystem's options (proc(5)).
    let mut fields = line.split(|b| *b == b' ');
    let id = text(fields.next()?)?.parse().ok()?;
    let device = text(fields.nth(1)?)?.split_once(':')?;
    let device = (device.0.parse().ok()?, device.1.parse().ok()?);
    let target = unescape_mountinfo(fields.nth(1)?);
    let super_options = fields.by_ref().skip_while(|field| field != b"-").nth(3);
    let super_options = super_options.and_then(text).unwrap_or_default().to_owned();
    Some(MountEntry { id, device, target, super_options })
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Binds a directory onto itself and cuts it off from the host's mounts: nothing mounted below it
/// appears elsewhere. Does nothing a second time.
///
/// It then gets a peer group of its own. Mount namespaces that are made from now on hold copies of
/// what is mounted below; where they are slaves (a starting node, a systemd service), an unmount
/// here reaches them, too, instead of being held up by them.
pub(super) fn isolate(directory: &Path) -> Result<(), StorageError> {
    if at(directory)?.is_none() {
        call(
            "binding onto itself",
            directory,
            mount(Some(directory), directory, None::<&str>, MsFlags::MS_BIND, None::<&str>),
        )?;
        make_private(directory)?;
    }
    call("sharing", directory, propagation(directory, MsFlags::MS_SHARED))
}

/// Cuts one mount off: what is mounted below it stays in this namespace.
pub(super) fn make_private(target: &Path) -> Result<(), StorageError> {
    call("making private", target, propagation(target, MsFlags::MS_PRIVATE))
}

fn propagation(target: &Path, flag: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, target, None::<&str>, flag, None::<&str>)
}

/// Mounts a block device; the kernel's error as it is, since callers read it.
pub(super) fn mount_device(
    device: &Path,
    target: &Path,
    kind: &str,
    flags: MsFlags,
    options: &str,
) -> io::Result<()> {
    let options = (!options.is_empty()).then_some(options);
    mount(Some(device), target, Some(kind), flags, options).map_err(io::Error::from)
}

/// Unmounts everything that is mounted at exactly this path; nothing there is success.
///
/// While something keeps it busy it is tried again for half a second, then unmounted lazily.
pub(super) fn unmount(target: &Path) -> Result<(), StorageError> {
    for _ in 0..MAX_UNMOUNT_TRIES {
        if at(target)?.is_none() {
            return Ok(());
        }
        match umount2(target, MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(nix::Error::EBUSY) => std::thread::sleep(UNMOUNT_PAUSE),
            Err(nix::Error::EINVAL | nix::Error::ENOENT) => return Ok(()),
            Err(e) => return call("unmounting", target, Err(e)),
        }
    }
    unmount_lazily(target)
}

/// Takes a mount out of sight at once; its filesystem goes when its last user does.
pub(super) fn unmount_lazily(target: &Path) -> Result<(), StorageError> {
    match umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => Ok(()),
        Err(e) => call("unmounting lazily", target, Err(e)),
    }
}

/// Every mount at or below a directory, the latest first: the order in which to unmount.
pub(super) fn below(directory: &Path) -> Result<Vec<MountEntry>, StorageError> {
    let mut found: Vec<_> =
        all()?.into_iter().filter(|m| m.target.starts_with(directory)).collect();
    found.sort_by_key(|m| (m.target.as_os_str().as_bytes().len(), m.id));
    found.reverse();
    Ok(found)
}

fn call(doing: &'static str, path: &Path, result: nix::Result<()>) -> Result<(), StorageError> {
    result.map_err(|e| StorageError::io(doing, path)(io::Error::from(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_read_with_its_escapes() {
        let line = b"36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime - ext4 /dev/root rw";
        let entry = parse(line).map(|e| (e.id, e.device, e.target));
        assert_eq!(entry, Some((36, (98, 0), PathBuf::from("/mnt/a b"))));
    }
}
