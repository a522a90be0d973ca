//! Labels: what the memory knows of each resource that must outlive it, once more, beside the images.
//!
//! A label is one small file `pool/labels/<id>.label` for each volume, snapshot, image, interface,
//! Elastic IP and market that was set; an instance that runs has one in its own directory. From them
//! a lost `cloud.db` is made anew. They are files and not extended attributes, because interfaces
//! and images have no file that could carry attributes, and because a person can read a file.
//!
//! A label holds what stays: which instance holds a volume is not in the volume's label but in the
//! instance's, so attaching writes no durable label. The first line is the SHA-256 of the second,
//! which is JSON.
//!
//! **Invariant:** a label is on the disk before the row that it repeats is committed.

use crate::rows::Row;
use crate::storage::Pool;
use crate::sums::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The version of a label's JSON. A newer one is shown as unreadable and left alone.
const VERSION: u32 = 1;
/// The longest label, in bytes: 50 tags of 384 characters are the largest part of one.
pub(crate) const MAX_BYTES: u64 = 256 * 1024;
/// What the name of a label ends in.
const SUFFIX: &str = ".label";
/// What a label is called, after its id, until it is whole.
const DRAFT: &str = "new";
/// The label of an instance, in its directory.
const OF_INSTANCE: &str = "instance.label";

/// What one label says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Label {
    version: u32,
    /// `volume`, `snapshot`, `image`, `interface`, `address`, `market` or `instance`.
    pub(crate) kind: String,
    /// Whose.
    pub(crate) id: String,
    /// The row, as the memory keeps it.
    pub(crate) row: Value,
}

impl Label {
    pub(crate) fn new(kind: &str, id: &str, row: Value) -> Label {
        Label { version: VERSION, kind: kind.to_owned(), id: id.to_owned(), row }
    }

    /// The row of that type, if the label is of its kind.
    pub(crate) fn read_row<T: Row>(&self) -> Option<T> {
        let row: T = serde_json::from_value(self.row.clone()).ok()?;
        (self.kind == T::KIND.name() && row.id() == self.id).then_some(row)
    }

    fn text(&self) -> io::Result<String> {
        let json = serde_json::to_string(self)?;
        Ok(format!("{}\n{json}\n", digest(&[json.as_bytes()])))
    }

    fn parse(text: &str) -> Result<Label, String> {
        let (sum, json) = text.split_once('\n').ok_or("it is empty or cut off")?;
        let json = json.trim_end_matches('\n');
        if digest(&[json.as_bytes()]) != sum {
            return Err("its checksum is not that of its content".to_owned());
        }
        let label: Label = serde_json::from_str(json).map_err(|e| e.to_string())?;
        if label.version != VERSION {
            return Err(format!("it has version {}, this program reads {VERSION}", label.version));
        }
        Ok(label)
    }
}

/// Every label that there is.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// By id.
    pub(crate) sound: BTreeMap<String, Label>,
    /// What is wrong with those that cannot be read, by id.
    pub(crate) damaged: BTreeMap<String, String>,
}

/// The labels of a data directory.
#[derive(Debug)]
pub(crate) struct Labels {
    dir: PathBuf,
    /// What was written or read last, so that nothing is written twice.
    known: Mutex<BTreeMap<String, String>>,
    /// What found no space and is written later, when there is some.
    late: Mutex<BTreeMap<String, String>>,
    /// A file outside the pool that is there while some label is older than its row.
    mark: PathBuf,
}

impl Labels {
    /// Opens the directory, making it if need be; `mark`: a file that may be made beside the memory.
    pub(crate) fn open(dir: PathBuf, mark: PathBuf) -> io::Result<Labels> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let labels = Labels { dir, known: Mutex::default(), late: Mutex::default(), mark };
        labels.remove_drafts()?;
        for (id, label) in labels.all()?.sound {
            labels.known().insert(id, label.text()?);
        }
        Ok(labels)
    }

    /// Removes what a server left that was killed while it wrote a label. Nobody else writes any now.
    fn remove_drafts(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == DRAFT) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Those that lie in a pool.
    pub(crate) fn in_pool(pool: &Pool) -> io::Result<Labels> {
        Labels::open(pool.labels(), pool.dir().join("labels.late"))
    }

    /// Whether some labels may be older than their rows. Otherwise a label that differs from its row is
    /// the newer one, for it was written first.
    pub(crate) fn are_late(&self) -> bool {
        self.mark.exists()
    }

    /// Every label is as its row is now.
    pub(crate) fn are_in_time(&self) -> io::Result<()> {
        match fs::remove_file(&self.mark) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // Each change is one insertion or removal.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &str) -> io::Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if id.is_empty() || id.len() > 128 || id.starts_with('.') || !id.chars().all(plain) {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("{id:?} names no label")));
        }
        Ok(self.dir.join(format!("{id}{SUFFIX}")))
    }

    /// Reads every label.
    pub(crate) fn all(&self) -> io::Result<Found> {
        let mut found = Found::default();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|n| n.strip_suffix(SUFFIX)) else { continue };
            match read(&entry.path()) {
                Ok(label) if label.id == id => drop(found.sound.insert(id.to_owned(), label)),
                Ok(label) => {
                    let why = format!("it is the label of {}", label.id);
                    found.damaged.insert(id.to_owned(), why);
                }
                Err(why) => drop(found.damaged.insert(id.to_owned(), why)),
            }
        }
        Ok(found)
    }

    /// The label of one resource; what is wrong with it, if it is there and cannot be read.
    pub(crate) fn one(&self, id: &str) -> Result<Option<Label>, String> {
        let path = self.path(id).map_err(|e| e.to_string())?;
        if !path.exists() {
            return Ok(None);
        }
        let label = read(&path)?;
        if label.id == id { Ok(Some(label)) } else { Err(format!("it is that of {}", label.id)) }
    }

    /// The addresses that interfaces and Elastic IPs have by their labels, with a row or without: nobody
    /// else gets them.
    pub(crate) fn addresses(&self) -> BTreeSet<String> {
        let known = self.known();
        let labels = known.iter().filter(|(id, _)| id.starts_with("eni-") || id.starts_with("eip"));
        let address = |text: &String| {
            let label = Label::parse(text).ok()?;
            let place = if label.kind == "interface" { "/fact/private_ip" } else { "/publicIp" };
            label.row.pointer(place)?.as_str().map(str::to_owned)
        };
        labels.filter_map(|(_, text)| address(text)).collect()
    }

    /// Writes labels durably, as far as they are not so already; gives the ids of those that are new.
    ///
    /// A label that is there already and finds no space for its change is written later: what takes
    /// space away must not keep a node from being given up, which is what makes space.
    pub(crate) fn write(&self, labels: &[Label]) -> io::Result<Vec<String>> {
        let mut fresh = Vec::new();
        let mut any = false;
        for label in labels {
            let text = label.text()?;
            let before = self.known().get(&label.id).cloned();
            if before.as_ref() == Some(&text) {
                continue;
            }
            match replace(&self.path(&label.id)?, &text, true) {
                Ok(()) => {}
                Err(e) if before.is_some() && is_full(&e) => {
                    tracing::warn!(id = %label.id, "no space for a label; it is written later");
                    let mut mark = OpenOptions::new();
                    mark.write(true).create(true).truncate(false).mode(0o600);
                    mark.open(&self.mark)?.sync_all()?;
                    self.late().insert(label.id.clone(), text);
                    continue;
                }
                Err(e) => return Err(e),
            }
            any = true;
            if before.is_none() {
                fresh.push(label.id.clone());
            }
            self.late().remove(&label.id);
            self.known().insert(label.id.clone(), text);
        }
        if any {
            File::open(&self.dir)?.sync_all()?;
        }
        Ok(fresh)
    }

    /// Writes what found no space before.
    pub(crate) fn catch_up(&self) -> io::Result<()> {
        let late: Vec<(String, String)> =
            self.late().iter().map(|(id, text)| (id.clone(), text.clone())).collect();
        if late.is_empty() {
            return Ok(());
        }
        for (id, text) in late {
            replace(&self.path(&id)?, &text, true)?;
            self.known().insert(id.clone(), text);
            self.late().remove(&id);
        }
        File::open(&self.dir)?.sync_all()?;
        self.are_in_time()
    }

    /// Removes a label; one that is gone is success. Not durable by itself: the memory remembers
    /// what was deleted (see `Table::gone`).
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        self.known().remove(id);
        self.late().remove(id);
        match fs::remove_file(self.path(id)?) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// Writes the label of an instance into its directory, if that is there. It needs not outlive a crash of
/// the host, for the instance does not.
pub(crate) fn write_instance(node_dir: &Path, label: &Label) -> io::Result<()> {
    match replace(&node_dir.join(OF_INSTANCE), &label.text()?, false) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        written => written,
    }
}

/// The label of an instance.
pub(crate) fn read_instance(node_dir: &Path) -> Result<Label, String> {
    read(&node_dir.join(OF_INSTANCE))
}

fn read(path: &Path) -> Result<Label, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(|e| e.to_string())?;
    Label::parse(&text)
}

/// Replaces a file whole; the caller syncs its directory.
fn replace(path: &Path, text: &str, durable: bool) -> io::Result<()> {
    let draft = path.with_extension(DRAFT);
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        if durable {
            file.sync_all()?;
        }
        fs::rename(&draft, path)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_label_is_read_as_it_was_written_and_a_flipped_bit_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let labels = Labels::open(dir.path().join("labels"), dir.path().join("late")).unwrap();
        let label = Label::new("address", "eipalloc-1", json!({"publicIp": "10.77.255.1"}));
        assert_eq!(labels.write(std::slice::from_ref(&label)).unwrap(), ["eipalloc-1"]);
        assert_eq!(labels.write(std::slice::from_ref(&label)).unwrap(), [] as [&str; 0]);
        assert_eq!(labels.one("eipalloc-1").unwrap(), Some(label));
        let path = labels.path("eipalloc-1").unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 10;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(labels.one("eipalloc-1").is_err());
        assert_eq!(labels.all().unwrap().damaged.len(), 1);
        labels.remove("eipalloc-1").unwrap();
        labels.remove("eipalloc-1").unwrap();
        assert_eq!(labels.one("eipalloc-1").unwrap(), None);
    }

    #[test]
    fn what_a_killed_server_left_of_a_label_is_removed_when_the_labels_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (labels, late) = (dir.path().join("labels"), dir.path().join("late"));
        let opened = Labels::open(labels.clone(), late.clone()).unwrap();
        let label = Label::new("address", "eipalloc-1", json!({"publicIp": "10.77.255.1"}));
        opened.write(std::slice::from_ref(&label)).unwrap();
        fs::write(labels.join("snap-1.new"), "half").unwrap();
        let again = Labels::open(labels.clone(), late).unwrap();
        assert!(!labels.join("snap-1.new").exists());
        assert_eq!(again.one("eipalloc-1").unwrap(), Some(label));
    }

    #[test]
    fn an_id_that_leads_elsewhere_names_no_label() {
        let dir = tempfile::tempdir().unwrap();
        let labels = Labels::open(dir.path().join("labels"), dir.path().join("late")).unwrap();
        for id in ["", "..", "../vol-1", "a/b", ".hidden"] {
            assert!(labels.path(id).is_err(), "{id}");
        }
    }
}
