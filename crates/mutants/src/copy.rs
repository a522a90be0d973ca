//! A copy of the workspace, which is edited in place of the workspace itself.

use crate::list::package_dir;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is never copied where git cannot be asked.
const LEFT_OUT: [&str; 2] = ["target", ".git"];
/// How deep a workspace is looked through where git cannot be asked.
const DEPTH_MAX: usize = 16;

/// A place below `target/mutants` that one run has to itself, with the copies of its workers.
pub struct Place {
    dir: PathBuf,
    // Locked as long as it is open.
    _lock: File,
}

impl Place {
    /// Takes the place of this name; another run that has it is waited for.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn take(root: &Path, name: &str) -> io::Result<Place> {
        let dir = root.join("target/mutants").join(name);
        fs::create_dir_all(&dir)?;
        let lock = File::options().create(true).append(true).open(dir.join("lock"))?;
        if lock.try_lock().is_err() {
            eprintln!("mutants: waiting for another run in {}", dir.display());
            lock.lock()?;
        }
        Ok(Place { dir, _lock: lock })
    }

    /// The first copy of another place where nobody works now, and what keeps others out of it.
    fn neighbour(&self) -> Option<(PathBuf, File)> {
        let places = fs::read_dir(self.dir.parent()?).ok()?;
        places.filter_map(|place| Some(place.ok()?.path())).find_map(|place| {
            let lock = File::options().append(true).open(place.join("lock")).ok()?;
            let copy = place.join("0");
            (place != self.dir && copy.is_dir() && lock.try_lock().is_ok()).then_some((copy, lock))
        })
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// A copy of the workspace, with a target directory of its own.
#[derive(Debug)]
pub struct Copy {
    /// The copied workspace.
    pub tree: PathBuf,
    /// Where it is built.
    pub target: PathBuf,
    /// What its files hold when nothing is edited.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// The files that are edited now.
    edited: BTreeSet<PathBuf>,
}

impl Copy {
    /// The copy of worker `number`. Files that are the same already are left alone, so that cargo
    /// builds only what has changed.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn make(root: &Path, place: &Place, number: usize) -> io::Result<Copy> {
        let dir = place.dir().join(number.to_string());
        let (tree, target) = (dir.join("tree"), dir.join("target"));
        let mut files = BTreeMap::new();
        for path in files_of(root)? {
            // What was deleted and not yet committed is listed all the same.
            if root.join(&path).is_file() {
                files.insert(path.clone(), fs::read(root.join(&path))?);
            }
        }
        let copy = Copy { tree, target, files, edited: BTreeSet::new() };
        if !dir.exists()
            && let Some((other, _held)) = place.neighbour()
        {
            // What it has built of others' code need not be built twice.
            copy_whole(&other, &dir)?;
        }
        copy.write_all()?;
        Ok(copy)
    }

    /// A second copy: of all that this one holds, what it has built included.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub fn again(&self, place: &Place, number: usize) -> io::Result<Copy> {
        let dir = place.dir().join(number.to_string());
        let from = self.tree.parent().unwrap_or(&self.tree);
        let (tree, target) = (dir.join("tree"), dir.join("target"));
        // One that is there already has built it too, at most a few edits ago.
        if !dir.exists() {
            copy_whole(from, &dir)?;
        }
        let copy = Copy { tree, target, files: self.files.clone(), edited: BTreeSet::new() };
        copy.write_all()?;
        Ok(copy)
    }

    /// What a file holds when nothing is edited.
    #[must_use]
    pub fn source(&self, file: &Path) -> Option<&str> {
        self.files.get(file).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The same, for whoever cannot do without it.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn read(&self, file: &Path) -> io::Result<String> {
        let source = self.source(file).map(str::to_owned);
        source.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Whether a package has tests in its source, beside those in `tests`.
    #[must_use]
    pub fn has_unit_tests(&self, package: &str) -> bool {
        let Some(source) = package_dir(package).map(|dir| dir.join("src")) else { return false };
        let of_it = self.files.keys().filter(|path| path.starts_with(&source));
        of_it.filter_map(|path| self.source(path)).any(|text| text.contains("#[test]"))
    }

    /// The name of what is copied: the same content has the same name.
    #[must_use]
    pub fn name(&self) -> String {
        // FNV-1a: nobody forges a tree here.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut take = |bytes: &[u8]| {
            for byte in bytes.iter().chain(&[0]) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for (path, bytes) in &self.files {
            take(path.as_os_str().as_encoded_bytes());
            take(bytes);
        }
        format!("{hash:016x}")
    }

    /// Makes these files what they are to be, and all others what they were.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn edit(&mut self, after: &BTreeMap<PathBuf, String>) -> io::Result<()> {
        let back: Vec<PathBuf> =
            self.edited.iter().filter(|p| !after.contains_key(*p)).cloned().collect();
        for path in back {
            if let Some(bytes) = self.files.get(&path) {
                fs::write(self.tree.join(&path), bytes)?;
            }
            self.edited.remove(&path);
        }
        for (path, text) in after {
            self.edited.insert(path.clone());
            fs::write(self.tree.join(path), text)?;
        }
        Ok(())
    }

    /// Writes what differs, and deletes what is not of the workspace.
    fn write_all(&self) -> io::Result<()> {
        fs::create_dir_all(&self.tree)?;
        for path in walk(&self.tree)? {
            if !self.files.contains_key(&path) {
                fs::remove_file(self.tree.join(&path))?;
            }
        }
        for (path, bytes) in &self.files {
            let to = self.tree.join(path);
            if fs::read(&to).is_ok_and(|there| there == *bytes) {
                continue;
            }
            if let Some(dir) = to.parent() {
                fs::create_dir_all(dir)?;
            }
            fs::write(&to, bytes)?;
            // Scripts and test servers are executed.
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

/// With the times of change: by them cargo sees that nothing must be built again.
fn copy_whole(from: &Path, to: &Path) -> io::Result<()> {
    // Aside, so that what is there is whole.
    let aside = to.with_extension("new");
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    let done = Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(&aside).status()?;
    if done.success() {
        fs::rename(aside, to)
    } else {
        Err(io::Error::other(format!("{} cannot be copied", from.display())))
    }
}

/// The files of a workspace: those that git tracks or would track, or all but what is built.
fn files_of(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let asked = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    match asked {
        Ok(answer) if answer.status.success() && root.join(".git").exists() => {
            let text = String::from_utf8_lossy(&answer.stdout).into_owned();
            Ok(text.split('\0').filter(|p| !p.is_empty()).map(PathBuf::from).collect())
        }
        _ => walk(root),
    }
}

fn walk(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut left = vec![(PathBuf::new(), 0)];
    while let Some((below, depth)) = left.pop() {
        for entry in fs::read_dir(root.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            let kind = entry.file_type()?;
            let left_out = depth == 0 && LEFT_OUT.iter().any(|name| *name == entry.file_name());
            if kind.is_dir() && !left_out && depth < DEPTH_MAX {
                left.push((path, depth + 1));
            } else if kind.is_file() {
                found.insert(path);
            }
        }
    }
    Ok(found)
}
