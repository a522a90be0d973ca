//! A test that fails on purpose, in a process of its own, and what is left of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

use holdfast_scratch::{
    FILE_MAX_BYTES, KEPT_MAX, KEPT_MAX_BYTES, LOG_MAX_BYTES, PLACE_VARIABLE, Scratch,
};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a child is to do; a test that plays the child does nothing without it.
const CHILD: &str = "HOLDFAST_TEST_SCRATCH_CHILD";

fn child(test: &str, how: &str, evidence: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "2"])
        .env(CHILD, how)
        .env(PLACE_VARIABLE, evidence)
        .output()
        .unwrap()
}

/// Every file below, by its path from there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn write(path: &Path, what: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, what).unwrap();
}

#[test]
fn plays_the_child() {
    let Some(how) = std::env::var_os(CHILD) else { return };
    let scratch = Scratch::with_end(|dir| {
        println!("ENDED {}", dir.display());
        assert!(dir.join("data/server.log").exists(), "it ends before the directory goes");
        fs::remove_file(dir.join("data/server.log")).unwrap();
    });
    let data = scratch.path().join("data");
    // The end of a log is what counts, and no more than so much of it.
    let mut long = vec![b'.'; usize::try_from(LOG_MAX_BYTES).unwrap()];
    long.extend(b"the last words");
    write(&data.join("server.log"), long);
    write(&data.join("local/nodes/i-1/console.log"), "the node's words");
    write(&data.join("local/nodes/i-1/console.log.1"), "the node's earlier words");
    write(&data.join("holdfast.db"), "records and events");
    // None of these is evidence.
    write(&data.join("token"), "a secret");
    write(&data.join("local/pool/volumes/vol-1.log"), "content of a volume");
    File::create(data.join("local/pool.xfs")).unwrap().set_len(4 << 30).unwrap();
    let huge = File::create(data.join("huge.db")).unwrap();
    huge.set_len(FILE_MAX_BYTES + 1).unwrap();
    write(&scratch.path().join("outside/secret.log"), "not below the link");
    std::os::unix::fs::symlink(scratch.path().join("outside"), data.join("link.log")).unwrap();
    if how == "many" {
        // Below what counts most: that is kept all the same.
        for number in 0..KEPT_MAX * 2 {
            let path = data.join(format!("a/{number}.log"));
            write(&path, vec![b'x'; if number < 100 { 500_000 } else { 1 }]);
        }
    }
    assert!(how == "passes", "it fails on purpose");
}

#[test]
fn a_test_that_fails_leaves_its_logs_and_stores_and_nothing_else() {
    let evidence = tempfile::tempdir().unwrap();
    let output = child("plays_the_child", "fails", evidence.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    let places: Vec<_> = fs::read_dir(evidence.path()).unwrap().flatten().collect();
    let [place] = places.as_slice() else { panic!("{places:?}") };
    let name = place.file_name().into_string().unwrap();
    assert!(name.starts_with("plays_the_child-"), "{name}");
    assert!(said.contains(&place.path().display().to_string()), "its path is said: {said}");
    let kept = files(&place.path());
    let kept: Vec<_> = kept.iter().map(|f| f.strip_prefix(place.path()).unwrap()).collect();
    let expected = [
        "data/holdfast.db",
        "data/local/nodes/i-1/console.log",
        "data/local/nodes/i-1/console.log.1",
        "data/server.log",
        "outside/secret.log",
    ];
    assert_eq!(kept, expected.map(Path::new));
    let log = fs::read(place.path().join("data/server.log")).unwrap();
    assert_eq!(log.len() as u64, LOG_MAX_BYTES);
    assert!(log.ends_with(b"the last words"));
    // The directory itself is gone, and what had to be done with it was done.
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let dir = told.lines().find_map(|l| l.split("ENDED ").nth(1)).expect(&told);
    assert!(!Path::new(dir).exists(), "{dir}");
}

#[test]
fn a_test_that_passes_leaves_nothing() {
    let evidence = tempfile::tempdir().unwrap();
    let output = child("plays_the_child", "passes", evidence.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(files(evidence.path()), [] as [PathBuf; 0]);
    assert_eq!(fs::read_dir(evidence.path()).unwrap().count(), 0);
}

#[test]
fn what_is_kept_has_a_limit() {
    let evidence = tempfile::tempdir().unwrap();
    let output = child("plays_the_child", "many", evidence.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("more would have been too many"), "{said}");
    let kept = files(evidence.path());
    let bytes: u64 = kept.iter().map(|f| fs::metadata(f).unwrap().len()).sum();
    assert!(kept.len() <= KEPT_MAX && bytes <= KEPT_MAX_BYTES, "{} files, {bytes}", kept.len());
    for first in ["data/server.log", "data/holdfast.db"] {
        assert!(kept.iter().any(|path| path.ends_with(first)), "{first} is not among {kept:?}");
    }
}

#[test]
fn a_seed_is_the_same_for_the_same_source_wherever_it_is_and_another_for_another() {
    let tree = |text: &str| {
        let dir = Scratch::new();
        fs::create_dir(dir.path().join("src")).unwrap();
        fs::write(dir.path().join("src/lib.rs"), text).unwrap();
        fs::write(dir.path().join("notes.md"), dir.path().to_str().unwrap()).unwrap();
        holdfast_scratch::hash_of(dir.path()).unwrap()
    };
    assert_eq!(tree("fn one() {}"), tree("fn one() {}"));
    assert_ne!(tree("fn one() {}"), tree("fn two() {}"));
}
