//! Flags that may come as texts, as CloudFormation sends them.

use serde::de::{Deserialize, Deserializer, Error, Unexpected};
use serde_json::Value;

/// `true` or `false`, also as text.
#[must_use]
pub fn as_flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Reads a flag that may be missing or null.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        value => match as_flag(&value) {
            Some(flag) => Ok(Some(flag)),
            None => {
                Err(D::Error::invalid_type(Unexpected::Other("another type"), &"true or false"))
            }
        },
    }
}
