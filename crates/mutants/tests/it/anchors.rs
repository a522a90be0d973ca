use holdfast_mutants::anchor::{AnchorError, find, replace};

const SOURCE: &str = r#"
//! Words: fn other() { old }
const LIMIT: u64 = 3;

struct Door;
impl Door {
    fn open(&self) -> bool { "}" == "{" || true }
}
struct Gate;
impl Gate {
    fn open(&self) -> bool { true }
}
fn twice() -> u64 { 1 + 1 }
"#;

#[test]
fn a_text_is_found_in_its_function_and_nowhere_else() {
    let edited = replace(SOURCE, "LIMIT", "3", "4").unwrap();
    assert!(edited.contains("const LIMIT: u64 = 4;"));
    let at = find(SOURCE, "Gate::open", "true").unwrap();
    assert!(SOURCE[..at.start].contains("impl Gate"));
}

#[test]
fn a_text_that_is_not_there_exactly_once_is_an_error_that_says_what_to_do() {
    let why = |function, old, new| replace(SOURCE, function, old, new).unwrap_err();
    assert_eq!(why("other", "old", "new"), AnchorError::NoFunction("other".to_owned()));
    assert_eq!(why("twice", "3", "4"), AnchorError::Gone("twice".to_owned()));
    assert_eq!(why("open", "true", "false"), AnchorError::Ambiguous("open".to_owned(), 2));
    assert_eq!(why("twice", "1 + 1", "1 + 1"), AnchorError::Nothing);
    assert!(matches!(replace("fn {", "f", "a", "b"), Err(AnchorError::Unreadable(_))));
}
