//! What is kept of a directory whose test fails.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The environment variable that says where evidence goes instead of `target/test-evidence`.
pub const PLACE_VARIABLE: &str = "HOLDFAST_TEST_EVIDENCE";
/// The most that is kept of a log, in bytes: its end.
pub const LOG_MAX_BYTES: u64 = 1 << 20;
/// The largest other file that is kept, in bytes: a store's write-ahead log has some MiB.
pub const FILE_MAX_BYTES: u64 = 8 << 20;
/// The most that is kept of one directory, in bytes.
pub const KEPT_MAX_BYTES: u64 = 32 << 20;
/// The most files that are kept of one directory.
pub const KEPT_MAX: usize = 1_000;
/// The most entries that are looked at.
const LOOKED_AT_MAX: usize = 20_000;
/// How deep it is looked.
const DEPTH_MAX: usize = 8;

/// Text of which the end says most.
const LOGS: [&str; 3] = ["log", "1", "txt"];
/// What is of use as a whole: stores hold records and events (`sqlite3 holdfast.db`).
const WHOLE: [&str; 5] = ["db", "db-wal", "json", "yaml", "conf"];
/// Directories of content, not of what was said about it.
const LEFT_OUT: [&str; 3] = ["pool", "mounts", "root"];

/// Keeps what helps to understand why a test failed, and says where. Whatever goes wrong is said and
/// is no failure: the test is failing already.
pub fn keep(dir: &Path) {
    let to = match free_place() {
        Ok(to) => to,
        Err(e) => return eprintln!("nothing is kept of {}: {e}", dir.display()),
    };
    let mut kept = Kept { to, files: 0, bytes: 0, looked_at: 0, left_out: 0 };
    match fs::symlink_metadata(dir) {
        Ok(found) => kept.walk(dir, Path::new(""), found.dev(), 0),
        Err(e) => eprintln!("nothing is kept of {}: {e}", dir.display()),
    }
    let Kept { to, files, bytes, left_out, .. } = kept;
    if files == 0 {
        // Nothing was said: there is no evidence, and no empty directory for it either.
        let _ = fs::remove_dir(&to);
        return;
    }
    let beyond = if left_out > 0 {
        format!(", {left_out} more would have been too many")
    } else {
        String::new()
    };
    eprintln!("Evidence: {files} files, {bytes} bytes{beyond}, in {}", to.display());
}

/// Makes a directory that no other test, and no other directory of this one, has.
fn free_place() -> io::Result<PathBuf> {
    let place = place();
    fs::create_dir_all(&place)?;
    let (test, pid) = (test_name(), std::process::id());
    for number in 1..=KEPT_MAX {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        let to = place.join(format!("{test}-{pid}{more}"));
        match fs::create_dir(&to) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| to),
        }
    }
    Err(io::Error::other(format!("{} holds too much of this test", place.display())))
}

/// `test-evidence` in the target directory that the test was built into.
fn place() -> PathBuf {
    if let Some(told) = std::env::var_os(PLACE_VARIABLE) {
        return PathBuf::from(told);
    }
    let program = std::env::current_exe().unwrap_or_default();
    // TARGET/PROFILE/deps/TEST: https://doc.rust-lang.org/cargo/reference/build-cache.html
    let target =
        program.ancestors().find(|a| a.ends_with("deps")).and_then(|d| d.ancestors().nth(2));
    target.map_or_else(std::env::temp_dir, Path::to_owned).join("test-evidence")
}

/// The test's name as the test harness gives it to its thread, fit for a file's name. A test that has
/// the main thread to itself (`--test-threads 1`) is called after its program.
fn test_name() -> String {
    let thread = std::thread::current();
    let name = thread.name().filter(|name| *name != "main").map(str::to_owned);
    let name = name.unwrap_or_else(|| {
        let program = std::env::current_exe().unwrap_or_default();
        program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    });
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '.' };
    // A file's name has 255 bytes at most.
    name.replace("::", ".").chars().map(fit).take(180).collect()
}

struct Kept {
    to: PathBuf,
    files: usize,
    bytes: u64,
    looked_at: usize,
    left_out: usize,
}

impl Kept {
    /// Keeps what is below `from`, whose path from the top is `below`, on the file system `device`.
    fn walk(&mut self, from: &Path, below: &Path, device: u64, depth: usize) {
        let mut entries: Vec<_> = fs::read_dir(from).into_iter().flatten().flatten().collect();
        // A server's log and its store lie above its many nodes' directories, and come first.
        let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|t| t.is_dir());
        entries.sort_by_key(|entry| (is_dir(entry), entry.file_name()));
        for entry in entries {
            self.looked_at += 1;
            if self.looked_at > LOOKED_AT_MAX {
                return;
            }
            // No symbolic link is followed: it may lead out of the directory.
            let Ok(found) = fs::symlink_metadata(entry.path()) else { continue };
            let below = below.join(entry.file_name());
            if found.is_dir() {
                let content = LEFT_OUT.iter().any(|name| *name == entry.file_name());
                if !content && found.dev() == device && depth < DEPTH_MAX {
                    self.walk(&entry.path(), &below, device, depth + 1);
                }
            } else if found.is_file() {
                self.keep(&entry.path(), &below, found.len());
            }
        }
    }

    fn keep(&mut self, from: &Path, below: &Path, length: u64) {
        let extension = from.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let is_log = LOGS.contains(&extension);
        let is_whole = WHOLE.contains(&extension) && length <= FILE_MAX_BYTES;
        if !is_log && !is_whole {
            return;
        }
        let bytes = length.min(if is_log { LOG_MAX_BYTES } else { FILE_MAX_BYTES });
        if self.files >= KEPT_MAX || self.bytes + bytes > KEPT_MAX_BYTES {
            self.left_out += 1;
            return;
        }
        match copy(from, &self.to.join(below), length - bytes, bytes) {
            Ok(()) => {
                self.files += 1;
                self.bytes += bytes;
            }
            Err(e) => eprintln!("{} is not kept: {e}", from.display()),
        }
    }
}

/// Copies so many bytes of a file from an offset on, and no more: it may be growing.
fn copy(from: &Path, to: &Path, offset: u64, bytes: u64) -> io::Result<()> {
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut source = File::open(from)?;
    source.seek(SeekFrom::Start(offset))?;
    io::copy(&mut source.take(bytes), &mut File::create(to)?).map(|_| ())
}
