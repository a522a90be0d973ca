//! A terminal of the node's own for a command, and the person's terminal around it. The person's
//! is never handed into the node: whoever holds a terminal can type on it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::error::{Doing, Result};
use crate::sys;

/// A terminal of the node that this process has entered.
pub(crate) struct NodeTerminal {
    /// For the one who types and reads. It may leave the node: what is done to it reaches only
    /// the node's terminal.
    pub master: OwnedFd,
    /// For the command.
    pub slave: OwnedFd,
}

impl NodeTerminal {
    /// A new pair from the `/dev/pts` of the node.
    pub fn open() -> Result<Self> {
        let doing = || "opening a terminal in the node".to_owned();
        let master = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open("/dev/ptmx")
            .doing(doing)?;
        let unlock: libc::c_int = 0;
        // SAFETY: the argument is a pointer to an int, alive across the call.
        if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) } < 0 {
            return Err(io::Error::last_os_error()).doing(doing);
        }
        // By the master itself, not by a name: the node may have put something else at the name.
        // SAFETY: flags are a plain number; the result is checked.
        let slave = unsafe {
            libc::ioctl(
                master.as_raw_fd(),
                libc::TIOCGPTPEER,
                libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC,
            )
        };
        if slave < 0 {
            return Err(io::Error::last_os_error()).doing(doing);
        }
        // SAFETY: just opened, and nobody else's.
        let slave = unsafe { std::os::fd::FromRawFd::from_raw_fd(slave) };
        Ok(Self { master: master.into(), slave })
    }

    /// In the command's process, the leader of its session: makes `slave` its controlling terminal
    /// and all three streams.
    pub fn take(slave: &OwnedFd) -> Result<()> {
        let doing = || "taking the node's terminal".to_owned();
        // SAFETY: plain numbers on an open descriptor.
        if unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) } < 0 {
            return Err(io::Error::last_os_error()).doing(doing);
        }
        for stream in 0..=2 {
            sys::dup_to(slave.as_fd(), stream).doing(doing)?;
        }
        Ok(())
    }
}

/// Gives the node's terminal the size of the person's. Best effort: without a window the terminal
/// keeps its default size.
pub(crate) fn copy_window(master: BorrowedFd<'_>) {
    // SAFETY: all zeroes is a valid `winsize`; both calls take a pointer to one.
    unsafe {
        let mut ours: libc::winsize = std::mem::zeroed();
        if libc::ioctl(0, libc::TIOCGWINSZ, &raw mut ours) == 0 {
            libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const ours);
        }
    }
}

/// The person's terminal passes every key on, until this is dropped.
pub(crate) struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// `None` when standard input is no terminal.
    pub fn enter() -> Option<Self> {
        // Of its own: standard input may be closed before the terminal is put back.
        let terminal = io::stdin().as_fd().try_clone_to_owned().ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&terminal, SetArg::TCSADRAIN, &raw).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to put back.
        let _ = tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}
