//! The spec as a document: kept as received, merged by the API's rules, echoed exactly.

use serde_json::{Map, Value};

/// Merges `patch` into `target` by the rules of PUT: absent keeps, `null` unsets, an array
/// replaces the whole array, an object merges member by member (so `{}` changes nothing).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (key, value) in patch {
        match value {
            Value::Null => {
                members.remove(key);
            }
            Value::Object(_) => {
                let known = members.contains_key(key);
                let slot = members.entry(key.clone()).or_insert(Value::Null);
                merge(slot, value);
                let empty = slot.as_object().is_some_and(Map::is_empty);
                if empty && !known {
                    members.remove(key);
                }
            }
            other => {
                members.insert(key.clone(), other.clone());
            }
        }
    }
}

/// A created document without its nulls: on creation `null` is the same as absent.
#[must_use]
pub fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k.clone(), without_nulls(v)))
                .collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.iter().filter(|v| !v.is_null()).map(without_nulls).collect())
        }
        other => other.clone(),
    }
}
