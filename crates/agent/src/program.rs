//! What a process that is to live in a node, or to enter one, is made of: this program's own file,
//! and a file that says what it is to do.

use std::fs;
use std::io::{self, Seek};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{AgentError, Doing, Result};
use crate::sys;

/// `value` as JSON in a file without a name, sealed off from the host's disk, at its beginning.
pub(crate) fn nameless_file(value: &impl serde::Serialize) -> Result<fs::File> {
    let doing = || "handing over what is to be done".to_owned();
    let mut file =
        fs::File::from(memfd_create(c"holdfast-node", MFdFlags::MFD_CLOEXEC).doing(doing)?);
    serde_json::to_writer(&mut file, value)
        .map_err(|e| AgentError::Protocol(format!("{}: {e}", doing())))?;
    file.rewind().doing(doing)?;
    Ok(file)
}

/// This program's file through a mount on which it cannot be written, whatever a node that runs
/// as root does with `/proc/PID/exe`: the same file runs as root on the host.
pub(crate) fn own_program() -> Result<OwnedFd> {
    let path = Path::new("/proc/self/exe");
    let doing = || "opening Holdfast's own program file".to_owned();
    let mount = match sys::open_tree_clone(path) {
        Ok(mount) => mount,
        // The program is not in a mount of this namespace (it runs from memory, say).
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => return program_in_memory(path),
        Err(e) => return Err(e).doing(doing),
    };
    sys::mount_set(mount.as_fd(), sys::MOUNT_ATTR_RDONLY).doing(doing)?;
    Ok(mount)
}

fn program_in_memory(path: &Path) -> Result<OwnedFd> {
    let doing = || "copying Holdfast's own program".to_owned();
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create(c"holdfast", flags).doing(doing)?;
    let mut copy = fs::File::from(memory);
    io::copy(&mut fs::File::open(path).doing(doing)?, &mut copy).doing(doing)?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: plain numbers on an open descriptor.
    if unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
        return Err(io::Error::last_os_error()).doing(doing);
    }
    // Executing needs a descriptor that is not open for writing.
    let name = format!("/proc/self/fd/{}", copy.as_raw_fd());
    let name = sys::path_c(Path::new(&name)).doing(doing)?;
    // SAFETY: a valid C string; the result is checked.
    let fd = unsafe { libc::open(name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error()).doing(doing);
    }
    // SAFETY: just opened, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
