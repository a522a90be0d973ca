//! Reads which file of a crate names which other one, and says where that goes upwards or in a
//! circle.
//!
//! The floors of a crate are lists of its modules, the highest floor first. A module belongs to the
//! floor that names it or its nearest ancestor. A file may name files of its own floor and of those
//! below. A crate's root (`lib.rs`, `main.rs`) stands above all: it may name everything, and nothing
//! names what it re-exports.

/// Which files name which.
mod names;

pub use names::{ReadError, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Says what is wrong with the floors of the crate whose source is in `source`: an arrow upwards, a
/// circle, a module on no floor, a floor with a module that does not exist. Empty: nothing.
///
/// # Errors
/// A file cannot be read, or is no Rust.
pub fn faults(source: &Path, floors: &[&[&str]]) -> Result<Vec<String>, ReadError> {
    let tree = Tree::read(source)?;
    let mut faults = Vec::new();
    let modules: BTreeSet<&str> = tree.names.keys().map(String::as_str).collect();
    for module in floors.iter().flat_map(|floor| floor.iter()) {
        if !modules.contains(module) {
            faults.push(format!("{module} stands on a floor, but there is no such module"));
        }
    }
    for (module, named) in &tree.names {
        // The root names everything.
        if module.is_empty() {
            continue;
        }
        let Some(own) = floor_of(module, floors) else {
            faults.push(format!("{module} stands on no floor"));
            continue;
        };
        for other in named {
            match floor_of(other, floors) {
                _ if other.is_empty() => {
                    faults.push(format!("{module} names what the crate's root re-exports"));
                }
                Some(floor) if floor < own => {
                    faults.push(format!("{module} names {other}, which stands above it"));
                }
                _ => {}
            }
        }
    }
    let circles = circles(&tree.names);
    faults.extend(circles.iter().map(|circle| format!("a circle of files: {}", circle.join(", "))));
    Ok(faults)
}

/// The place of a module's floor, from the top: the one that names it, or its nearest ancestor.
fn floor_of(module: &str, floors: &[&[&str]]) -> Option<usize> {
    let is_in = |name: &str| module == name || module.starts_with(&format!("{name}::"));
    let named = floors
        .iter()
        .enumerate()
        .flat_map(|(place, floor)| floor.iter().map(move |name| (place, *name)));
    let nearest = named.filter(|(_, name)| is_in(name)).max_by_key(|(_, name)| name.len());
    nearest.map(|(place, _)| place)
}

/// Files that name each other, by way of others or not.
fn circles(names: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        names.keys().map(|module| (module.as_str(), reach(module, names))).collect();
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for (module, below) in &reached {
        if !below.contains(module) || told.contains(module) {
            continue;
        }
        let circle: Vec<&str> = below
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(module)))
            .copied()
            .collect();
        told.extend(circle.iter().copied());
        circles.push(circle.into_iter().map(str::to_owned).collect());
    }
    circles
}

fn reach<'a>(module: &str, names: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = names.get(module).into_iter().flatten().map(String::as_str).collect();
    // A crate's root names everything, and is no part of a circle.
    open.retain(|other| !other.is_empty());
    while let Some(next) = open.pop() {
        if found.insert(next) {
            let more = names.get(next).into_iter().flatten().map(String::as_str);
            open.extend(more.filter(|other| !other.is_empty()));
        }
    }
    found
}
