//! A person at a terminal: a real one, the controlling terminal of a session whose leader is a
//! shell. Whatever gets into its input can be read here, before the person's shell reads it.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use crate::machine::eventually;

pub struct Person {
    master: fs::File,
    terminal: OwnedFd,
    shell: Option<Child>,
    code: PathBuf,
}

impl Person {
    /// `notes` is a directory for what the shell has to say to the test.
    pub fn sits_down(notes: &Path) -> Self {
        let pair = nix::pty::openpty(None, None).unwrap();
        // Every byte counts at once, and nothing is echoed.
        let mut raw = tcgetattr(&pair.slave).unwrap();
        cfmakeraw(&mut raw);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &raw).unwrap();
        for end in [&pair.master, &pair.slave] {
            fcntl(end, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
        }
        // Another opening of the terminal, so that only the test's own reads do not wait.
        let name = format!("/proc/self/fd/{}", pair.slave.as_raw_fd());
        let watch = nix::fcntl::open(
            name.as_str(),
            OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC,
            nix::sys::stat::Mode::empty(),
        );
        let terminal = watch.unwrap();
        let master = fs::File::from(pair.master);
        let flags = OFlag::from_bits_truncate(fcntl(&master, FcntlArg::F_GETFL).unwrap());
        fcntl(&master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
        Self { master, terminal, shell: None, code: notes.join("code") }
    }

    /// Has the shell run `argv` with `redirections` (as a shell has them) in the foreground. The
    /// three streams are the terminal otherwise. Once: a terminal ends with its session.
    pub fn begins(&mut self, argv: &[&str], redirections: &str) {
        assert!(self.shell.is_none(), "a person begins one thing");
        let _ = fs::remove_file(&self.code);
        let code = self.code.to_str().unwrap();
        // The shell stays: when the leader of its session goes, a terminal is emptied.
        let script = format!(
            "\"$@\" {redirections}; echo $? > {code}.new; mv {code}.new {code}; sleep 1000"
        );
        let fd = self.terminal.as_raw_fd();
        let stream = || Stdio::from(self.blocking_terminal());
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).args(argv);
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: setsid and ioctl are async-signal-safe; the descriptor is open in the child.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                if libc::ioctl(fd, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        self.shell = Some(command.spawn().unwrap());
    }

    /// The command's exit code, once it has ended.
    pub fn sees_the_end(&mut self) -> i32 {
        let mut code = None;
        eventually("the end of the person's command", || {
            // Whoever prints on a terminal waits until somebody looks.
            self.sees();
            code = fs::read_to_string(&self.code).ok().and_then(|c| c.trim().parse().ok());
            code.is_some()
        });
        code.unwrap()
    }

    /// What the terminal shows since the last look.
    pub fn sees(&mut self) -> String {
        let mut shown = Vec::new();
        let mut chunk = [0_u8; 4096];
        while let Ok(n @ 1..) = self.master.read(&mut chunk) {
            shown.extend_from_slice(&chunk[..n]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    pub fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// What is in the terminal's input: what the person's shell would take for typed.
    pub fn finds_typed(&self) -> String {
        let mut chunk = [0_u8; 4096];
        match nix::unistd::read(&self.terminal, &mut chunk) {
            Ok(n) => String::from_utf8_lossy(&chunk[..n]).into_owned(),
            Err(nix::errno::Errno::EAGAIN) => String::new(),
            Err(e) => panic!("reading the terminal: {e}"),
        }
    }

    /// Gives the terminal another size: rows, columns.
    pub fn resizes(&self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the argument is a pointer to a `winsize`, alive across the call.
        let set =
            unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(set, 0);
    }

    fn blocking_terminal(&self) -> OwnedFd {
        let name = format!("/proc/self/fd/{}", self.terminal.as_raw_fd());
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        nix::fcntl::open(name.as_str(), flags, nix::sys::stat::Mode::empty()).unwrap()
    }

    /// Whether a session's terminal can be typed on by a system call on this kernel.
    pub fn kernel_lets_type() -> bool {
        match fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti") {
            Ok(text) => text.trim() == "1",
            // A kernel without the switch always does.
            Err(_) => true,
        }
    }

    pub fn terminal(&self) -> std::os::fd::BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            // SAFETY: the shell is not reaped yet, so the group is its own: the whole session.
            unsafe { libc::kill(-(shell.id() as i32), libc::SIGKILL) };
            let _ = shell.wait();
        }
    }
}
