//! The lists of wrong changes that a test must notice: `crates/mutants/list/*.toml`.

use crate::anchor;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Where the lists are, from the workspace's root.
pub const LISTS: &str = "crates/mutants/list";

/// One place that is edited.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The file, from the workspace's root.
    pub file: PathBuf,
    /// The function, constant or type in which the old text stands; `Type::name` where `name` is not one.
    pub function: String,
    /// What stands there, exactly once.
    pub old: String,
    /// What stands there instead.
    pub new: String,
}

/// A test: its package, its binary (`lib`, or a test's name) and its path in that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestName {
    /// The package.
    pub package: String,
    /// The binary.
    pub binary: String,
    /// The path.
    pub path: String,
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.package, self.binary, self.path)
    }
}

impl TestName {
    /// Reads `package binary path`.
    #[must_use]
    pub fn read(text: &str) -> Option<TestName> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [package, binary, path] = words.as_slice() else { return None };
        let owned = |word: &str| word.to_owned();
        Some(TestName { package: owned(package), binary: owned(binary), path: owned(path) })
    }
}

/// A wrong change, or one that cannot matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The list that holds it.
    pub list: PathBuf,
    /// What is edited: usually one place.
    pub changes: Vec<Change>,
    /// What makes the change redundant, taken away; `None` for a change that is wrong by itself.
    pub guard: Option<Change>,
    /// What goes wrong, or why nothing does.
    pub why: String,
    /// The test that fails.
    pub killed_by: TestName,
    /// The invariant that the simulation's ordinary mix sees broken, if it must see that too.
    pub trips: Option<String>,
}

impl Entry {
    /// Everything that is edited when it is tried.
    pub fn edits(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().chain(&self.guard)
    }
}

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The list.
    pub list: PathBuf,
    /// The entry, if it is one's.
    pub entry: Option<String>,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "{}: {entry}: {}", self.list.display(), self.what),
            None => write!(f, "{}: {}", self.list.display(), self.what),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    edit: Vec<Edit>,
    #[serde(default)]
    equivalent: Vec<Equivalent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    name: String,
    file: PathBuf,
    function: String,
    old: String,
    new: String,
    /// Further places that must be edited with it.
    #[serde(default)]
    also: Vec<Change>,
    wrong: String,
    killed_by: String,
    trips: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Equivalent {
    name: String,
    file: PathBuf,
    function: String,
    old: String,
    new: String,
    because: String,
    guard_file: PathBuf,
    guard_function: String,
    guard_old: String,
    guard_new: String,
    killed_by: String,
}

/// Reads all lists of a workspace and checks each anchor.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(root: &Path) -> Result<Vec<Entry>, Vec<Fault>> {
    let dir = root.join(LISTS);
    let whole = |list: &Path, what: String| Fault { list: list.to_owned(), entry: None, what };
    let read = std::fs::read_dir(&dir)
        .map_err(|e| vec![whole(Path::new(LISTS), format!("there are no lists: {e}"))])?;
    let mut paths: Vec<PathBuf> = read
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        let list = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) => {
                faults.push(whole(&list, format!("cannot be read: {e}")));
                continue;
            }
        };
        match toml::from_str::<List>(&text) {
            Ok(read) => take(read, &list, &mut entries, &mut faults),
            Err(e) => faults.push(whole(&list, format!("is no list: {e}"))),
        }
    }
    check(root, &entries, &mut faults);
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

fn take(read: List, list: &Path, entries: &mut Vec<Entry>, faults: &mut Vec<Fault>) {
    let mut add = |mut entry: Entry, killed_by: &str| match TestName::read(killed_by) {
        Some(test) => {
            entry.killed_by = test;
            entries.push(entry);
        }
        None => faults.push(Fault {
            list: list.to_owned(),
            entry: Some(entry.name),
            what: format!("killed_by is {killed_by:?}: write package, binary and path of one test"),
        }),
    };
    let unnamed =
        || TestName { package: String::new(), binary: String::new(), path: String::new() };
    for edit in read.edit {
        let Edit { name, file, function, old, new, also, wrong, killed_by, trips } = edit;
        let changes = std::iter::once(Change { file, function, old, new }).chain(also).collect();
        let (list, guard) = (list.to_owned(), None);
        let entry = Entry { name, list, changes, guard, why: wrong, killed_by: unnamed(), trips };
        add(entry, &killed_by);
    }
    for equivalent in read.equivalent {
        let Equivalent { name, file, function, old, new, because, killed_by, .. } = equivalent;
        let guard = Change {
            file: equivalent.guard_file,
            function: equivalent.guard_function,
            old: equivalent.guard_old,
            new: equivalent.guard_new,
        };
        let entry = Entry {
            name,
            list: list.to_owned(),
            changes: vec![Change { file, function, old, new }],
            guard: Some(guard),
            why: because,
            killed_by: unnamed(),
            trips: None,
        };
        add(entry, &killed_by);
    }
}

fn check(root: &Path, entries: &[Entry], faults: &mut Vec<Fault>) {
    let mut names = BTreeSet::new();
    for entry in entries {
        let mut fault = |what: String| {
            let (list, name) = (entry.list.clone(), entry.name.clone());
            faults.push(Fault { list, entry: Some(name), what });
        };
        if !names.insert(&entry.name) {
            fault("another entry has this name: give it one of its own".to_owned());
        }
        if entry.why.trim().is_empty() {
            fault("it does not say why: write a sentence".to_owned());
        }
        if let Err(what) = edited(|file| std::fs::read_to_string(root.join(file)), entry.edits()) {
            fault(what);
        }
        if let Err(what) = binary_is_there(root, &entry.killed_by) {
            fault(what);
        }
    }
}

/// The files that edits change, as they are after them, by their path from the root.
///
/// # Errors
/// A sentence if an anchor is gone.
pub fn edited<'a>(
    source_of: impl Fn(&Path) -> io::Result<String>,
    changes: impl Iterator<Item = &'a Change>,
) -> Result<BTreeMap<PathBuf, String>, String> {
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    for change in changes {
        let source = match files.get(&change.file) {
            Some(source) => source.clone(),
            None => source_of(&change.file).map_err(|e| {
                let file = change.file.display();
                format!("{file} cannot be read ({e}): write where the code is now")
            })?,
        };
        let after = anchor::replace(&source, &change.function, &change.old, &change.new)
            .map_err(|e| format!("{}: {e}", change.file.display()))?;
        files.insert(change.file.clone(), after);
    }
    Ok(files)
}

/// Whether the package and its binary exist; whether the test does is seen when it is built.
fn binary_is_there(root: &Path, test: &TestName) -> Result<(), String> {
    let Some(package) = package_dir(&test.package).map(|dir| root.join(dir)) else {
        return Err(format!("there is no package {}: name one of the workspace", test.package));
    };
    if !package.join("Cargo.toml").is_file() {
        return Err(format!("there is no package {}: name one of the workspace", test.package));
    }
    let tests = package.join("tests");
    let there = match test.binary.as_str() {
        "lib" => package.join("src/lib.rs").is_file(),
        name => {
            tests.join(name).join("main.rs").is_file() || tests.join(format!("{name}.rs")).is_file()
        }
    };
    if there {
        Ok(())
    } else {
        Err(format!(
            "{} has no test binary {}: `lib`, or a name in tests",
            test.package, test.binary
        ))
    }
}

/// The directory of a package, from the workspace's root.
#[must_use]
pub fn package_dir(package: &str) -> Option<PathBuf> {
    let name = if package == "holdfast" { package } else { package.strip_prefix("holdfast-")? };
    Some(Path::new("crates").join(name))
}
