use holdfast_model::{Document, Shared};
use serde_json::json;

#[test]
fn a_copy_that_is_changed_leaves_the_other_as_it_was() {
    let first: Shared<Vec<u64>> = vec![1, 2].into();
    let mut second = first.clone();
    assert_eq!(first, second);
    second.push(3);
    assert_eq!((first.len(), second.len()), (2, 3));
    assert_ne!(first, second);
    assert_eq!(serde_json::to_value(&second).unwrap(), json!([1, 2, 3]));
    assert_eq!(serde_json::from_value::<Shared<Vec<u64>>>(json!([1, 2, 3])).unwrap(), second);
}

#[test]
fn a_document_that_is_changed_after_it_was_read_says_something_else() {
    let first = Document::from(json!({"name": "database"}));
    let problems = first.spec().expect_err("most of it is missing").len();
    let mut second = first.clone();
    second["region"] = json!("local-1");
    assert!(second.spec().expect_err("something is still missing").len() < problems);
    assert_eq!(first.spec().expect_err("as before").len(), problems);
}
