use std::path::Path;

/// The engine's floors, the highest first.
const FLOORS: [&[&str]; 7] = [
    &["invariants", "joints", "plan", "replies", "words"],
    &["tables"],
    &["steps"],
    &["life"],
    &["parts"],
    &["context"],
    &["observed"],
];

#[test]
fn no_file_names_one_that_stands_above_it() {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let faults = holdfast_floors::faults(source, &FLOORS).unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
