//! What can go wrong with storage, each with its remedy.

use std::io;
use std::path::{Path, PathBuf};

/// Why a storage operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Mounting needs root.
    #[error("real volumes need root (loop devices and mounts); start Holdfast as root")]
    NotRoot,
    /// The kernel has no loop devices for us.
    #[error(
        "/dev/loop-control cannot be used ({cause}); load the module with `modprobe loop`, or give \
         the container access to loop devices"
    )]
    NoLoopDevices {
        /// The kernel's word.
        cause: io::Error,
    },
    /// Every loop device that was tried was taken by somebody else first.
    #[error(
        "no free loop device for {image} after {tries} tries; see `losetup -a` for who holds them"
    )]
    LoopsTaken {
        /// What should have been attached.
        image: PathBuf,
        /// How often it was tried.
        tries: u32,
    },
    /// A program is not installed.
    #[error("{program} is not installed; install the package {package}")]
    MissingProgram {
        /// The program.
        program: &'static str,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// A program failed.
    #[error("{program} failed on {path} ({status}): {output}")]
    ProgramFailed {
        /// The program.
        program: &'static str,
        /// What it worked on.
        path: PathBuf,
        /// Its exit status.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// The pool's file is there, but is not a pool that mounts.
    #[error(
        "the pool {path} does not mount ({cause}); nothing was changed. Restore the file from a \
         copy or look at it with `xfs_repair -n {path}`; to give up everything in it, use \
         `holdfast local reset`"
    )]
    PoolDoesNotMount {
        /// The pool's file.
        path: PathBuf,
        /// The kernel's word.
        cause: io::Error,
    },
    /// Something else is mounted where the pool belongs.
    #[error(
        "{path} is a mount point, but not of the pool {expected}; unmount it or choose another \
         data directory"
    )]
    PoolPathTaken {
        /// Where the pool belongs.
        path: PathBuf,
        /// The pool's file.
        expected: PathBuf,
    },
    /// A volume's filesystem is damaged. It is never formatted again.
    #[error(
        "the filesystem of {volume} does not mount ({cause}); it was not changed beyond \
         `e2fsck -p`, which said: {fsck}. Restore it from a snapshot, or repair {image} by hand \
         with `e2fsck -f`"
    )]
    FilesystemDoesNotMount {
        /// The volume.
        volume: String,
        /// Its image.
        image: PathBuf,
        /// The kernel's word.
        cause: io::Error,
        /// The end of what the check said.
        fsck: String,
    },
    /// The pool or the disk under it is nearly full.
    #[error(
        "no space left for {what}: {free_mib} MiB free under {path}, {reserve_mib} MiB are kept in \
         reserve; delete snapshots or volumes, or free space on the disk"
    )]
    NoSpace {
        /// What was to be made.
        what: String,
        /// Which filesystem is full.
        path: PathBuf,
        /// Free space in MiB.
        free_mib: u64,
        /// What has to stay free, in MiB.
        reserve_mib: u64,
    },
    /// No such volume or snapshot.
    #[error("{id} does not exist (no file {path})")]
    NotFound {
        /// The volume or snapshot.
        id: String,
        /// Where its image would be.
        path: PathBuf,
    },
    /// A volume or snapshot of that id is there already.
    #[error("{id} exists already; it was not touched")]
    AlreadyExists {
        /// The volume or snapshot.
        id: String,
    },
    /// The volume is attached or mounted.
    #[error("{id} is in use ({by}); detach it first")]
    InUse {
        /// The volume.
        id: String,
        /// What holds it.
        by: String,
    },
    /// A detached device did not let go of its image in time.
    #[error(
        "{device} still holds {id} after {waited_ms} ms: some process or mount namespace keeps it \
         open; stop that process, then try again"
    )]
    StillHeld {
        /// The volume.
        id: String,
        /// The loop device.
        device: PathBuf,
        /// How long it was waited for, in milliseconds.
        waited_ms: u64,
    },
    /// The volume is not attached.
    #[error("{id} is not attached to a loop device; attach it first")]
    NotAttached {
        /// The volume.
        id: String,
    },
    /// A volume can only grow.
    #[error("{id} cannot be {asked_gib} GiB: its source has {has_bytes} bytes; ask for more")]
    TooSmall {
        /// The new volume.
        id: String,
        /// The size that was asked for, in GiB.
        asked_gib: u32,
        /// The source's size in bytes.
        has_bytes: u64,
    },
    /// An id that cannot be a file's name.
    #[error("{id:?} cannot be used as an id: letters, digits and hyphens only, at most 64")]
    BadId {
        /// The id.
        id: String,
    },
    /// A path that is not one of this pool's mounts: shutting it down would hit something else.
    #[error("{path} is not a mounted volume of the pool in {pool}; nothing was done")]
    NotOurMount {
        /// The path.
        path: PathBuf,
        /// The pool's directory.
        pool: PathBuf,
    },
    /// The operating system refused.
    #[error("{doing} {path}: {cause}")]
    Io {
        /// What was done, as a participle.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's word.
        cause: io::Error,
    },
}

impl StorageError {
    /// For `map_err`: an I/O error with what was being done, to what. A full disk keeps its
    /// class.
    pub(crate) fn io(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> StorageError + use<> {
        let path = path.to_owned();
        move |cause| {
            if matches!(cause.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) {
                StorageError::NoSpace {
                    what: format!("{doing} {}", path.display()),
                    path,
                    free_mib: 0,
                    reserve_mib: 0,
                }
            } else {
                StorageError::Io { doing, path, cause }
            }
        }
    }

    /// Whether more space, and nothing else, would make it work.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self, StorageError::NoSpace { .. })
    }
}
