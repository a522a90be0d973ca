//! What ARCHITECTURE.md says about where things are decided, compared to the source.

use holdfast_model::Invariant;
use std::path::Path;

/// The cells of the tables under a heading of ARCHITECTURE.md, without the tables' heads.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let heading = format!("## {heading}\n");
    let section = text.split_once(&heading).expect("the section").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    lines.map(cells).collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Whether a function of this name stands in a file of a crate.
fn stands(file: &str, function: &str) -> bool {
    let text = std::fs::read_to_string(root().join("crates").join(file)).unwrap_or_default();
    text.contains(&format!("fn {function}(")) || text.contains(&format!("fn {function}<"))
}

#[test]
fn every_decision_stands_where_the_documentation_says() {
    let questions = rows("Where is it decided?");
    assert!(questions.len() >= 24, "{}", questions.len());
    for row in questions {
        let [question, file, function] = &row[..] else { panic!("three cells: {row:?}") };
        assert!(question.ends_with('?') || question.contains("? ("), "{question}");
        assert!(stands(file, function), "{question}: there is no fn {function} in crates/{file}");
    }
}

#[test]
fn every_invariant_is_kept_and_shown_where_the_documentation_says() {
    let told = rows("Who keeps which invariant");
    let names: Vec<&str> = told.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, Invariant::ALL.map(Invariant::name));
    for row in &told {
        let [name, file, function, test] = &row[..] else { panic!("four cells: {row:?}") };
        assert!(stands(file, function), "{name}: there is no fn {function} in crates/{file}");
        let (module, test) = test.rsplit_once("::").unwrap_or(("invariants", test));
        let file = format!("sim/tests/it/{}.rs", module.replace("::", "/"));
        assert!(stands(&file, test), "{name}: there is no test {test} in crates/{file}");
    }
}
