//! In which order a replacement goes, as far as the user says.

use super::reader::Reader;
use crate::tags::MAKE_BEFORE_BREAK;
use serde_json::Value;

/// Whether the next instance may be launched while the old one still serves: so it is, unless a tag
/// says otherwise.
pub(super) fn read(r: &mut Reader<'_>) -> bool {
    let path = "compute.launchSpecification.tags";
    let Some(Value::Array(items)) = r.at(path) else { return true };
    let is_it = |item: &&Value| item["tagKey"] == MAKE_BEFORE_BREAK;
    let Some(item) = items.iter().find(is_it) else { return true };
    match item["tagValue"].as_str() {
        Some("on") => true,
        Some("off") => false,
        other => {
            let problem = format!("has {MAKE_BEFORE_BREAK} = {:?}", other.unwrap_or_default());
            r.wrong(path, problem, "on or off", "\"off\"");
            true
        }
    }
}
