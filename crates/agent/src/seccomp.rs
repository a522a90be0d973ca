//! System calls that a node does without, because what they reach has no namespace: the keyrings
//! of user 0 are the host's, and in a user namespace of its own a process would get back, over
//! most of the kernel, the capabilities that it was denied. And nobody in a node types on a
//! terminal by a system call: no terminal of the host's gets there, and this is the second wall.

use crate::error::{Doing, Result};

#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xC000_003E; // AUDIT_ARCH_X86_64 of linux/audit.h
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xC000_00B7; // AUDIT_ARCH_AARCH64
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the node's system call filter is written for x86_64 and aarch64");

/// Refused with EPERM. The last four would show what is the host's: file system events and files
/// by number, which no mount namespace bounds, and the kernel's log.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_open_by_handle_at,
    libc::SYS_syslog,
];

/// Answered with ENOSYS, as a kernel does that does not have them: programs know such kernels, and
/// do without. `clone3` keeps its flags where no filter can look, and a C library falls back to
/// `clone`. What is asked of io_uring passes by every filter; databases that like it (MariaDB,
/// PostgreSQL, libuv) ask with this call first and fall back.
const ABSENT: &[libc::c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// The families of sockets that a node may have: what servers use. Any other is answered as by a
/// kernel that lacks it: AF_VSOCK reaches the hypervisor and no network namespace bounds it; the
/// rest (AF_ALG, AF_PACKET, Bluetooth, CAN…) is kernel code that no server needs, which asking
/// for it would load.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Requests of `ioctl` that put something into a terminal's input: TIOCSTI, and TIOCLINUX, which
/// pastes on a console; and TIOCSETD, which loads drivers of modems into the kernel. Numbers of
/// asm-generic/ioctls.h.
const TERMINAL: [u32; 3] = [0x5412, 0x541C, 0x5423];

/// x32 calls have this bit in their number and would pass every comparison.
const X32_BIT: u32 = 0x4000_0000;

// Offsets into `struct seccomp_data`; both architectures are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// Of an argument the lower half: the kernel takes flags of `clone` and requests of `ioctl` as 32
/// bits, and passes over what a caller has put into the upper half.
const FIRST_ARGUMENT: u32 = 16;
const SECOND_ARGUMENT: u32 = 24;

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

fn refuse() -> libc::sock_filter {
    step(RETURN, ERRNO | libc::EPERM as u32, 0, 0)
}

/// Refuses a call where one of the tests (code and value) is true of its argument.
fn refuse_where(
    program: &mut Vec<libc::sock_filter>,
    number: libc::c_long,
    argument: u32,
    tests: &[(u16, u32)],
) {
    let mut block = vec![step(LOAD, argument, 0, 0)];
    for (code, value) in tests {
        block.push(step(*code, *value, 0, 1));
        block.push(refuse());
    }
    block.push(step(RETURN, ALLOW, 0, 0));
    // Far below 256: the lists above are short.
    program.push(step(IF_EQUAL, number as u32, 0, block.len() as u8));
    program.extend(block);
}

fn program() -> Vec<libc::sock_filter> {
    let absent = step(RETURN, ERRNO | libc::ENOSYS as u32, 0, 0);
    let mut program = vec![
        step(LOAD, ARCHITECTURE, 0, 0),
        step(IF_EQUAL, ARCH, 1, 0),
        absent,
        step(LOAD, NUMBER, 0, 0),
        step(IF_AT_LEAST, X32_BIT, 0, 1),
        absent,
    ];
    for number in ABSENT {
        program.push(step(IF_EQUAL, *number as u32, 0, 1));
        program.push(absent);
    }
    for number in REFUSED {
        program.push(step(IF_EQUAL, *number as u32, 0, 1));
        program.push(refuse());
    }
    let users = [(IF_ANY_BIT, libc::CLONE_NEWUSER as u32)];
    for number in [libc::SYS_clone, libc::SYS_unshare] {
        refuse_where(&mut program, number, FIRST_ARGUMENT, &users);
    }
    let requests = TERMINAL.map(|request| (IF_EQUAL, request));
    refuse_where(&mut program, libc::SYS_ioctl, SECOND_ARGUMENT, &requests);
    for number in [libc::SYS_socket, libc::SYS_socketpair] {
        // The families that pass jump over the answer of all others.
        let mut block = vec![step(LOAD, FIRST_ARGUMENT, 0, 0)];
        for (at, family) in FAMILIES.iter().enumerate() {
            block.push(step(IF_EQUAL, *family as u32, (FAMILIES.len() - at) as u8, 0));
        }
        block.push(step(RETURN, ERRNO | libc::EAFNOSUPPORT as u32, 0, 0));
        block.push(step(RETURN, ALLOW, 0, 0));
        program.push(step(IF_EQUAL, number as u32, 0, block.len() as u8));
        program.extend(block);
    }
    program.push(step(RETURN, ALLOW, 0, 0));
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
