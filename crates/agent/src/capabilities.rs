//! What a node's processes may do: what container runtimes leave by default, without raw sockets
//! and device nodes. No `no_new_privs`, so `su` and other set-user-ID programs work.

use std::io;

use nix::sys::resource::{Resource, setrlimit};

use crate::error::{Doing, Result};
use crate::sys;

// Numbers of linux/capability.h.
const CHOWN: u32 = 0;
const DAC_OVERRIDE: u32 = 1;
const FOWNER: u32 = 3;
const FSETID: u32 = 4;
const KILL: u32 = 5;
const SETGID: u32 = 6;
const SETUID: u32 = 7;
const SETPCAP: u32 = 8;
const NET_BIND_SERVICE: u32 = 10;
const SYS_CHROOT: u32 = 18;
const SYS_RESOURCE: u32 = 24;
const AUDIT_WRITE: u32 = 29;
const SETFCAP: u32 = 31;

/// The capabilities that stay. Absent on purpose: NET_RAW (forged packets), MKNOD (the host's
/// disks), SYS_ADMIN, SYS_PTRACE, SYS_MODULE, NET_ADMIN (another node's address).
pub const KEPT: u64 = 1 << CHOWN
    | 1 << DAC_OVERRIDE
    | 1 << FOWNER
    | 1 << FSETID
    | 1 << KILL
    | 1 << SETGID
    | 1 << SETUID
    | 1 << SETPCAP
    | 1 << NET_BIND_SERVICE
    | 1 << SYS_CHROOT
    | 1 << AUDIT_WRITE
    | 1 << SETFCAP;

/// A limit of one byte, which nobody in a node may raise, is the kernel's word for "no core dump,
/// and no program that takes one" (core(5)): such a program runs on the host, as root.
const CORE_BYTES: u64 = 1;

/// A process of a node that crashes starts nothing on the host.
pub(crate) fn no_core_dumps() -> Result<()> {
    setrlimit(Resource::RLIMIT_CORE, CORE_BYTES, CORE_BYTES).doing(|| "limiting core dumps".into())
}

/// The kernel's sets have 64 bits.
const CAPABILITIES_MAX: u32 = 64;

/// What the node's init has besides: it takes from what it starts the right to be spared when
/// memory runs out. Init uses it for nothing else, and nothing that it starts has it.
const OF_INIT: u64 = KEPT | 1 << SYS_RESOURCE;

/// Drops everything but [`KEPT`] from the bounding, permitted and effective sets and empties the
/// inheritable and ambient ones. For the calling thread, and for good.
pub(crate) fn drop_to_kept() -> Result<()> {
    drop_to(KEPT)
}

/// As [`drop_to_kept`], for what is about to become init; init finishes it by
/// [`keep_from_descendants`].
pub(crate) fn drop_to_those_of_init() -> Result<()> {
    drop_to(OF_INIT)
}

/// In init: what it starts can have no more than [`KEPT`], and it itself sets the rest aside.
pub(crate) fn keep_from_descendants() -> Result<()> {
    sys::prctl(libc::PR_CAPBSET_DROP, SYS_RESOURCE.into())
        .doing(|| "keeping a capability from the node's processes".into())?;
    sys::set_capabilities(OF_INIT, KEPT).doing(|| "setting init's capabilities".into())
}

/// In a process that init has forked: the capability that was set aside is there until the next
/// exec.
pub(crate) fn take_up_those_of_init() -> io::Result<()> {
    sys::set_capabilities(OF_INIT, OF_INIT)
}

fn drop_to(kept: u64) -> Result<()> {
    for capability in 0..CAPABILITIES_MAX {
        if kept & (1 << capability) != 0 {
            continue;
        }
        match sys::prctl(libc::PR_CAPBSET_DROP, capability.into()) {
            Ok(_) => {}
            // The kernel knows no capability from this number on.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => break,
            Err(e) => return Err::<(), io::Error>(e).doing(|| "dropping capabilities".into()),
        }
    }
    sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong)
        .doing(|| "clearing ambient capabilities".into())?;
    sys::set_capabilities(kept, kept).doing(|| "setting the node's capabilities".into())
}
