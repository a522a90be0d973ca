//! System calls that a node does without, because what they reach has no namespace: the keyrings
//! of user 0 are the host's, and in a user namespace of its own a process would get back, over
//! most of the kernel, the capabilities that it was denied.

use crate::error::{Doing, Result};

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E; // AUDIT_ARCH_X86_64 of linux/audit.h
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7; // AUDIT_ARCH_AARCH64
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the node's system call filter is written for x86_64 and aarch64");

/// Refused with EPERM.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
];

/// x32 calls have this bit in their number and would pass every comparison.
const X32_BIT: u32 = 0x4000_0000;

// Offsets into `struct seccomp_data`; both architectures are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

// linux/bpf_common.h, linux/seccomp.h.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const SET_MODE_FILTER: libc::c_ulong = 1;
const SPEC_ALLOW: libc::c_ulong = 4;

fn step(code: u16, k: u32, yes: u8, no: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt: yes, jf: no, k }
}

fn program() -> Vec<libc::sock_filter> {
    let refuse = step(RETURN, ERRNO | libc::EPERM as u32, 0, 0);
    // A C library that is told so falls back to `clone`, whose flags can be looked at.
    let absent = step(RETURN, ERRNO | libc::ENOSYS as u32, 0, 0);
    let mut program = vec![
        step(LOAD, ARCHITECTURE, 0, 0),
        step(IF_EQUAL, ARCH, 1, 0),
        absent,
        step(LOAD, NUMBER, 0, 0),
        step(IF_AT_LEAST, X32_BIT, 0, 1),
        absent,
        step(IF_EQUAL, libc::SYS_clone3 as u32, 0, 1),
        absent,
    ];
    for number in REFUSED {
        program.push(step(IF_EQUAL, *number as u32, 0, 1));
        program.push(refuse);
    }
    program.extend([
        step(IF_EQUAL, libc::SYS_clone as u32, 2, 0),
        step(IF_EQUAL, libc::SYS_unshare as u32, 1, 0),
        step(RETURN, ALLOW, 0, 0),
        step(LOAD, FIRST_ARGUMENT, 0, 0),
        step(IF_ANY_BIT, libc::CLONE_NEWUSER as u32, 0, 1),
        refuse,
        step(RETURN, ALLOW, 0, 0),
    ]);
    program
}

/// For the calling thread and all that it starts, for good. Needs CAP_SYS_ADMIN, so it comes
/// before the capabilities are dropped.
pub(crate) fn refuse_what_has_no_namespace() -> Result<()> {
    let mut program = program();
    let filter =
        libc::sock_fprog { len: program.len() as libc::c_ushort, filter: program.as_mut_ptr() };
    // SAFETY: the program and its description live across the call, which copies them.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, SPEC_ALLOW, &raw const filter) };
    if result != 0 {
        return Err(std::io::Error::last_os_error())
            .doing(|| "filtering the node's system calls (seccomp)".into());
    }
    Ok(())
}
