//! Nodes as clients read them.
//!
//! What was set is echoed and nothing else: a default or a live fact in the document would be a
//! difference that Terraform wants to undo. Live facts stand in the status.

use crate::time::rfc3339;
use holdfast_controller::NodeView;
use holdfast_model::Record;
use serde_json::{Map, Value, json};

/// Objects that must not be shown empty: Terraform makes a block of them.
const NEVER_EMPTY: [&str; 4] =
    ["revertToSpot", "metadataOptions", "resourceTagSpecification", "resourceRequirements"];

/// The member at a path with dots, unless it is null.
pub(crate) fn present<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = document;
    for part in path.split('.') {
        value = value.get(part)?;
    }
    (!value.is_null()).then_some(value)
}

/// A node's name.
#[must_use]
pub fn name(record: &Record) -> &str {
    record.document.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The document as it is echoed.
fn echo(record: &Record) -> Map<String, Value> {
    let mut document = (*record.document).clone();
    remove_empty(&mut document);
    let mut members = match document {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    // The Terraform provider reads these without looking whether they are there.
    let mut at = &mut members;
    for name in ["compute", "launchSpecification", "instanceTypes"] {
        let slot = at.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        let Value::Object(next) = slot else { return members };
        at = next;
    }
    members
}

fn remove_empty(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for member in members.values_mut() {
                remove_empty(member);
            }
            members.retain(|name, member| {
                let empty = member.as_object().is_some_and(Map::is_empty);
                !(empty && NEVER_EMPTY.contains(&name.as_str()))
            });
        }
        Value::Array(items) => items.iter_mut().for_each(remove_empty),
        _ => {}
    }
}

fn add_dates(record: &Record, item: &mut Map<String, Value>) {
    item.insert("id".to_owned(), json!(record.id));
    item.insert("createdAt".to_owned(), json!(rfc3339(record.created_at)));
    item.insert("updatedAt".to_owned(), json!(rfc3339(record.updated_at)));
}

/// One node.
pub(crate) fn item(record: &Record) -> Value {
    let mut item = echo(record);
    add_dates(record, &mut item);
    Value::Object(item)
}

/// One node in a list: published clients read it flat or under `config`, so it has both.
pub(crate) fn list_item(record: &Record) -> Value {
    let config = echo(record);
    let mut item = config.clone();
    item.insert("config".to_owned(), Value::Object(config));
    add_dates(record, &mut item);
    Value::Object(item)
}

/// A node's state. What there is not is left out: an empty time could not be read.
pub(crate) fn status(view: &NodeView) -> Value {
    let record = &view.record;
    let mut item = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    };
    let holder = record.holder.as_ref();
    put("id", Some(json!(record.id)));
    put("name", Some(json!(name(record))));
    put("status", Some(json!(record.status())));
    put("instanceId", holder.map(|h| json!(h.id)));
    put("instanceType", holder.map(|h| json!(h.market.instance_type)));
    put("imageId", view.instance.as_ref().map(|i| json!(i.image)));
    put("privateIp", private_ip(view).map(|ip| json!(ip)));
    put("publicIp", public_ip(view).map(|ip| json!(ip)));
    put("createdAt", Some(json!(rfc3339(record.created_at))));
    put("launchedAt", holder.map(|h| json!(rfc3339(h.launched_at))));
    Value::Object(item)
}

/// The Elastic IP that leads to the node.
fn public_ip(view: &NodeView) -> Option<&str> {
    let association = view.interfaces.iter().find_map(|i| i.association.as_ref());
    association.map(|a| a.public_ip.as_str())
}

/// The address that is kept, or else the instance's. An instance that stood by has one of its own
/// besides, by which nobody knows the node.
pub(crate) fn private_ip(view: &NodeView) -> Option<&str> {
    let kept = view.record.interface.as_ref().map(|i| i.private_ip.as_str());
    kept.or_else(|| view.instance.as_ref()?.private_ip.as_deref())
}
