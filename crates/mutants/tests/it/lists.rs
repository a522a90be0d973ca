use holdfast_mutants::{list, listed};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Of all entries at most so many in a hundred may be such that cannot matter.
const EQUIVALENT_MOST: usize = 20;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// What is wrong with a list in a workspace of one package.
fn faults(list: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let package = dir.path().join("crates/engine");
    fs::create_dir_all(package.join("src")).unwrap();
    fs::create_dir_all(dir.path().join(list::LISTS)).unwrap();
    fs::write(package.join("Cargo.toml"), "").unwrap();
    fs::write(package.join("src/lib.rs"), "fn one() -> u64 { 1 }\n").unwrap();
    fs::write(dir.path().join(list::LISTS).join("some.toml"), list).unwrap();
    let faults = list::read(dir.path()).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn entry(name: &str, function: &str, killed_by: &str) -> String {
    format!(
        "[[edit]]\nname = \"{name}\"\nfile = \"crates/engine/src/lib.rs\"\nfunction = \"{function}\"\n\
         old = \"1 }}\"\nnew = \"2 }}\"\nwrong = \"One is two.\"\nkilled_by = \"{killed_by}\"\n"
    )
}

#[test]
fn a_list_whose_anchor_or_test_is_gone_says_which_entry_and_what_to_do() {
    let test = "holdfast-engine lib one";
    assert_eq!(faults(&entry("fit", "one", test)), "");
    let gone = faults(&entry("gone", "two", test));
    assert!(gone.contains("some.toml: gone: ") && gone.contains("`two`"), "{gone}");
    let twice = faults(&(entry("same", "one", test) + &entry("same", "one", test)));
    assert!(twice.contains("same: another entry has this name"), "{twice}");
    let package = faults(&entry("far", "one", "holdfast-other lib one"));
    assert!(package.contains("there is no package holdfast-other"), "{package}");
    let binary = faults(&entry("it", "one", "holdfast-engine it one"));
    assert!(binary.contains("no test binary it"), "{binary}");
    assert!(faults(&entry("few", "one", "one")).contains("killed_by"));
    assert!(faults("[[edit]]\nname = 1\n").contains("is no list"));
}

#[test]
fn of_all_entries_few_are_such_that_cannot_matter() {
    let entries = list::read(&root()).unwrap_or_else(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{}", faults.join("\n"))
    });
    let guarded = entries.iter().filter(|entry| entry.guard.is_some()).count();
    assert!(guarded * 100 <= entries.len() * EQUIVALENT_MOST, "{guarded} of {}", entries.len());
}

#[test]
#[ignore = "too slow for every run of the tests: make mutants LISTED=1"]
fn every_listed_edit_is_noticed_by_the_test_that_it_names() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let tried = listed::run(&root(), cores, &[]).unwrap();
    let table = listed::render(&tried);
    // Past the test's own capture, so that the figures are seen when all is well.
    let _ = write!(std::io::stderr(), "{table}");
    assert!(tried.iter().all(listed::Tried::is_well), "{table}");
}
