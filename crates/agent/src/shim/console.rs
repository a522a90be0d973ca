//! What a node prints, into files that stay small, and no faster than a host can bear: whoever
//! prints more waits, as at a serial port.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::pace::Pace;

/// The console keeps at most twice this, in bytes: the current file and one before it.
pub const CONSOLE_MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Once a node has printed [`CONSOLE_MAX_BYTES`] on end, the console takes this, in bytes each
/// second. A thousand times what a serial port takes, and nothing that a host would notice.
pub const CONSOLE_BYTES_PER_S: u64 = 1024 * 1024;
/// What is read from the console at once, in bytes: what a pipe holds.
const CHUNK_BYTES: usize = 64 * 1024;

/// Copies the node's output until it ends. From when `has_ended` on, what is still in the pipe is
/// taken at once: nobody can add to it.
pub(super) async fn copy(path: PathBuf, mut console: pipe::Receiver, has_ended: Rc<Cell<bool>>) {
    let mut chunk = vec![0_u8; CHUNK_BYTES];
    let mut log = Log::open(path);
    let mut pace = Pace::new(CONSOLE_MAX_BYTES, CONSOLE_BYTES_PER_S, Instant::now());
    loop {
        let Ok(n) = console.read(&mut chunk).await else { return };
        if n == 0 {
            return;
        }
        log.write(&chunk[..n]);
        let now = Instant::now();
        if pace.is_rested(now) {
            log.says_it_waits = false;
        }
        let rest = pace.take(n as u64, now);
        if rest.is_zero() || has_ended.get() {
            continue;
        }
        if !log.says_it_waits {
            log.write(notice().as_bytes());
            log.says_it_waits = true;
        }
        tokio::time::sleep(rest).await;
    }
}

fn notice() -> String {
    let kib = CONSOLE_BYTES_PER_S / 1024;
    format!(
        "\nholdfast: the console takes {kib} KiB each second; what prints more than that waits\n"
    )
}

/// A file that stays small: when it is full it becomes the one before.
struct Log {
    path: PathBuf,
    file: std::io::Result<File>,
    size: u64,
    /// Whether the file says that it does not take all at once.
    says_it_waits: bool,
}

impl Log {
    fn open(path: PathBuf) -> Self {
        let size = fs::metadata(&path).map_or(0, |m| m.len());
        Self { file: appended(&path), path, size, says_it_waits: false }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.size + bytes.len() as u64 > CONSOLE_MAX_BYTES {
            if fs::rename(&self.path, self.path.with_extension("log.1")).is_ok() {
                self.size = 0;
                self.says_it_waits = false;
            }
            self.file = appended(&self.path);
        }
        // A full disk on the host must not stop the node: what does not fit is dropped.
        if let Ok(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.size += bytes.len() as u64;
        }
    }
}

fn appended(path: &Path) -> std::io::Result<File> {
    File::options().create(true).append(true).open(path)
}
