//! A terminal of the node's own for a command, and the person's terminal around it. The person's
//! is never handed into the node: whoever holds a terminal can type on it.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::error::{Doing, Result};
use crate::sys;

/// What is moved at once, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;
/// The size of the window is looked at this often, in milliseconds.
const WINDOW_LOOK_MS: u16 = 250;
/// After the command's end, so many chunks of its last words are still shown.
const LAST_CHUNKS: usize = 64;

pub(crate) struct Terminal {
    master: fs::File,
    slave: OwnedFd,
}

impl Terminal {
    /// A new pair from the `/dev/pts` of the node that the caller has entered.
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
        let terminal = Self { master, slave };
        terminal.copy_window();
        Ok(terminal)
    }

    /// In the command's process: makes it the controlling terminal and all three streams.
    pub fn take(&self) -> Result<()> {
        let doing = || "taking the node's terminal".to_owned();
        nix::unistd::setsid().doing(doing)?;
        // SAFETY: plain numbers on an open descriptor.
        if unsafe { libc::ioctl(self.slave.as_raw_fd(), libc::TIOCSCTTY, 0) } < 0 {
            return Err(io::Error::last_os_error()).doing(doing);
        }
        for stream in 0..=2 {
            sys::dup_to(self.slave.as_fd(), stream).doing(doing)?;
        }
        Ok(())
    }

    /// Moves bytes both ways until the process of `pidfd` has ended.
    pub fn relay_until(&self, pidfd: BorrowedFd<'_>) -> Result<()> {
        let _raw = RawMode::enter();
        let doing = || "moving what is typed and shown".to_owned();
        let mut typing = true;
        // What was typed and the command has not taken yet; meanwhile nothing more is read.
        let mut pending: Vec<u8> = Vec::new();
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        loop {
            let stdin = io::stdin();
            let mut waiting = vec![
                PollFd::new(pidfd, PollFlags::POLLIN),
                PollFd::new(
                    self.master.as_fd(),
                    if pending.is_empty() {
                        PollFlags::POLLIN
                    } else {
                        PollFlags::POLLIN | PollFlags::POLLOUT
                    },
                ),
            ];
            if typing && pending.is_empty() {
                waiting.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut waiting, PollTimeout::from(WINDOW_LOOK_MS)) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e).doing(doing),
            }
            let [ended, shown, typed] = [0, 1, 2]
                .map(|i| waiting.get(i).and_then(PollFd::revents).is_some_and(|r| !r.is_empty()));
            drop(waiting);
            self.copy_window();
            if shown {
                self.show(&mut chunk).doing(doing)?;
            }
            if typed {
                // SAFETY: the buffer is ours and as long as it says.
                let n = unsafe { libc::read(0, chunk.as_mut_ptr().cast(), chunk.len()) };
                match usize::try_from(n) {
                    // The end of input: for a terminal that is Ctrl-D.
                    Ok(0) | Err(_) => {
                        typing = false;
                        pending.push(4);
                    }
                    Ok(n) => pending.extend_from_slice(&chunk[..n]),
                }
            }
            if !pending.is_empty() {
                match (&self.master).write(&pending) {
                    Ok(n) => drop(pending.drain(..n)),
                    Err(e) if again(&e) => {}
                    // The command has closed its terminal.
                    Err(e) if e.raw_os_error() == Some(libc::EIO) => pending.clear(),
                    Err(e) => return Err(e).doing(doing),
                }
            }
            if ended {
                for _ in 0..LAST_CHUNKS {
                    if !sys::wait_readable(self.master.as_fd(), 0).doing(doing)?
                        || !self.show(&mut chunk).doing(doing)?
                    {
                        break;
                    }
                }
                return Ok(());
            }
        }
    }

    /// False when there is nothing more to show.
    fn show(&self, chunk: &mut [u8]) -> io::Result<bool> {
        match (&self.master).read(chunk) {
            Ok(0) => Ok(false),
            Ok(n) => {
                let mut out = io::stdout().lock();
                out.write_all(&chunk[..n])?;
                out.flush()?;
                Ok(true)
            }
            // Nobody has the other end open (any more).
            Err(e) if e.raw_os_error() == Some(libc::EIO) => Ok(false),
            Err(e) if again(&e) => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Best effort: without a window the terminal keeps its default size.
    fn copy_window(&self) {
        // SAFETY: all zeroes is a valid `winsize`; both calls take a pointer to one.
        unsafe {
            let mut ours: libc::winsize = std::mem::zeroed();
            let mut theirs: libc::winsize = std::mem::zeroed();
            if libc::ioctl(0, libc::TIOCGWINSZ, &raw mut ours) == 0
                && libc::ioctl(self.master.as_raw_fd(), libc::TIOCGWINSZ, &raw mut theirs) == 0
                && (ours.ws_row, ours.ws_col) != (theirs.ws_row, theirs.ws_col)
            {
                libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const ours);
            }
        }
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// The person's terminal passes every key on, until this is dropped.
struct RawMode(Termios);

impl RawMode {
    /// `None` when standard input is no terminal.
    fn enter() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to put back.
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.0);
    }
}
