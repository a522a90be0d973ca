//! Volumes into a running node, and out again.
//!
//! A copy of the host's mount is made in the host's namespace and moved into the node's by a
//! forked child that enters it: the shim itself never leaves the host's mounts and holds none.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns};

use crate::error::{AgentError, Doing, Result};
use crate::filesystem::filesystem_uuid;
use crate::mount_points;
use crate::sys;

/// A child in the node has this long, in milliseconds; a mount takes one or two.
const CHILD_LIMIT_MS: u64 = 5_000;
/// What a child has to say is at most this long, in bytes.
const MESSAGE_MAX_BYTES: u64 = 4096;
/// The kernel's PATH_MAX.
const PATH_MAX_BYTES: usize = 4095;
/// Where a volume must not go: the node would not work any more, or the host shows through.
const RESERVED: &[&str] = &["/proc", "/sys", "/dev", "/usr", "/etc", "/run", "/.holdfast"];

/// Mounts what the host has at `source` at `target` in the node of `init`, after checking that it
/// is the file system `fs_uuid`. Doing it twice is doing it once. With `close`, nothing can be
/// written to the directory below any more.
pub(crate) fn mount_in_node(
    init: BorrowedFd<'_>,
    source: &Path,
    fs_uuid: &str,
    target: &str,
    close: bool,
) -> Result<()> {
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
    let copy = sys::open_tree_clone(source)
        .doing(|| format!("copying the mount at {}", source.display()))?;
    sys::mount_set(copy.as_fd(), sys::MOUNT_ATTR_NODEV)
        .doing(|| format!("making the copy of {} private", source.display()))?;

    in_node(init, || {
        fs::create_dir_all(&target).doing(|| format!("making {} in the node", target.display()))?;
        let look = || sys::mount_root(&target).doing(|| format!("looking at {}", target.display()));
        match look()? {
            (true, found) if found == device => return Ok(()),
            (true, _) => {
                return Err(AgentError::Invalid(format!(
                    "something else is mounted at {} in the node; unmount it first",
                    target.display()
                )));
            }
            (false, _) => {}
        }
        if close {
            // Without the mark the volume serves as well; the shim's log says what is missing.
            if let Err(e) = mount_points::mark(&target, true) {
                eprintln!("{e}");
            }
            if fs::read_dir(&target).is_ok_and(|mut entries| entries.next().is_some()) {
                eprintln!(
                    "the root volume has something at {}: the volume hides it",
                    target.display()
                );
            }
        }
        sys::move_mount_to(copy.as_fd(), &target)
            .doing(|| format!("mounting at {} in the node", target.display()))?;
        // The last component may be a link that the node made: then the volume is elsewhere.
        if look()? == (true, device) {
            Ok(())
        } else {
            Err(AgentError::Invalid(format!(
                "after mounting, {} in the node is not the volume; is it a link?",
                target.display()
            )))
        }
    })
}

/// Unmounts `target` in the node of `init`; if nothing is mounted there, that is fine. Then it is
/// a directory like any other.
pub(crate) fn unmount_in_node(init: BorrowedFd<'_>, target: &str) -> Result<()> {
    let target = checked_target(target)?;
    in_node(init, || {
        match sys::mount_root(&target) {
            Ok((true, _)) => umount2(&target, MntFlags::UMOUNT_NOFOLLOW)
                .doing(|| format!("unmounting {} in the node (is it in use?)", target.display()))?,
            Ok((false, _)) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e).doing(|| format!("looking at {}", target.display())),
        }
        mount_points::mark(&target, false).map(drop)
    })
}

/// Lets the node write again to those of `former` that nothing is mounted at.
pub(crate) fn let_go(init: BorrowedFd<'_>, former: &BTreeSet<String>) -> Result<()> {
    let targets = former.iter().map(|t| checked_target(t)).collect::<Result<Vec<_>>>()?;
    in_node(init, || targets.iter().try_for_each(|t| mount_points::mark(t, false).map(drop)))
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
