//! What keeps a server from starting: one sentence each, and no damage. As root.

use crate::played::{Ended, holdfast};
use holdfast_scratch::Scratch;
use std::path::Path;

fn serve(dir: &Path, listen: &str) -> Ended {
    holdfast()
        .env("RUST_LOG", "off")
        .args(["serve", "--listen", listen, "--data-dir"])
        .arg(dir)
        .output()
        .unwrap()
        .into()
}

fn refused(ended: &Ended, says: &str) {
    assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{}", ended.err);
    assert!(ended.err.contains(says), "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
}

#[test]
fn a_taken_port_is_refused_before_anything_is_made() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = Scratch::new();
    let ended = serve(dir.path(), &taken.local_addr().unwrap().to_string());
    refused(&ended, "is taken by another program");
    assert!(!dir.path().join("local").exists());
}

#[test]
fn a_data_directory_that_is_used_is_refused() {
    let dir = Scratch::new();
    let _held = holdfast_store::sqlite::SqliteStore::open(dir.path()).unwrap();
    refused(&serve(dir.path(), "127.0.0.1:0"), "is used by another holdfast server");
    let reset = holdfast()
        .args(["local", "reset", "--yes", "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    refused(&reset.into(), "is used by another holdfast server");
}

#[test]
fn a_store_that_is_none_is_refused_and_left_alone() {
    let dir = Scratch::new();
    let file = dir.path().join("holdfast.db");
    std::fs::write(&file, "this is somebody's file").unwrap();
    refused(&serve(dir.path(), "127.0.0.1:0"), "holdfast.db");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "this is somebody's file");
}

#[test]
fn a_reset_of_nothing_is_done_and_leaves_what_is_not_its_own() {
    let dir = Scratch::new();
    let others = dir.path().join("notes.txt");
    std::fs::write(&others, "mine").unwrap();
    for path in [dir.path().join("nothing"), dir.path().to_owned()] {
        let mut command = holdfast();
        command.args(["local", "reset", "--yes", "--data-dir"]).arg(path);
        assert_eq!(command.output().unwrap().status.code(), Some(0));
    }
    assert_eq!(std::fs::read_to_string(others).unwrap(), "mine");
}
