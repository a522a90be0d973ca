//! What a power cut leaves. Killing a process cannot tell a flush from none, because the kernel
//! keeps what was written; shutting the file system down without its journal can.

use crate::{ALL, put};
use holdfast_store::sqlite::{FILE, SqliteStore};
use holdfast_store::{Store, Written};
use rustix::ioctl::{Setter, ioctl, opcode};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `EXT4_IOC_SHUTDOWN` (`_IOR('X', 125, __u32)`, fs/ext4/ext4.h), and what it is given to drop
/// everything that is not on the disk (`EXT4_GOING_FLAGS_NOLOGFLUSH`).
const SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
const NO_LOG_FLUSH: u32 = 2;

/// Enough for the file to be written to from the log, too (SQLite does so each 1,000 pages).
const COMMITS: u64 = 1_500;

/// An ext4 in a file, on a loop device; unmounted when dropped.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Self { dir };
        File::create(disk.image()).unwrap().set_len(64 << 20).unwrap();
        std::fs::create_dir(disk.path()).unwrap();
        must(Command::new("mkfs.ext4").arg("-q").arg(disk.image()));
        disk.mount();
        disk
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// Needs root and loop devices.
    fn mount(&self) {
        must(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.path()));
    }

    fn cut_power(&self) {
        let root = File::open(self.path()).unwrap();
        // SAFETY: the call reads one u32, which the setter holds, and changes no memory of ours.
        unsafe { ioctl(&root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }.unwrap();
    }

    fn power_on(&self) {
        must(Command::new("umount").arg(self.path()));
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let left = Command::new("umount").args(["--lazy", "--quiet"]).arg(self.path()).status();
        if !left.as_ref().is_ok_and(std::process::ExitStatus::success) {
            eprintln!("{} may still be mounted: {left:?}", self.path().display());
        }
    }
}

fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "as root? {command:?}: {output:?}");
}

fn data(disk: &Disk) -> PathBuf {
    disk.path().join("data")
}

#[test]
fn what_was_acknowledged_is_there_after_a_power_cut() {
    let disk = Disk::new();
    let store = SqliteStore::open(&data(&disk)).unwrap();
    for revision in 0..COMMITS {
        assert_eq!(store.commit(&[put(1, revision, "r")]).unwrap(), [Written::Done]);
    }
    disk.cut_power();
    let refused = store.commit(&[put(1, COMMITS, "r")]);
    assert!(refused.is_err(), "nothing is acknowledged without a disk: {refused:?}");
    drop(store);
    disk.power_on();

    let store = SqliteStore::open(&data(&disk)).unwrap();
    let records = store.load().unwrap();
    assert_eq!(records.iter().map(|r| r.revision).collect::<Vec<_>>(), [COMMITS]);
    let newest = store.events(&ALL).unwrap().pop().unwrap();
    assert_eq!(newest.sequence, COMMITS);
    assert_eq!(store.commit(&[put(1, COMMITS, "r")]).unwrap(), [Written::Done]);
}

/// The control: were it not for the flushes, the test above would fail.
#[test]
fn a_power_cut_loses_what_was_not_flushed() {
    let disk = Disk::new();
    drop(SqliteStore::open(&data(&disk)).unwrap());
    let file: &Path = &data(&disk).join(FILE);
    let careless = rusqlite::Connection::open(file).unwrap();
    careless.pragma_update(None, "synchronous", "OFF").unwrap();
    const SET: &str = "INSERT INTO settings (name, value) VALUES (?1, 'kept?')";
    for n in 0..COMMITS {
        careless.execute(SET, [n.to_string()]).unwrap();
    }
    disk.cut_power();
    drop(careless);
    disk.power_on();
    let store = SqliteStore::open(&data(&disk)).unwrap();
    assert_eq!(store.setting(&(COMMITS - 1).to_string()).unwrap(), None, "the newest is lost");
}
