//! What the caller types and reads, to and from its command in a node. In the caller's own
//! process, outside every node, and on one thread.
//!
//! Nothing of the caller's is made non-blocking: whoever shares it would find it so. It is written
//! in pieces that a pipe takes whole when it says that it takes any.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::enter::ENTERED;
use crate::error::{AgentError, Doing, Result};
use crate::exec::Near;
use crate::sys;
use crate::terminal::{self, RawMode};

/// What one direction holds at most, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;
/// Written at once, in bytes: the least that POSIX lets a pipe take whole is 512, Linux's
/// PIPE_BUF 4096.
const PIECE_BYTES: usize = 4096;
/// After the command's end, so many bytes of its terminal's last words are still shown.
const LAST_WORDS_BYTES: usize = 256 * 1024;
/// Ctrl-D: the end of what is typed.
const END_OF_TYPING: u8 = 4;
/// What makes a command end, and is the command's to answer.
const PASSED_ON: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];

/// The signals of this process, taken one by one instead of ending it; as before when dropped.
pub(crate) struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    /// Those that the caller has told this process to ignore (`nohup`, say) stay ignored.
    pub fn listen() -> Result<Self> {
        let doing = || "listening for signals".to_owned();
        let mut mask = SigSet::empty();
        for signal in PASSED_ON.into_iter().filter(|s| !sys::is_ignored(*s as i32)) {
            mask.add(signal);
        }
        mask.add(Signal::SIGWINCH);
        let mut before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&mask), Some(&mut before)).doing(doing)?;
        match SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC) {
            Ok(fd) => Ok(Self { fd, before }),
            Err(e) => {
                before.thread_set_mask().doing(doing)?;
                Err(e).doing(doing)
            }
        }
    }

    fn next(&self) -> Option<i32> {
        let signal = self.fd.read_signal().ok().flatten()?;
        i32::try_from(signal.ssi_signo).ok()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // It was the mask before, so it is one.
        let _ = self.before.thread_set_mask();
    }
}

/// One end of a direction.
enum End {
    /// Of this process alone: gone when dropped.
    Ours(OwnedFd),
    /// One of the caller's three streams, which stays as it is.
    Callers(i32),
}

impl End {
    /// Lets the other side of a stream see that it has ended. The caller's standard input and
    /// output are closed by putting `/dev/null` in their place; its standard error is not, for
    /// this program may have something to say yet.
    fn close(self) {
        if let End::Callers(number @ 0..=1) = self
            && let Ok(null) = std::fs::File::options().read(true).write(true).open("/dev/null")
        {
            // If it fails, the other side sees the end a little later, when this process ends.
            let _ = sys::dup_to(null.as_fd(), number);
        }
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            End::Ours(fd) => fd.as_fd(),
            // SAFETY: the three streams are open as long as the process lives: Rust opens
            // /dev/null for one that was closed at its start, and `close` puts it in its place.
            End::Callers(number) => unsafe { BorrowedFd::borrow_raw(*number) },
        }
    }
}

/// One direction. While something waits to be written, nothing more is read.
struct Flow {
    from: Option<End>,
    to: Option<End>,
    pending: Vec<u8>,
    /// Written before the end is passed on.
    farewell: Option<u8>,
    /// How much may still be read: limited once the command has ended.
    left: Option<usize>,
}

impl Flow {
    fn new(from: End, to: End) -> Self {
        Self { from: Some(from), to: Some(to), pending: Vec::new(), farewell: None, left: None }
    }

    fn waits_for<'a>(&'a self, waiting: &mut Vec<PollFd<'a>>) -> [Option<usize>; 2] {
        let mut add = |end: &'a Option<End>, what: PollFlags| {
            let end = end.as_ref()?;
            waiting.push(PollFd::new(end.as_fd(), what));
            Some(waiting.len() - 1)
        };
        if self.pending.is_empty() {
            // Of the other end only that it is gone.
            [add(&self.from, PollFlags::POLLIN), add(&self.to, PollFlags::empty())]
        } else {
            [None, add(&self.to, PollFlags::POLLOUT)]
        }
    }

    fn go_on(&mut self, [from, to]: [PollFlags; 2], chunk: &mut [u8]) {
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
        if to.intersects(gone) && !to.contains(PollFlags::POLLOUT) {
            self.break_off();
        }
        if to.contains(PollFlags::POLLOUT) {
            self.write();
        }
        if !from.is_empty() && self.pending.is_empty() {
            self.read(chunk);
        }
        self.end_if_done();
    }

    fn write(&mut self) {
        let Some(to) = &self.to else { return };
        let piece = &self.pending[..self.pending.len().min(PIECE_BYTES)];
        match nix::unistd::write(to, piece) {
            Ok(n) => drop(self.pending.drain(..n)),
            Err(e) if again(e) => {}
            // Nobody reads it any more; the command learns so from its own next write.
            Err(_) => self.break_off(),
        }
    }

    fn read(&mut self, chunk: &mut [u8]) {
        let Some(from) = &self.from else { return };
        let most = self.left.unwrap_or(chunk.len()).min(chunk.len());
        match nix::unistd::read(from, &mut chunk[..most]) {
            Ok(n) if n > 0 => {
                self.pending.extend_from_slice(&chunk[..n]);
                self.left = self.left.map(|left| left - n);
            }
            Err(e) if again(e) => {}
            // The end; of a terminal, that nobody has its other end open any more.
            Ok(_) | Err(_) => self.from = None,
        }
    }

    fn end_if_done(&mut self) {
        if self.from.is_some() || !self.pending.is_empty() {
            return;
        }
        match self.farewell.take() {
            Some(byte) if self.to.is_some() => self.pending.push(byte),
            _ => {
                // Where the command has ended, this process is about to.
                if let Some(to) = self.to.take()
                    && self.left.is_none()
                {
                    to.close();
                }
            }
        }
    }

    fn break_off(&mut self) {
        for end in [self.from.take(), self.to.take()].into_iter().flatten() {
            end.close();
        }
        self.pending.clear();
        self.farewell = None;
    }

    /// The command has ended. What it has written is still read, and not what its children go on
    /// writing.
    fn limit(&mut self, bytes: usize) {
        self.left = Some(bytes);
    }

    /// After the end: there is nothing more that may be read.
    fn end_if_dry(&mut self) {
        let dry = match &self.from {
            Some(_) if self.left == Some(0) => true,
            Some(from) => !sys::wait_readable(from.as_fd(), 0).unwrap_or(false),
            None => false,
        };
        if dry && self.pending.is_empty() {
            self.from = None;
            self.end_if_done();
        }
    }

    fn is_over(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

fn again(error: nix::errno::Errno) -> bool {
    matches!(error, nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN)
}

/// All that is between the caller and its command.
pub(crate) struct Relay<'a> {
    /// From the caller to the command. It ends with the command.
    typed: Vec<Flow>,
    /// From the command to the caller.
    shown: Vec<Flow>,
    /// To the process that enters, until it has ended.
    link: Option<UnixStream>,
    child: &'a OwnedFd,
    signals: &'a Signals,
    entered: bool,
    /// The far end of the node's terminal, to keep its size as the caller's.
    master: Option<OwnedFd>,
    raw: Option<RawMode>,
}

impl<'a> Relay<'a> {
    /// `child` is the process that enters the node. With `tty`, what the command reads and prints
    /// goes over the terminal that this process will send; standard error carries only what that
    /// process itself has to say.
    pub fn new(
        near: Near,
        tty: bool,
        link: UnixStream,
        child: &'a OwnedFd,
        signals: &'a Signals,
    ) -> Result<Self> {
        let doing = || "preparing the streams".to_owned();
        link.set_nonblocking(true).doing(doing)?;
        let Near { stdin, stdout, stderr } = near;
        let (mut typed, mut shown) = (Vec::new(), Vec::new());
        if !tty {
            let stdin = OwnedFd::from(stdin);
            not_blocking(stdin.as_fd()).doing(doing)?;
            typed.push(Flow::new(End::Callers(0), End::Ours(stdin)));
            shown.push(Flow::new(End::Ours(stdout.into()), End::Callers(1)));
        }
        shown.push(Flow::new(End::Ours(stderr.into()), End::Callers(2)));
        let link = Some(link);
        Ok(Self { typed, shown, link, child, signals, entered: false, master: None, raw: None })
    }

    /// Moves bytes and passes signals on until the command has ended and what it had printed until
    /// then is written.
    pub fn run(mut self) -> Result<()> {
        let doing = || "moving what is typed and shown".to_owned();
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        let mut ended = false;
        loop {
            let mut waiting = vec![PollFd::new(self.signals.fd.as_fd(), PollFlags::POLLIN)];
            if !ended {
                waiting.push(PollFd::new(self.child.as_fd(), PollFlags::POLLIN));
            }
            let listens = self.link.as_ref().map(|link| {
                waiting.push(PollFd::new(link.as_fd(), PollFlags::POLLIN));
                waiting.len() - 1
            });
            let places: Vec<_> =
                self.typed.iter().chain(&self.shown).map(|f| f.waits_for(&mut waiting)).collect();
            match poll(&mut waiting, PollTimeout::NONE) {
                Ok(_) => {}
                Err(nix::errno::Errno::EINTR) => continue,
                Err(e) => return Err(e).doing(doing),
            }
            let happened: Vec<PollFlags> =
                waiting.iter().map(|w| w.revents().unwrap_or(PollFlags::empty())).collect();
            drop(waiting);
            let at = |place: Option<usize>| {
                place.and_then(|p| happened.get(p).copied()).unwrap_or(PollFlags::empty())
            };

            if !at(Some(0)).is_empty() && !self.take_signals(ended) {
                return Ok(());
            }
            // The flows first: hearing of the terminal adds to them.
            let flows = self.typed.iter_mut().chain(&mut self.shown);
            for (flow, place) in flows.zip(places) {
                flow.go_on(place.map(at), &mut chunk);
            }
            if !at(listens).is_empty() {
                self.listen()?;
            }
            if !ended && !at(Some(1)).is_empty() {
                ended = true;
                // What it had to say on the way out.
                self.listen()?;
                self.link = None;
                self.typed.clear();
                for flow in &mut self.shown {
                    let pipe = flow.from.as_ref().map(|f| sys::bytes_waiting(f.as_fd()));
                    flow.limit(match pipe {
                        Some(Ok(bytes)) if self.master.is_none() => bytes,
                        _ => LAST_WORDS_BYTES,
                    });
                }
            }
            if ended {
                self.shown.iter_mut().for_each(Flow::end_if_dry);
                if self.shown.iter().all(Flow::is_over) {
                    return Ok(());
                }
            }
        }
    }

    /// False when this process is to end without writing what is left.
    fn take_signals(&mut self, ended: bool) -> bool {
        while let Some(signal) = self.signals.next() {
            if signal == libc::SIGWINCH {
                if let Some(master) = &self.master {
                    terminal::copy_window(master.as_fd());
                }
            } else if ended {
                return false;
            } else if !self.entered {
                // Nobody is there yet who could answer it.
                let _ = sys::pidfd_signal(self.child.as_fd(), libc::SIGKILL);
            } else if let (Some(link), Ok(byte)) = (&mut self.link, u8::try_from(signal)) {
                // A command that has not taken thousands of them needs no further one.
                let _ = link.write(&[byte]);
            }
        }
        true
    }

    /// Hears whether the child has entered the node, and takes the node's terminal.
    fn listen(&mut self) -> Result<()> {
        let Some(link) = &self.link else { return Ok(()) };
        match sys::receive_byte(link.as_fd()) {
            Ok(Some((ENTERED, given))) => {
                self.entered = true;
                if let Some(master) = given {
                    self.take_terminal(master)?;
                }
                Ok(())
            }
            Ok(Some(_)) => Err(AgentError::Protocol("the child said something else".into())),
            Ok(None) => {
                self.link = None;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            // It has ended with something unread.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                self.link = None;
                Ok(())
            }
            Err(e) => Err(e).doing(|| "hearing of the node's terminal".into()),
        }
    }

    fn take_terminal(&mut self, master: OwnedFd) -> Result<()> {
        let doing = || "taking the node's terminal".to_owned();
        not_blocking(master.as_fd()).doing(doing)?;
        terminal::copy_window(master.as_fd());
        self.raw = RawMode::enter();
        let [to, from] = [master.try_clone().doing(doing)?, master.try_clone().doing(doing)?];
        let mut typed = Flow::new(End::Callers(0), End::Ours(to));
        typed.farewell = Some(END_OF_TYPING);
        self.typed.push(typed);
        self.shown.push(Flow::new(End::Ours(from), End::Callers(1)));
        self.master = Some(master);
        Ok(())
    }
}

fn not_blocking(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}
