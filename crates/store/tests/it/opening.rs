use crate::{ALL, event, node, put};
use holdfast_store::sqlite::{FILE, SqliteStore};
use holdfast_store::{Store, StoreError, Write, Written};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn fails(dir: &Path) -> StoreError {
    match SqliteStore::open(dir) {
        Ok(_) => panic!("{} was opened", dir.display()),
        Err(e) => e,
    }
}

#[test]
fn what_was_written_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&[put(1, 0, "one"), put(2, 0, "two")]).unwrap();
    store.set_setting("installation", "x").unwrap();
    let (records, events) = (store.load().unwrap(), store.events(&ALL).unwrap());
    drop(store);
    let store = SqliteStore::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap(), records);
    assert_eq!(store.events(&ALL).unwrap(), events);
    assert_eq!(store.setting("installation").unwrap().as_deref(), Some("x"));
}

#[test]
fn directory_file_and_log_are_for_their_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    let store = SqliteStore::open(&dir).unwrap();
    store.commit(&[put(1, 0, "one")]).unwrap();
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.len() >= 4, "file, log, its index, lock: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_second_server_is_refused_while_the_first_runs() {
    let dir = tempfile::tempdir().unwrap();
    let first = SqliteStore::open(dir.path()).unwrap();
    let error = fails(dir.path());
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    assert_eq!(first.commit(&[put(1, 0, "one")]).unwrap(), [Written::Done], "it goes on");
    drop(first);
    SqliteStore::open(dir.path()).unwrap();
}

#[test]
fn a_child_that_outlives_the_server_does_not_keep_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    drop(store);
    let opened = SqliteStore::open(dir.path()).map(drop);
    child.kill().unwrap();
    child.wait().unwrap();
    opened.unwrap();
}

#[test]
fn a_newer_version_is_refused_and_its_files_are_unharmed() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    let path = dir.path().join(FILE);
    let newer = Connection::open(&path).unwrap();
    // Killed, so to speak: its newest content is still in the log.
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.execute_batch("CREATE TABLE future (x); INSERT INTO future VALUES (1);").unwrap();
    let copy = tempfile::tempdir().unwrap();
    let log = format!("{FILE}-wal");
    for name in [FILE, &log] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let before = [FILE, &log].map(|name| fs::read(copy.path().join(name)).unwrap());
    assert!(!before[1].is_empty(), "there is a log");

    let error = fails(copy.path());
    let StoreError::Newer { found: 99, known: 2, .. } = error else { panic!("{error}") };
    let after = [FILE, &log].map(|name| fs::read(copy.path().join(name)).unwrap());
    assert!(before == after, "unchanged");
}

#[test]
fn what_is_not_a_store_is_refused_and_unharmed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let diary = "Dear diary, this is no database. ".repeat(1_000);
    fs::write(&path, &diary).unwrap();
    let error = fails(dir.path());
    assert!(matches!(error, StoreError::Failed { .. }), "{error}");
    assert!(fs::read_to_string(&path).unwrap() == diary, "unharmed");

    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(&path).unwrap();
    let error = fails(dir.path());
    assert!(error.to_string().contains("another program"), "{error}");
    assert!(fs::read(&path).unwrap() == before, "unharmed");
}

#[test]
fn a_damaged_row_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&[put(1, 0, "one"), put(2, 0, "two"), put(3, 0, "three")]).unwrap();
    drop(store);
    let conn = Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch(
        "UPDATE records SET json = CAST(x'7bff7d' AS TEXT) WHERE node = 'smi-00000002';
         UPDATE events SET json = CAST(x'7bff7d' AS TEXT) WHERE node = 'smi-00000002';",
    )
    .unwrap();
    drop(conn);
    let store = SqliteStore::open(dir.path()).unwrap();
    let records = store.load().unwrap();
    let faults: Vec<bool> = records.iter().map(|r| r.fault.is_some()).collect();
    assert_eq!(faults, [false, true, false]);
    let records: Vec<String> = records.into_iter().map(|r| r.json).collect();
    assert_eq!(records, ["one", "{\u{fffd}}", "three"]);
    let events = store.events(&ALL).unwrap();
    let codes: Vec<&str> = events.iter().map(|e| e.event.code.name()).collect();
    assert_eq!(codes, ["created", "unreadable-event", "created"]);
    assert_eq!(events[1].event.node, node(2));
    assert_eq!(store.commit(&[put(2, 1, "mended")]).unwrap(), [Written::Done]);
}

#[test]
fn reading_does_not_wait_for_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&[put(1, 0, "one")]).unwrap();
    // A writer in the middle of its transaction.
    let writer = Connection::open(dir.path().join(FILE)).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM events; DELETE FROM records;").unwrap();
    assert_eq!(store.load().unwrap().len(), 1);
    assert_eq!(store.events(&ALL).unwrap().len(), 1);
    // Not for ever either: another program that writes makes commits fail, with nothing written.
    let write = Write { events: vec![event(&node(1), 2)], ..put(1, 1, "two") };
    assert!(matches!(store.commit(std::slice::from_ref(&write)), Err(StoreError::Failed { .. })));
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.commit(&[write]).unwrap(), [Written::Done]);
    assert_eq!(store.events(&ALL).unwrap().len(), 2);
}

#[test]
fn a_copy_of_the_file_of_a_folded_store_is_a_whole_backup() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    for number in 0..50 {
        store.set_setting(&format!("name-{number}"), "value").unwrap();
    }
    store.fold().unwrap();
    // The store is still open, as in a process that ends without closing it.
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join(FILE), other.path().join(FILE)).unwrap();
    let copy = SqliteStore::open(other.path()).unwrap();
    assert_eq!(copy.setting("name-49").unwrap().as_deref(), Some("value"));
}

#[test]
fn a_flipped_bit_is_seen_in_a_record_and_in_a_setting() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&[put(1, 0, "one"), put(2, 0, "two")]).unwrap();
    store.set_setting("installation", "hf-0").unwrap();
    store.set_setting("other", "sound").unwrap();
    drop(store);
    let conn = Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch(
        "UPDATE records SET json = 'twp' WHERE node = 'smi-00000002';
         UPDATE settings SET value = 'hf-1' WHERE name = 'installation';",
    )
    .unwrap();
    drop(conn);
    let store = SqliteStore::open(dir.path()).unwrap();
    let faults: Vec<bool> =
        store.load().unwrap().iter().map(|record| record.fault.is_some()).collect();
    assert_eq!(faults, [false, true]);
    let error = store.setting("installation").unwrap_err();
    assert!(error.to_string().contains("restore.md"), "{error}");
    assert_eq!(store.setting("other").unwrap().as_deref(), Some("sound"));
}

#[test]
fn a_store_of_version_1_is_read_and_has_checksums_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.commit(&[put(1, 0, "one")]).unwrap();
    store.set_setting("installation", "x").unwrap();
    drop(store);
    let conn = Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch(
        "ALTER TABLE records DROP COLUMN sum; ALTER TABLE settings DROP COLUMN sum;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(conn);
    drop(SqliteStore::open(dir.path()).unwrap());
    let conn = Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute_batch("UPDATE records SET json = 'onf'").unwrap();
    drop(conn);
    let store = SqliteStore::open(dir.path()).unwrap();
    assert!(store.load().unwrap()[0].fault.is_some());
    assert_eq!(store.setting("installation").unwrap().as_deref(), Some("x"));
}

#[test]
fn a_directory_that_others_may_write_to_is_refused_and_one_they_may_read_is_closed() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    fs::create_dir(&dir).unwrap();
    for bits in [0o777, 0o770, 0o702] {
        fs::set_permissions(&dir, fs::Permissions::from_mode(bits)).unwrap();
        let error = fails(&dir);
        assert!(matches!(error, StoreError::Exposed { .. }), "{error}");
        assert!(error.to_string().contains("chmod 700"), "{error}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "nothing was written to it");
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    drop(SqliteStore::open(&dir).unwrap());
    assert_eq!(mode(&dir), 0o700);
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    fs::create_dir(&dir).unwrap();
    std::os::unix::fs::chown(&dir, Some(65_534), Some(65_534)).unwrap();
    let error = fails(&dir);
    assert!(error.to_string().contains("belongs to user 65534"), "{error}");
}

#[test]
fn a_copy_is_of_one_instant_while_the_store_is_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let (source, target) = (dir.path().join(FILE), dir.path().join("copy"));
    std::thread::scope(|scope| {
        let writes = scope.spawn(|| {
            for revision in 0..200 {
                // Always both or none.
                store.commit(&[put(1, revision, "a"), put(2, revision, "a")]).unwrap();
            }
        });
        for n in 0..5 {
            let target = target.with_extension(n.to_string());
            holdfast_store::sqlite::copy(&source, &target).unwrap();
            assert_eq!(mode(&target), 0o600);
            let read = Connection::open(&target).unwrap();
            let revisions: (Option<i64>, Option<i64>) = read
                .query_row("SELECT min(revision), max(revision) FROM records", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .unwrap();
            assert_eq!(revisions.0, revisions.1);
        }
        writes.join().unwrap();
    });
    assert!(holdfast_store::sqlite::copy(&source, &source).is_err(), "it replaces nothing");
    assert_eq!(store.load().unwrap().len(), 2, "and deletes nothing that was there");
}
