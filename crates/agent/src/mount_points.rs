//! The directories of a root volume at which volumes are mounted. While nothing is mounted there,
//! nothing can be written there: it would be hidden as soon as the volume is there, and missing on
//! the volume.
//!
//! Such a directory is marked immutable (chattr(1), `i`), which does not keep anything from being
//! mounted over it. A node cannot take the mark away, so Holdfast does when a directory is no
//! longer a mount point. Which directories it has marked stands in a list on the root volume: a
//! copy of the volume has the marks, too.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::Mode;

use crate::beneath::Directory;
use crate::error::{AgentError, Doing, Result};
use crate::skeleton::HIDDEN;
use crate::sys;

/// The list, in Holdfast's own directory on the root volume, and the next one while it is written.
const LIST: &str = "mount-points";
const NEXT_LIST: &str = "mount-points.new";
/// The list is never longer than this, in bytes: as many paths as a manifest has, and as many
/// that were in the one before, at their longest.
const LIST_MAX_BYTES: u64 = 1024 * 1024;

/// `_IOR('f', 1, long)`, `_IOW('f', 2, long)` and the mark, of linux/fs.h.
const FS_IOC_GETFLAGS: libc::c_ulong = 0x8008_6601;
const FS_IOC_SETFLAGS: libc::c_ulong = 0x4008_6602;
const FS_IMMUTABLE_FL: libc::c_int = 0x10;

/// The list of one root volume, by where the host has it mounted.
pub(crate) struct MountPoints {
    root: PathBuf,
}

impl MountPoints {
    pub fn of(root_mount: &Path) -> Self {
        Self { root: root_mount.into() }
    }

    /// All that were marked and not let go since.
    pub fn all(&self) -> Result<BTreeSet<String>> {
        let hidden = self.hidden()?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let list = match openat(&hidden, LIST, flags, Mode::empty()) {
            Ok(list) => list,
            Err(Errno::ENOENT) => return Ok(BTreeSet::new()),
            Err(e) => return Err(e).doing(|| self.doing("reading")),
        };
        let mut text = Vec::new();
        let limited = &mut fs::File::from(list).take(LIST_MAX_BYTES);
        limited.read_to_end(&mut text).doing(|| self.doing("reading"))?;
        serde_json::from_slice(&text)
            .map_err(|e| AgentError::Invalid(format!("{}: {e}", self.doing("reading"))))
    }

    /// Durable before it returns: a mark that no list knows would stay for good.
    pub fn add(&self, target: &str) -> Result<()> {
        let mut all = self.all()?;
        if all.insert(target.to_owned()) { self.write(&all) } else { Ok(()) }
    }

    pub fn remove(&self, targets: &BTreeSet<String>) -> Result<()> {
        let before = self.all()?;
        let left: BTreeSet<String> = before.difference(targets).cloned().collect();
        if left == before { Ok(()) } else { self.write(&left) }
    }

    fn write(&self, all: &BTreeSet<String>) -> Result<()> {
        let doing = || self.doing("writing");
        let text = serde_json::to_vec(all)
            .map_err(|e| AgentError::Invalid(format!("{}: {e}", doing())))?;
        if text.len() as u64 > LIST_MAX_BYTES {
            return Err(AgentError::Invalid(format!(
                "{}: it would be longer than {LIST_MAX_BYTES} bytes",
                doing()
            )));
        }
        let hidden = self.hidden()?;
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_TRUNC
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_CLOEXEC;
        let next = openat(&hidden, NEXT_LIST, flags, Mode::from_bits_truncate(0o600));
        let mut next = fs::File::from(next.doing(doing)?);
        next.write_all(&text).and_then(|()| next.sync_all()).doing(doing)?;
        renameat(&hidden, NEXT_LIST, &hidden, LIST).doing(doing)?;
        fs::File::from(hidden).sync_all().doing(doing)
    }

    /// Holdfast's own directory. The volume may have been in other hands: no link in it is followed.
    fn hidden(&self) -> Result<OwnedFd> {
        let root = fs::File::open(&self.root).doing(|| self.doing("opening"))?;
        let how =
            OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).resolve(
                ResolveFlag::RESOLVE_BENEATH
                    | ResolveFlag::RESOLVE_NO_SYMLINKS
                    | ResolveFlag::RESOLVE_NO_XDEV,
            );
        openat2(&root, HIDDEN, how).doing(|| self.doing("opening"))
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} the list of mount points of the root volume at {}", self.root.display())
    }
}

/// Sets or takes away the mark of the directory at `path`, counted from `at` in the tree of the node
/// that the caller is in; no link is followed. Only on the node's root volume: another volume goes to
/// other nodes. False where there was nothing to do.
pub(crate) fn mark(at: &Directory, path: &Path, closed: bool) -> Result<bool> {
    let doing = || {
        let what = if closed { "closing" } else { "opening" };
        format!("{what} the mount point {} of the root volume for writers", path.display())
    };
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let relative = path.strip_prefix("/").unwrap_or(path);
    let file = match sys::open_beneath(at.as_fd(), relative, flags, 0) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e).doing(doing),
    };
    let there = sys::on_mount(file.as_fd(), Path::new("")).doing(doing)?;
    if there.device != Directory::root()?.on_mount()?.device {
        return Ok(false);
    }
    let mut flags: libc::c_int = 0;
    // SAFETY: the request takes a pointer to an int (whatever its name says), alive in the call.
    if unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_GETFLAGS, &raw mut flags) } < 0 {
        return Err(io::Error::last_os_error()).doing(doing);
    }
    let wanted = if closed { flags | FS_IMMUTABLE_FL } else { flags & !FS_IMMUTABLE_FL };
    if wanted == flags {
        return Ok(false);
    }
    // SAFETY: as above.
    if unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_SETFLAGS, &raw const wanted) } < 0 {
        return Err(io::Error::last_os_error()).doing(doing);
    }
    Ok(true)
}
