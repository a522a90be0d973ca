use holdfast_model::document::{merge, without_nulls};
use serde_json::json;

#[test]
fn an_absent_member_is_kept_and_a_null_unsets_it() {
    let mut document = json!({"a": 1, "b": {"c": 2, "d": 3}});
    merge(&mut document, &json!({"b": {"c": null}}));
    assert_eq!(document, json!({"a": 1, "b": {"d": 3}}));
}

#[test]
fn an_array_is_replaced_whole() {
    let mut document = json!({"types": ["a", "b"]});
    merge(&mut document, &json!({"types": ["c"]}));
    assert_eq!(document, json!({"types": ["c"]}));
}

#[test]
fn empty_parents_change_nothing_as_terraform_sends_them() {
    let before = json!({"compute": {"launchSpecification": {"tags": [1]}}});
    let mut document = before.clone();
    merge(
        &mut document,
        &json!({"strategy": {}, "scheduling": {}, "compute": {"launchSpecification": {"instanceTypes": {}}}}),
    );
    assert_eq!(document, before);
}

#[test]
fn a_new_object_is_taken_in_with_its_members_but_without_its_nulls() {
    let mut document = json!({});
    merge(&mut document, &json!({"strategy": {"lifeCycle": "spot", "orientation": null}}));
    assert_eq!(document, json!({"strategy": {"lifeCycle": "spot"}}));
}

#[test]
fn on_creation_null_is_the_same_as_absent_at_every_level() {
    let document = json!({"a": null, "b": {"c": null, "d": [null, {"e": null, "f": 1}]}});
    assert_eq!(without_nulls(&document), json!({"b": {"d": [{"f": 1}]}}));
}
