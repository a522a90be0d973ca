use std::path::Path;

/// The local cloud's floors, the highest first; what stands on each is said in `lib.rs`.
const FLOORS: [&[&str]; 8] = [
    &["bin::holdfast-local-shim", "cloud", "rebuild", "reset"],
    &["account", "checks", "keeper", "reclaim", "recover"],
    &[
        "addresses",
        "gate",
        "images",
        "interfaces",
        "launch",
        "markets",
        "power",
        "promises",
        "unaccounted",
        "user_instances",
        "user_volumes",
        "volumes",
    ],
    &["host"],
    &[
        "damage",
        "deletions",
        "ids",
        "lookup",
        "metadata_options",
        "node",
        "private",
        "region",
        "requests",
        "revive",
        "shared_usr",
        "strangers",
        "turns",
        "types",
        "writes",
    ],
    &["refusal"],
    &["labels", "rows", "state"],
    &["clock", "network", "storage", "sums"],
];

#[test]
fn no_file_names_one_that_stands_above_it() {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let faults = holdfast_floors::faults(source, &FLOORS).unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
