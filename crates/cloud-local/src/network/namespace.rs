//! Network namespaces: entering them on threads of their own, and pinning them to files.

use super::error::NetworkError;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

/// Where namespaces are pinned, below the data directory.
const PIN_DIRECTORY: &str = "netns";
/// The fabric's own pin.
const FABRIC: &str = "fabric";
/// The longest name of a node.
const MAX_NAME: usize = 64;
/// How often one file is unmounted: pins can lie on top of each other after a race, but not deep.
const MAX_STACKED_PINS: u32 = 16;
/// The most pins that are listed or removed; far above the nodes that a host can run.
const MAX_PINS: usize = 65_536;
/// `statfs`'s type of a file that is a namespace. Source: linux/magic.h, `NSFS_MAGIC`.
const NSFS_MAGIC: u64 = 0x6e73_6673;
/// The calling thread's network namespace. Not `/proc/self`: that is the main thread's.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// Runs a closure on a new thread in the network namespace pinned at `path`, and waits for it.
/// Sockets that it makes stay in that namespace and can be returned.
///
/// Blocks: from async code, use it on a thread where blocking is allowed. A panic in the closure
/// goes on in the caller.
///
/// # Errors
/// [`NetworkError::NoNamespace`] if nothing is pinned there; otherwise what the system said.
pub fn in_namespace<R: Send>(path: &Path, f: impl FnOnce() -> R + Send) -> Result<R, NetworkError> {
    let namespace = open(path)?;
    on_own_thread(|| {
        enter(&namespace, path)?;
        Ok(f())
    })
}

/// Runs a closure on a new thread, which ends with it: only such a thread may change namespaces.
pub(super) fn on_own_thread<R: Send>(
    f: impl FnOnce() -> Result<R, NetworkError> + Send,
) -> Result<R, NetworkError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("holdfast-netns".to_owned())
            .spawn_scoped(scope, f)
            .map_err(|cause| NetworkError::Thread { cause })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A pinned namespace; it lives at least as long as this file is open.
pub(super) fn open(path: &Path) -> Result<File, NetworkError> {
    if !is_pinned(path)? {
        return Err(NetworkError::NoNamespace { path: path.to_owned() });
    }
    File::open(path).map_err(NetworkError::io("opening the network namespace", path))
}

/// Moves the calling thread, which must be one of [`on_own_thread`].
pub(super) fn enter(namespace: &File, path: &Path) -> Result<(), NetworkError> {
    setns(namespace, CloneFlags::CLONE_NEWNET)
        .map_err(NetworkError::io("entering the network namespace", path))
}

/// Gives the calling thread, which must be one of [`on_own_thread`], a new and empty namespace.
pub(super) fn enter_new() -> Result<(), NetworkError> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(NetworkError::io("making a network namespace for", Path::new(OWN_NAMESPACE)))
}

/// The calling thread's namespace as a file.
pub(super) fn own() -> Result<File, NetworkError> {
    File::open(OWN_NAMESPACE).map_err(NetworkError::io("opening", Path::new(OWN_NAMESPACE)))
}

/// The directory of the pins.
#[derive(Debug, Clone)]
pub(super) struct Pins {
    directory: PathBuf,
}

impl Pins {
    /// Of a data directory that may not have any yet; changes nothing.
    pub(super) fn of(dir: &Path) -> Result<Pins, NetworkError> {
        let dir = match dir.canonicalize() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => dir.to_owned(),
            result => result.map_err(NetworkError::io("looking at", dir))?,
        };
        Ok(Pins { directory: dir.join(PIN_DIRECTORY) })
    }

    /// Makes the directory and a mount of its own, so that no pin appears in the host's other
    /// mount namespaces. The mount then gets a peer group of its own: namespaces that are copied
    /// from this one later and are its slaves (a starting node's) let go of a pin when it goes
    /// here.
    pub(super) fn prepare(&self) -> Result<(), NetworkError> {
        let path = &self.directory;
        fs::create_dir_all(path).map_err(NetworkError::io("making", path))?;
        if !is_mount_point(path)? {
            mount(Some(path), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(NetworkError::io("binding onto itself", path))?;
            self.propagation(MsFlags::MS_PRIVATE)?;
        }
        self.propagation(MsFlags::MS_SHARED)
    }

    fn propagation(&self, flag: MsFlags) -> Result<(), NetworkError> {
        mount(None::<&str>, &self.directory, None::<&str>, flag, None::<&str>)
            .map_err(NetworkError::io("changing the propagation of", &self.directory))
    }

    pub(super) fn fabric(&self) -> PathBuf {
        self.directory.join(FABRIC)
    }

    /// Where a node's namespace is pinned.
    pub(super) fn node(&self, name: &str) -> Result<PathBuf, NetworkError> {
        let good = !name.is_empty()
            && name.len() <= MAX_NAME
            && name != FABRIC
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !good {
            return Err(NetworkError::BadName { name: name.to_owned() });
        }
        Ok(self.directory.join(name))
    }

    /// The names of every file there, sorted: pins, and what a crash left of one.
    pub(super) fn names(&self) -> Result<Vec<String>, NetworkError> {
        let path = &self.directory;
        let entries = match fs::read_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(NetworkError::io("listing", path))?,
        };
        let mut names = Vec::new();
        for entry in entries.take(MAX_PINS) {
            let entry = entry.map_err(NetworkError::io("listing", path))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// The file of one of [`Pins::names`].
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Removes the directory, which must be empty, and its mount.
    pub(super) fn remove(&self) -> Result<(), NetworkError> {
        let path = &self.directory;
        if path.exists() {
            unmount_all(path)?;
        }
        match fs::remove_dir(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(NetworkError::io("removing", path)(e))
            }
            _ => Ok(()),
        }
    }
}

/// Pins the calling thread's namespace to a file, instead of what was pinned there.
pub(super) fn pin_own(path: &Path) -> Result<(), NetworkError> {
    unpin(path)?;
    File::create(path).map_err(NetworkError::io("making", path))?;
    mount(Some(OWN_NAMESPACE), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(NetworkError::io("pinning a network namespace at", path))
}

/// Removes a pin and its file; nothing there is success. The namespace itself goes when the last
/// process in it does.
pub(super) fn unpin(path: &Path) -> Result<(), NetworkError> {
    unmount_all(path)?;
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(NetworkError::io("removing", path)(e)),
        _ => Ok(()),
    }
}

/// Whether a namespace is pinned at exactly this path.
pub(super) fn is_pinned(path: &Path) -> Result<bool, NetworkError> {
    match rustix::fs::statfs(path) {
        #[expect(clippy::cast_sign_loss, reason = "its type differs by platform; the magic fits")]
        Ok(found) => Ok(found.f_type as u64 == NSFS_MAGIC),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(e) => Err(NetworkError::io("looking at", path)(e)),
    }
}

fn is_mount_point(path: &Path) -> Result<bool, NetworkError> {
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
        .map_err(NetworkError::io("looking at", path))?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Lazily, because a reader may have the file open for a moment.
fn unmount_all(path: &Path) -> Result<(), NetworkError> {
    for _ in 0..MAX_STACKED_PINS {
        match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            // Not a mount point, or not there.
            Err(nix::Error::EINVAL | nix::Error::ENOENT) => return Ok(()),
            Err(e) => return Err(NetworkError::io("unmounting", path)(e)),
        }
    }
    Err(NetworkError::io("unmounting", path)(io::Error::from(nix::Error::EBUSY)))
}
