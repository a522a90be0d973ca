//! The system calls that no dependency wraps the way a node needs them, made safe to call.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{c_int, c_long, c_uint, c_ulong, pid_t};

const OPEN_TREE_CLONE: c_uint = 1;
const OPEN_TREE_CLOEXEC: c_uint = libc::O_CLOEXEC as c_uint;
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: c_uint = 0x40;
/// `mount_setattr`: nothing can be written through this mount.
pub const MOUNT_ATTR_RDONLY: u64 = 0x1;
/// `mount_setattr`: device nodes on this mount are dead.
pub const MOUNT_ATTR_NODEV: u64 = 0x4;

/// `_IOWR('X', 119, int)` and `_IOWR('X', 120, int)` of `linux/fs.h`.
const FIFREEZE: c_ulong = 0xC004_5877;
const FITHAW: c_ulong = 0xC004_5878;

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `struct clone_args` of `clone3(2)`, version 0 (64 bytes).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(result: c_long) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

pub fn path_c(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// The two sides of a fork.
pub enum Fork {
    /// In the parent: the child and its pidfd.
    Parent { pid: pid_t, pidfd: OwnedFd },
    /// In the child.
    Child,
}

/// Forks with `clone3`; `flags` are `CLONE_NEW*`. To be called only in a single-threaded process:
/// in any other the child could find a lock held by a thread that does not exist in it.
pub fn fork_into(flags: c_int) -> io::Result<Fork> {
    let mut pidfd: c_int = -1;
    let mut args = CloneArgs {
        flags: (flags as u32 as u64) | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    // SAFETY: no stack is given, so this behaves as fork: the child has a copy of all memory.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, &raw mut args, std::mem::size_of::<CloneArgs>())
    })?;
    if pid == 0 {
        return Ok(Fork::Child);
    }
    Ok(Fork::Parent { pid: pid as pid_t, pidfd: owned(pidfd as c_long)? })
}

/// Ends the process without running destructors or flushing anything inherited from the parent.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// A descriptor for a process that stays right when its number is used again.
pub fn pidfd_open(pid: pid_t) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Sends a signal through a pidfd.
pub fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: c_int) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed and so open; no siginfo is passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })?;
    Ok(())
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Ended {
    /// The shell's convention: the code, or 128 plus the signal.
    pub fn shell_code(self) -> i32 {
        match self {
            Ended::Code(code) => code,
            Ended::Signal(signal) => 128 + signal,
        }
    }
}

/// `waitpid`. `Ok(None)` when nothing has ended yet and `flags` has `WNOHANG`.
pub fn wait_pid(pid: pid_t, flags: c_int) -> io::Result<Option<(pid_t, Ended)>> {
    loop {
        let mut status: c_int = 0;
        // SAFETY: `status` lives across the call.
        let found = unsafe { libc::waitpid(pid, &raw mut status, flags) };
        if found < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        if found == 0 {
            return Ok(None);
        }
        let ended = if libc::WIFSIGNALED(status) {
            Ended::Signal(libc::WTERMSIG(status))
        } else {
            Ended::Code(libc::WEXITSTATUS(status))
        };
        return Ok(Some((found, ended)));
    }
}

/// A detached copy of the mount at `path` (not of mounts below it).
pub fn open_tree_clone(path: &Path) -> io::Result<OwnedFd> {
    let path = path_c(path)?;
    // SAFETY: `path` is a valid C string for the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            path.as_ptr(),
            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC,
        )
    })
}

/// Sets attributes on a detached mount and makes it private.
pub fn mount_set(mount: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let attr = MountAttr { set: attributes, clear: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    // SAFETY: the empty path refers to the descriptor; `attr` lives across the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as c_uint,
            &raw const attr,
            std::mem::size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// Puts a detached mount at `target` in the caller's mount namespace.
pub fn move_mount_to(mount: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let target = path_c(target)?;
    // SAFETY: both paths are valid C strings for the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    })?;
    Ok(())
}

/// Puts a detached mount on the directory `target`, whatever leads to it now.
pub fn move_mount_onto(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both empty paths refer to the descriptors, which are borrowed and so open.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    })?;
    Ok(())
}

/// The mount that a file or directory is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnMount {
    /// Whether it is the root of that mount.
    pub is_root: bool,
    /// The device number of its filesystem.
    pub device: u64,
    /// The mount's number, as `/proc/PID/mountinfo` shows it; no other mount has it while this
    /// one exists.
    pub mount_id: u64,
}

/// What `name` in the directory `at` is on; of the directory itself if `name` is empty. A link is
/// not followed.
pub fn on_mount(at: BorrowedFd<'_>, name: &Path) -> io::Result<OnMount> {
    statx(at.as_raw_fd(), name)
}

/// Whether `path` is the root of a mount, and its device number.
pub fn mount_root(path: &Path) -> io::Result<(bool, u64)> {
    statx(libc::AT_FDCWD, path).map(|found| (found.is_root, found.device))
}

fn statx(at: RawFd, name: &Path) -> io::Result<OnMount> {
    let name = path_c(name)?;
    // SAFETY: all zeroes is a valid `statx`.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path and the buffer live across the call.
    check(unsafe {
        libc::statx(
            at,
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_EMPTY_PATH,
            libc::STATX_BASIC_STATS | libc::STATX_MNT_ID,
            &raw mut found,
        )
    } as c_long)?;
    if found.stx_mask & libc::STATX_MNT_ID == 0 {
        // Linux before 5.8.
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(OnMount {
        is_root: found.stx_attributes & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0,
        device: libc::makedev(found.stx_dev_major, found.stx_dev_minor),
        mount_id: found.stx_mnt_id,
    })
}

/// `struct open_how` of `openat2(2)`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Opens `path` below the directory `at`. No component of it may be a link, and nothing leads out
/// of the directory: otherwise the error is ELOOP or EXDEV. `flags` are those of `open(2)`.
pub fn open_beneath(
    at: BorrowedFd<'_>,
    path: &Path,
    flags: c_int,
    mode: u32,
) -> io::Result<OwnedFd> {
    const NO_MAGICLINKS: u64 = 0x02;
    const NO_SYMLINKS: u64 = 0x04;
    const BENEATH: u64 = 0x08;
    let path = path_c(path)?;
    let how = OpenHow {
        flags: (flags | libc::O_CLOEXEC) as u64,
        mode: mode.into(),
        resolve: NO_MAGICLINKS | NO_SYMLINKS | BENEATH,
    };
    // SAFETY: the path and the structure live across the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            at.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            std::mem::size_of::<OpenHow>(),
        )
    })
}

/// Replaces the program by the one behind `program`, which need not be visible by any path.
/// Returns only on failure.
pub fn exec_fd(program: BorrowedFd<'_>, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end in a null and outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: c_uint) -> io::Result<()> {
    // SAFETY: the caller owns nothing above `first` that it uses again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, 0) })?;
    Ok(())
}

/// Marks every descriptor from `first` on to be closed by the next exec.
pub fn close_from_on_exec(first: c_uint) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: c_uint = 1 << 2;
    // SAFETY: only flags change.
    check(unsafe {
        libc::syscall(libc::SYS_close_range, first, c_uint::MAX, CLOSE_RANGE_CLOEXEC)
    })?;
    Ok(())
}

/// Makes `number` refer to what `fd` refers to, open across exec.
pub fn dup_to(fd: BorrowedFd<'_>, number: c_int) -> io::Result<()> {
    // SAFETY: plain numbers; `number` is one that the caller gives up.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) } as c_long)?;
    Ok(())
}

/// A copy of `fd` whose number is at least `least`, closed on exec.
pub fn dup_above(fd: BorrowedFd<'_>, least: c_int) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    owned(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) } as c_long)
}

/// Takes over a descriptor that was inherited at a number agreed on with the parent.
///
/// # Safety
/// Nothing else in the process may own `number`.
pub unsafe fn take_fd(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: only asks whether it is open.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } as c_long)?;
    // SAFETY: open, and by contract ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// `prctl` with one number.
pub fn prctl(option: c_int, argument: c_ulong) -> io::Result<c_int> {
    // SAFETY: only used with options that take numbers.
    Ok(check(unsafe { libc::prctl(option, argument, 0, 0, 0) } as c_long)? as c_int)
}

/// Leaves the host's session keyring for an empty one; kernels without keyrings have none to leave.
pub fn fresh_keyring() {
    const KEYCTL_JOIN_SESSION_KEYRING: c_ulong = 1;
    // SAFETY: a null name asks for a new anonymous keyring.
    unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<u8>());
    }
}

/// Sets the thread's permitted and effective capabilities, inheritable to none.
pub fn set_capabilities(permitted: u64, effective: u64) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0_u32];
    let (low, high) = (|set: u64| set as u32, |set: u64| (set >> 32) as u32);
    let data: [u32; 6] = [low(effective), low(permitted), 0, high(effective), high(permitted), 0];
    // SAFETY: the layouts are those of `capset(2)`, version 3: two words, then two triples.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) })?;
    Ok(())
}

/// Sends `signal` to every process of the pid namespace that the caller may signal, but itself.
pub fn signal_everyone(signal: c_int) {
    // SAFETY: plain numbers. It fails only when there is nobody else.
    unsafe { libc::kill(-1, signal) };
}

/// Sends `signal` to the process group of `pid`.
pub fn signal_group(pid: pid_t, signal: c_int) {
    if pid > 1 {
        // SAFETY: plain numbers; a group that is gone is no error to us.
        unsafe { libc::kill(-pid, signal) };
    }
}

/// Sends `signal` to the process group that `pid` leads, or is about to: a child that has not made
/// its session yet is alone.
pub fn signal_session(pid: pid_t, signal: c_int) {
    // SAFETY: plain numbers; a process that is gone is no error to us.
    unsafe {
        if pid > 1 && libc::kill(-pid, signal) < 0 {
            libc::kill(pid, signal);
        }
    }
}

/// Whether this process ignores `signal`.
pub fn is_ignored(signal: c_int) -> bool {
    // SAFETY: all zeroes is a valid `sigaction`; nothing is changed, one is read.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}

/// How many bytes a pipe holds.
pub fn bytes_waiting(pipe: BorrowedFd<'_>) -> io::Result<usize> {
    let mut waiting: c_int = 0;
    // SAFETY: the request takes a pointer to an int, alive across the call.
    check(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut waiting) }.into())?;
    Ok(usize::try_from(waiting).unwrap_or(0))
}

/// Room for the control message that carries one descriptor (24 bytes), aligned as its header.
type Control = [u64; 4];

/// Sends one byte over a Unix socket, and a descriptor with it.
pub fn send_byte(
    socket: BorrowedFd<'_>,
    byte: u8,
    given: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut data = libc::iovec { iov_base: (&raw const byte).cast_mut().cast(), iov_len: 1 };
    let mut control: Control = [0; 4];
    // SAFETY: all zeroes is a valid `msghdr`; everything that it points to lives across the call,
    // and the control buffer has room for the one descriptor.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        if let Some(given) = given {
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(size_of::<c_int>() as c_uint) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<c_int>() as c_uint) as _;
            libc::CMSG_DATA(header).cast::<c_int>().write_unaligned(given.as_raw_fd());
        }
        check(libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) as c_long)?;
    }
    Ok(())
}

/// Receives one byte from a Unix socket, and the descriptor that came with it. `None` at its end.
pub fn receive_byte(socket: BorrowedFd<'_>) -> io::Result<Option<(u8, Option<OwnedFd>)>> {
    let mut byte = 0_u8;
    let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control: Control = [0; 4];
    // SAFETY: as in `send_byte`; the buffer has room for one descriptor, and the kernel closes
    // what does not fit. A descriptor that was received is nobody else's.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size_of::<c_int>() as c_uint) as _;
        let flags = libc::MSG_CMSG_CLOEXEC;
        if check(libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) as c_long)? == 0 {
            return Ok(None);
        }
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let given = (!header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_RIGHTS)
            .then(|| {
                OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<c_int>().read_unaligned())
            });
        Ok(Some((byte, given)))
    }
}

/// Waits until `fd` is readable (for a pidfd: until the process ended). False after `limit_ms`.
pub fn wait_readable(fd: BorrowedFd<'_>, limit_ms: u64) -> io::Result<bool> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_millis(limit_ms);
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        // One more than the floor, so that a wait never ends before its time.
        let left_ms = c_int::try_from(left.as_millis() + 1).unwrap_or(c_int::MAX);
        let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one element, alive across the call.
        match check(unsafe { libc::poll(&raw mut poll, 1, left_ms) } as c_long) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) => {}
            Ok(_) => return Ok(true),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Writes out what is dirty in the filesystem of this directory.
pub fn syncfs(directory: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes a descriptor, which is open for as long as it is borrowed.
    check(unsafe { libc::syncfs(directory.as_raw_fd()) }.into()).map(drop)
}

/// Lets nothing more be written to the filesystem of this directory; what is dirty is written out
/// first.
pub fn freeze(directory: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(directory.as_raw_fd(), FIFREEZE, 0) }.into()).map(drop)
}

/// Lets it go on; EINVAL if it does.
pub fn thaw(directory: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(directory.as_raw_fd(), FITHAW, 0) }.into()).map(drop)
}
