//! The reader of floors is tried on small crates.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

use holdfast_floors::faults;
use std::fs;

/// What is wrong with a crate of these files, whose floors are `top` and `ground`.
fn of(files: &[(&str, &str)]) -> Vec<String> {
    with(files, &[&["top"], &["ground"]])
}

/// What is wrong with a crate of these files on these floors.
fn with(files: &[(&str, &str)], floors: &[&[&str]]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    faults(dir.path(), floors).unwrap()
}

const ROOT: (&str, &str) = ("lib.rs", "mod top; mod ground; pub use ground::Stone;");

#[test]
fn a_file_may_name_what_stands_below_it() {
    let top = ("top.rs", "use crate::ground::Stone; fn f() { crate::ground::lay() }");
    assert_eq!(of(&[ROOT, top, ("ground.rs", "pub struct Stone; pub fn lay() {}")]), [""; 0]);
}

#[test]
fn an_arrow_upwards_is_told_however_it_is_written() {
    let top = ("top.rs", "pub fn f() {}");
    for ground in [
        "use crate::top::f;",
        "use crate::{top::f};",
        "use super::top;",
        "fn g() { crate::top::f() }",
        "fn g() { super::top::f() }",
    ] {
        let told = of(&[ROOT, top, ("ground.rs", ground)]);
        assert_eq!(told, ["ground names top, which stands above it"], "{ground}");
    }
}

#[test]
fn files_that_name_each_other_are_a_circle_also_by_way_of_a_third() {
    let told = of(&[
        ROOT,
        ("top.rs", ""),
        ("ground/mod.rs", "mod a; mod b; pub use a::A;"),
        ("ground/a.rs", "use super::b::B;"),
        ("ground/b.rs", "use super::A;"),
    ]);
    assert_eq!(told, ["a circle of files: ground, ground::a, ground::b"]);
}

#[test]
fn a_module_on_no_floor_and_a_floor_without_its_module_are_told() {
    let told = of(&[("lib.rs", "mod top; mod cellar;"), ("top.rs", ""), ("cellar.rs", "")]);
    assert_eq!(
        told,
        ["ground stands on a floor, but there is no such module", "cellar stands on no floor"]
    );
}

#[test]
fn what_the_root_re_exports_is_named_where_it_stands() {
    let top = ("top.rs", "use crate::Stone;");
    let told = of(&[ROOT, top, ("ground.rs", "pub struct Stone;")]);
    assert_eq!(told, ["top names what the crate's root re-exports"]);
}

#[test]
fn a_module_stands_on_the_floor_of_its_nearest_ancestor() {
    let floors: [&[&str]; 2] = [&["top"], &["top::low"]];
    let root = ("lib.rs", "mod top;");
    let top = ("top.rs", "mod low; mod high; use low::deep::f;");
    let deep = ("top/low/deep.rs", "pub fn f() {}");
    let high = ("top/high.rs", "pub fn g() {}");
    assert_eq!(with(&[root, top, ("top/low.rs", "mod deep;"), deep, high], &floors), [""; 0]);
    let upwards = ("top/low.rs", "mod deep; use super::high::g;");
    let told = with(&[root, top, upwards, deep, high], &floors);
    assert_eq!(told, ["top::low names top::high, which stands above it"]);
}

#[test]
fn a_module_that_is_written_out_in_a_file_is_read_from_where_it_stands() {
    let ground = "pub struct Stone; mod tests { use super::*; use super::super::top::f; }";
    let told = of(&[ROOT, ("top.rs", "pub fn f() {}"), ("ground.rs", ground)]);
    assert_eq!(told, ["ground names top, which stands above it"]);
}
