use crate::{ALL, put};
use holdfast_store::sqlite::SqliteStore;
use holdfast_store::{Store, StoreError, Written};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// A file system of 4 MiB, gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(c"size=4m,mode=0700"))
            .expect("mounting a tmpfs: run this test as root");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it to the last block; the file can be removed to make room.
    fn fill(&self, name: &str) {
        let mut file = File::create(self.path().join(name)).unwrap();
        let mut written = 0;
        while file.write_all(&[0; 4096]).is_ok() {
            written += 4096;
            assert!(written <= 4 << 20, "more than the disk holds");
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(e) = unmount(self.path(), UnmountFlags::DETACH) {
            eprintln!("{} is still mounted: {e}", self.path().display());
        }
    }
}

#[test]
fn a_full_disk_is_named_and_loses_nothing_and_commits_go_on_once_there_is_room() {
    let disk = SmallDisk::mount();
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![0; 1 << 20]).unwrap();
    let dir = disk.path().join("data");
    let store = SqliteStore::open(&dir).unwrap();
    let json = "x".repeat(50_000);
    let mut done = 0;
    let error = loop {
        match store.commit(&[put(done, 0, &json)]) {
            Ok(written) => assert_eq!(written, [Written::Done]),
            Err(e) => break e,
        }
        done += 1;
        assert!(done < 200, "4 MiB took {done} records");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(error.to_string().contains("holdfast.db"), "{error}");
    assert!(done > 10, "{done} records went in");
    // Nothing of the refused write, all of the others; reading goes on.
    assert_eq!(store.load().unwrap().len() as u64, done);
    assert_eq!(store.events(&ALL).unwrap().len() as u64, done);
    let again = store.commit(&[put(done, 0, &json)]);
    assert!(matches!(again, Err(StoreError::Full { .. })), "{again:?}");

    fs::remove_file(&filler).unwrap();
    assert_eq!(store.commit(&[put(done, 0, &json)]).unwrap(), [Written::Done]);
    drop(store);
    let store = SqliteStore::open(&dir).unwrap();
    let records = store.load().unwrap();
    assert_eq!(records.len() as u64, done + 1);
    assert!(records.iter().all(|r| r.revision == 1 && r.json == json), "whole");
}

#[test]
fn a_disk_that_is_full_from_the_start_is_named_and_later_opens() {
    let disk = SmallDisk::mount();
    let dir = disk.path().join("data");
    fs::create_dir(&dir).unwrap();
    disk.fill("filler");
    match SqliteStore::open(&dir) {
        Err(StoreError::Full { .. }) => {}
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("opened without room"),
    }
    fs::remove_file(disk.path().join("filler")).unwrap();
    let store = SqliteStore::open(&dir).unwrap();
    assert_eq!(store.commit(&[put(1, 0, "one")]).unwrap(), [Written::Done]);
}

#[test]
fn a_store_opens_on_a_disk_that_became_full_or_says_that_it_is() {
    let disk = SmallDisk::mount();
    let dir = disk.path().join("data");
    SqliteStore::open(&dir).unwrap().commit(&[put(1, 0, "one")]).unwrap();
    disk.fill("filler");
    match SqliteStore::open(&dir) {
        Ok(store) => {
            assert_eq!(store.load().unwrap().len(), 1);
            let refused = store.commit(&[put(2, 0, "two")]);
            assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
        }
        Err(e) => assert!(matches!(e, StoreError::Full { .. }), "{e}"),
    }
    fs::remove_file(disk.path().join("filler")).unwrap();
    let store = SqliteStore::open(&dir).unwrap();
    assert_eq!(store.load().unwrap().len(), 1);
    assert_eq!(store.commit(&[put(2, 0, "two")]).unwrap(), [Written::Done]);
}
