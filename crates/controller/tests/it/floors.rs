use std::path::Path;

/// The controller's floors, the highest first.
const FLOORS: [&[&str]; 7] = [
    &["serve"],
    &["handle", "tap"],
    // What the fleet does with what comes in.
    &[
        "fleet::adoption",
        "fleet::calls",
        "fleet::damaged",
        "fleet::kept",
        "fleet::likeness",
        "fleet::looking",
        "fleet::overlooked",
        "fleet::standing",
    ],
    // The fleet itself.
    &["fleet"],
    // What it is made of.
    &["fleet::queue", "fleet::reads", "fleet::runner"],
    &["fleet::hearing", "fleet::messages", "metrics", "orders", "standing", "view"],
    &[
        "fleet::brake",
        "fleet::buckets",
        "fleet::config",
        "fleet::priority",
        "fleet::unreadable",
        "offered",
        "refusal",
        "trace",
    ],
];

#[test]
fn no_file_names_one_that_stands_above_it() {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let faults = holdfast_floors::faults(source, &FLOORS).unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
