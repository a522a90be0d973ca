//! Volumes into a running node, and out again.
//!
//! A copy of the host's mount is made in the host's namespace and moved into the node's by a
//! forked child that enters it: the shim itself never leaves the host's mounts and holds none.
//!
//! A node's paths are its root's to change, at any moment. What is made and mounted is reached
//! without links, through directories held open, and what is unmounted is known by its number: a
//! path alone never says what is there.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns};

use crate::beneath::Directory;
use crate::error::{AgentError, Doing, Result};
use crate::filesystem::filesystem_uuid;
use crate::mount_points;
use crate::mountinfo::Placed;
use crate::sys;

/// A child in the node has this long, in milliseconds; a mount takes one or two.
const CHILD_LIMIT_MS: u64 = 5_000;
/// How often an unmount is tried while the node moves directories.
const UNMOUNT_TRIES: u32 = 10;
/// What a child has to say is at most this long, in bytes.
const MESSAGE_MAX_BYTES: u64 = 4096;
/// The kernel's PATH_MAX.
const PATH_MAX_BYTES: usize = 4095;
/// Where a volume must not go: the node would not work any more, or the host shows through.
const RESERVED: &[&str] = &["/proc", "/sys", "/dev", "/usr", "/etc", "/run", "/.holdfast"];

/// A node, as far as its mounts are concerned.
#[derive(Clone, Copy)]
pub(crate) struct Inside<'a> {
    /// Its init.
    pub init: BorrowedFd<'a>,
    /// The number of its init on the host; it is not reaped as long as this is used.
    pub init_pid: i32,
}

/// Mounts what the host has at `source` at `target` in the node, after checking that it is the
/// file system `fs_uuid`. `held` is what was mounted there before: doing it twice is doing it once.
/// With `close`, nothing can be written to the directory below any more.
///
/// No link of the node's is followed: neither to what is made, nor to where it is mounted.
pub(crate) fn mount_in_node(
    node: Inside<'_>,
    source: &Path,
    fs_uuid: &str,
    target: &str,
    held: Option<Placed>,
    close: bool,
) -> Result<Placed> {
    let target = checked_target(target)?;
    let found = filesystem_uuid(source)?;
    if !found.eq_ignore_ascii_case(fs_uuid) {
        return Err(AgentError::Invalid(format!(
            "{} holds file system {found}, not {fs_uuid}; mount the right volume there",
            source.display()
        )));
    }
    let (is_root, device) =
        sys::mount_root(source).doing(|| format!("looking at {}", source.display()))?;
    if !is_root {
        return Err(AgentError::Invalid(format!(
            "{} is not a mount point; mount the volume there first",
            source.display()
        )));
    }
    if let Some(held) = held.filter(|held| held.device == device) {
        if held.is_at(node.init_pid, &target)? {
            return Ok(held);
        }
        // The node has moved a directory above it. It must not be there twice.
        unmount_in_node(node, held)?;
    }
    let copying = || format!("copying the mount at {}", source.display());
    let copy = sys::open_tree_clone(source).doing(copying)?;
    sys::mount_set(copy.as_fd(), sys::MOUNT_ATTR_NODEV)
        .doing(|| format!("making the copy of {} private", source.display()))?;
    let mount_id = sys::on_mount(copy.as_fd(), Path::new("")).doing(copying)?.mount_id;
    let placed = Placed { mount_id, device };

    in_node(node.init, || {
        let directory = Directory::root()?.make(&target, 0o755)?;
        if directory.on_mount()?.is_root {
            return Err(AgentError::Invalid(format!(
                "something else is mounted at {} in the node; unmount it first",
                target.display()
            )));
        }
        if close {
            // Without the mark the volume serves as well; the shim's log says what is missing.
            if let Err(e) = mount_points::mark(&directory, Path::new("."), true) {
                eprintln!("{e}");
            }
            if !directory.is_empty()? {
                eprintln!(
                    "the root volume has something at {}: the volume hides it",
                    target.display()
                );
            }
        }
        sys::move_mount_onto(copy.as_fd(), directory.as_fd())
            .doing(|| format!("mounting at {} in the node", target.display()))
    })?;
    drop(copy);
    // The node may have moved the directory, or one above it, in between.
    if placed.is_at(node.init_pid, &target)? {
        return Ok(placed);
    }
    unmount_in_node(node, placed)?;
    Err(AgentError::Invalid(format!(
        "{} was moved in the node while the volume was mounted there; try again",
        target.display()
    )))
}

/// Unmounts in the node what was mounted there by [`mount_in_node`], wherever it is now, and
/// nothing else. If it is not mounted any more, that is fine. Then the place is a directory like
/// any other.
pub(crate) fn unmount_in_node(node: Inside<'_>, placed: Placed) -> Result<()> {
    let mut tries = 0;
    loop {
        let Some(place) = placed.place(node.init_pid)? else { return Ok(()) };
        tries += 1;
        match in_node(node.init, || unmount_at(&place, placed)) {
            // The node may have moved a directory above it since the place was looked up.
            Err(_) if tries < UNMOUNT_TRIES && !placed.is_at(node.init_pid, &place)? => {}
            result => return result,
        }
    }
}

/// In the node: unmounts `place` if the mount there is the one that is meant.
fn unmount_at(place: &Path, placed: Placed) -> Result<()> {
    let (Some(parent), Some(name)) = (place.parent(), place.file_name().map(Path::new)) else {
        return Err(AgentError::Invalid(format!("{} holds no volume", place.display())));
    };
    let parent = Directory::root()?.open(parent)?;
    let there = parent.entry_on_mount(name)?;
    if (there.mount_id, there.device) != (placed.mount_id, placed.device) {
        return Err(AgentError::Invalid(format!(
            "at {} in the node is something else than the volume",
            place.display()
        )));
    }
    // From the directory that was looked at, by one name. The kernel lets nobody rename what
    // something is mounted on, so that name still means the volume.
    parent.enter()?;
    umount2(name, MntFlags::UMOUNT_NOFOLLOW)
        .doing(|| format!("unmounting {} in the node (is it in use?)", place.display()))?;
    mount_points::mark(&parent, name, false).map(drop)
}

/// Lets the node write again to those of `former` that nothing is mounted at.
pub(crate) fn let_go(init: BorrowedFd<'_>, former: &BTreeSet<String>) -> Result<()> {
    let targets = former.iter().map(|t| checked_target(t)).collect::<Result<Vec<_>>>()?;
    in_node(init, || {
        let root = Directory::root()?;
        targets.iter().try_for_each(|t| mount_points::mark(&root, t, false).map(drop))
    })
}

fn checked_target(target: &str) -> Result<PathBuf> {
    let path = PathBuf::from(target);
    let plain = path.components().skip(1).all(|c| matches!(c, Component::Normal(_)));
    let reserved = RESERVED.iter().any(|r| path.starts_with(r));
    if !path.is_absolute()
        || !plain
        || path == Path::new("/")
        || reserved
        || target.len() > PATH_MAX_BYTES
    {
        return Err(AgentError::Invalid(format!(
            "{target:?} cannot hold a volume; use an absolute path without '..' outside {}",
            RESERVED.join(", ")
        )));
    }
    Ok(path)
}

/// Does `work` in a child that sees the file systems, and has the host name, of `init`.
pub(crate) fn in_node(init: BorrowedFd<'_>, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let (mut read, mut write) = io::pipe().doing(|| "making a pipe".into())?;
    match sys::fork_into(0).doing(|| "starting a child for the node".into())? {
        sys::Fork::Child => {
            let result = setns(init, CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
                .doing(|| "entering the node's mounts and name".into())
                .and_then(|()| work());
            let code = match result {
                Ok(()) => 0,
                Err(e) => {
                    // Nobody is left to tell if this fails; the code tells that it went wrong.
                    let _ = write.write_all(e.to_string().as_bytes());
                    1
                }
            };
            sys::exit_now(code)
        }
        sys::Fork::Parent { pid, pidfd } => {
            drop(write);
            let waiting = || "waiting for a child in the node".to_owned();
            if !sys::wait_readable(pidfd.as_fd(), CHILD_LIMIT_MS).doing(waiting)? {
                sys::pidfd_signal(pidfd.as_fd(), libc::SIGKILL).doing(waiting)?;
                return Err(AgentError::TimedOut {
                    doing: "a change of the node's mounts".into(),
                    limit_ms: CHILD_LIMIT_MS,
                });
            }
            let ended = sys::wait_pid(pid, 0).doing(waiting)?;
            if matches!(ended, Some((_, sys::Ended::Code(0)))) {
                return Ok(());
            }
            let mut message = String::new();
            (&mut read).take(MESSAGE_MAX_BYTES).read_to_string(&mut message).doing(waiting)?;
            if message.is_empty() {
                message = format!("a child in the node ended unexpectedly: {ended:?}");
            }
            Err(AgentError::Refused(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_go_only_where_they_do_no_harm() {
        assert!(checked_target("/data").is_ok());
        assert!(checked_target("/var/lib/postgresql").is_ok());
        for bad in ["/", "data", "/data/../etc", "/proc/x", "/usr", "/etc/ssl", ""] {
            assert!(checked_target(bad).is_err(), "{bad}");
        }
    }
}
