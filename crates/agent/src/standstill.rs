//! Filesystems that stand still for a moment, so that several can be copied as of one instant.
//!
//! A process of its own holds them. A server that is killed meanwhile closes the pipe between them,
//! and the filesystems go on at once; a server that takes too long is not waited for. A node never
//! stands still for longer than [`STANDSTILL_MOST_MS`].

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::error::{AgentError, Doing, Result};
use crate::sys;

/// The hidden subcommand that holds filesystems; its arguments are where they are mounted.
pub const STANDSTILL_SUBCOMMAND: &str = "agent-standstill";
/// How long filesystems stand still at most, in milliseconds.
pub const STANDSTILL_MOST_MS: u64 = 2_000;

/// All stand still.
const STILL: &str = "still\n";
/// All stood still until they were let go.
const HELD: &str = "held\n";
/// They had to go on before.
const LATE: &str = "late\n";
/// Once it is late: how often what was frozen only then is let go, in milliseconds.
const AGAIN_MS: u64 = 20;
/// What the process has to say is at most this long, in bytes.
const MESSAGE_MAX_BYTES: u64 = 4096;

/// Filesystems to which nothing is written until this ends: whoever writes, waits.
#[derive(Debug)]
pub struct Standstill {
    mountpoints: Vec<PathBuf>,
    child: Child,
    said: BufReader<io::Take<ChildStdout>>,
}

impl Standstill {
    /// Writes out what is dirty, and then lets nothing more be written to any of them. `program`
    /// is one whose `main` begins with [`crate::dispatch`].
    ///
    /// # Errors
    /// What the kernel says, or that it took too long; then nothing stands still.
    pub fn begin(program: &Path, mountpoints: &[PathBuf]) -> Result<Standstill> {
        let doing = || format!("starting {} {STANDSTILL_SUBCOMMAND}", program.display());
        let mut child = Command::new(program)
            .arg(STANDSTILL_SUBCOMMAND)
            .args(mountpoints)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Whoever ends the server's group must not end what lets the nodes go on.
            .process_group(0)
            .spawn()
            .doing(doing)?;
        let Some(out) = child.stdout.take() else {
            return Err(AgentError::Protocol("a process without its output".to_owned()));
        };
        let said = BufReader::new(out.take(MESSAGE_MAX_BYTES));
        let mut still = Standstill { mountpoints: mountpoints.to_vec(), child, said };
        match still.hears()?.as_str() {
            STILL => Ok(still),
            other => Err(AgentError::Refused(other.trim_end().to_owned())),
        }
    }

    /// Lets them go on. Whether all stood still until now: what was copied is of one instant.
    ///
    /// # Errors
    /// The process was ended by somebody; then it is not known.
    pub fn end(mut self) -> Result<bool> {
        drop(self.child.stdin.take());
        Ok(self.hears()? == HELD)
    }

    fn hears(&mut self) -> Result<String> {
        let mut line = String::new();
        self.said.read_line(&mut line).doing(|| "listening to a standstill".to_owned())?;
        Ok(line)
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let ended = self.child.wait();
        if !ended.is_ok_and(|status| status.success()) {
            for mountpoint in &self.mountpoints {
                thaw(mountpoint);
            }
        }
    }
}

/// Lets a filesystem go on that somebody left standing still. One that does not is not changed.
pub fn thaw(mountpoint: &Path) {
    if let Ok(directory) = File::open(mountpoint) {
        let _ = sys::thaw(directory.as_fd());
    }
}

/// The entry of the process.
pub(crate) fn standstill_main(mountpoints: impl Iterator<Item = OsString>) -> ExitCode {
    let mountpoints: Vec<PathBuf> = mountpoints.map(PathBuf::from).collect();
    match hold(&mountpoints) {
        Ok(true) => say(HELD),
        Ok(false) => say(LATE),
        Err(error) => {
            say(&format!("{}\n", error.to_string().replace('\n', " ")));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// To the server. If it has been killed meanwhile, there is nobody to tell.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Holds filesystems until the server says otherwise, or is gone, or it takes too long.
fn hold(mountpoints: &[PathBuf]) -> Result<bool> {
    let mut open = Vec::new();
    for path in mountpoints {
        let (is_root, _) =
            sys::mount_root(path).doing(|| format!("looking at {}", path.display()))?;
        if !is_root {
            let what = format!("{} is not a mount point", path.display());
            return Err(AgentError::Invalid(what));
        }
        open.push(File::open(path).doing(|| format!("opening {}", path.display()))?);
    }
    // Most of what is dirty goes out while everybody may still write.
    for (file, path) in open.iter().zip(mountpoints) {
        sys::syncfs(file.as_fd()).doing(|| format!("syncing {}", path.display()))?;
    }
    let open = Arc::new(open);
    let (over, is_over) = mpsc::channel::<()>();
    let watched = Arc::clone(&open);
    // Freezing itself may take long: somebody else looks at the clock.
    let watch = std::thread::spawn(move || {
        let mut patience = Duration::from_millis(STANDSTILL_MOST_MS);
        let mut late = false;
        while is_over.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            late = true;
            watched.iter().for_each(|file| drop(sys::thaw(file.as_fd())));
            patience = Duration::from_millis(AGAIN_MS);
        }
        late
    });
    let frozen = freeze(&open, mountpoints);
    if frozen.is_ok() {
        say(STILL);
        // One byte, or the end: both mean that it is over.
        let _ = io::stdin().read(&mut [0; 1]);
    }
    drop(over);
    let late = watch.join().unwrap_or(true);
    for file in open.iter() {
        // One that goes on already says EINVAL.
        let _ = sys::thaw(file.as_fd());
    }
    frozen.map(|()| !late)
}

fn freeze(open: &[File], mountpoints: &[PathBuf]) -> Result<()> {
    open.iter().zip(mountpoints).try_for_each(|(file, path)| {
        sys::freeze(file.as_fd()).doing(|| format!("freezing {}", path.display()))
    })
}
