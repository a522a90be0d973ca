//! `holdfast backup`, and the copies that the server makes by itself.
//!
//! A backup is a directory with a copy of the store and one of the local cloud's memory. The store is
//! copied first: a memory that is newer than the store only shows what the store does not account for,
//! which is adopted; an older one would lack what the store needs.

use super::arguments::BackupOptions;
use super::options::CLOUD_DIR;
use holdfast_store::sqlite::{FILE, copy};
use holdfast_terminal::print;
use holdfast_terminal::{Code, Failure};
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where backups are kept if nobody says, in the data directory.
pub const BACKUPS: &str = "backups";
/// So many of those are kept; the oldest go first.
pub const KEPT: usize = 8;
/// Between two copies that the server makes by itself.
pub const EVERY: Duration = Duration::from_secs(6 * 3_600);
/// The local cloud's memory.
const MEMORY: &str = "cloud.db";
/// What a backup's name begins with; the time in milliseconds since 1970 follows, in digits of the same
/// number, so that names are in the order of time.
const NAME: &str = "backup-";

/// Makes a backup, whether the server runs or not.
pub fn run(options: &BackupOptions) -> Result<(), Failure> {
    let made = match &options.to {
        Some(to) => make(&options.data_dir, to).map(|()| to.clone()),
        None => roll(&options.data_dir),
    };
    let made = made.map_err(|why| Failure::new(Code::Failed, why))?;
    print(&format!(
        "Copied the store and what this host's cloud remembers to {}.\n",
        made.display()
    ))
}

/// Makes a backup among those of the data directory, and removes the oldest if there are too many.
pub fn roll(data_dir: &Path) -> Result<PathBuf, String> {
    let all = data_dir.join(BACKUPS);
    let target = all.join(format!("{NAME}{:015}", milliseconds()));
    make(data_dir, &target)?;
    let failed = |e: std::io::Error| format!("{}: {e}", all.display());
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&all).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(NAME) {
            found.push(entry.path());
        }
    }
    found.sort();
    let excess = found.len().saturating_sub(KEPT);
    for old in &found[..excess] {
        fs::remove_dir_all(old).map_err(|e| format!("{}: {e}", old.display()))?;
    }
    Ok(target)
}

#[expect(clippy::disallowed_methods, reason = "backups are named by the time of day")]
fn milliseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// Makes a backup whole or not at all.
fn make(data_dir: &Path, target: &Path) -> Result<(), String> {
    let store = data_dir.join(FILE);
    if !store.exists() {
        return Err(format!(
            "{} has no {FILE}: no server has ever used it; see --data-dir",
            data_dir.display()
        ));
    }
    if target.exists() {
        return Err(format!("{} exists already; name another directory", target.display()));
    }
    let mut name = target.as_os_str().to_owned();
    name.push(".new");
    let draft = PathBuf::from(name);
    let made = fill(data_dir, &draft).and_then(|()| {
        let named = fs::rename(&draft, target);
        named.map_err(|e| format!("{}: {e}", target.display()))
    });
    if made.is_err() {
        // Best effort: the reason is what counts.
        let _ = fs::remove_dir_all(&draft);
    }
    made
}

fn fill(data_dir: &Path, draft: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", draft.display());
    match fs::remove_dir_all(draft) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(draft).map_err(failed)?;
    copy(&data_dir.join(FILE), &draft.join(FILE)).map_err(|e| e.to_string())?;
    let memory = data_dir.join(CLOUD_DIR).join(MEMORY);
    if memory.exists() {
        copy(&memory, &draft.join(MEMORY)).map_err(|e| e.to_string())?;
    }
    File::open(draft).and_then(|d| d.sync_all()).map_err(failed)
}

/// Makes backups for as long as the process lives: one now, and then one at intervals. What fails is
/// said in the log and tried again at the next.
pub fn keep_making(data_dir: PathBuf) {
    let work = move || loop {
        match roll(&data_dir) {
            Ok(made) => tracing::info!(path = %made.display(), "a backup was made"),
            Err(why) => tracing::warn!(%why, "no backup was made"),
        }
        std::thread::sleep(EVERY);
    };
    if let Err(e) = std::thread::Builder::new().name("backups".to_owned()).spawn(work) {
        tracing::warn!(error = %e, "no backups are made: there is no thread for them");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_store::Store;
    use holdfast_store::sqlite::SqliteStore;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_newest_backups_are_kept_and_each_can_be_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        let mut made = Vec::new();
        for n in 0..KEPT + 2 {
            store.set_setting("round", &n.to_string()).unwrap();
            made.push(roll(dir.path()).unwrap());
        }
        let kept = fs::read_dir(dir.path().join(BACKUPS)).unwrap().count();
        assert_eq!(kept, KEPT);
        assert!(!made[0].exists() && !made[1].exists() && made[2].exists());
        assert!(make(dir.path(), &made[2]).is_err(), "a backup is never replaced");
        let mode = fs::metadata(&made[2]).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700);

        drop(store);
        fs::copy(made[2].join(FILE), dir.path().join(FILE)).unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        assert_eq!(store.setting("round").unwrap().as_deref(), Some("2"));
    }

    #[test]
    fn what_fails_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert!(roll(dir.path()).is_err(), "there is no store");
        drop(SqliteStore::open(dir.path()).unwrap());
        fs::create_dir(dir.path().join(CLOUD_DIR)).unwrap();
        fs::write(dir.path().join(CLOUD_DIR).join(MEMORY), "this is no database").unwrap();
        roll(dir.path()).unwrap_err();
        assert_eq!(fs::read_dir(dir.path().join(BACKUPS)).unwrap().count(), 0);
    }
}
