//! From the first schema to the second: the flat record gets its parts, and what zeros, empty lists
//! and sets of flags meant becomes what it is.

use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// The same record in the second schema.
///
/// # Errors
/// A sentence, if it is no record of the first schema.
pub fn upcast(record: Value) -> Result<Value, String> {
    let Value::Object(mut old) = record else { return Err("it is no object".to_owned()) };
    let lifecycle = lifecycle(&mut old)?;
    let work = match take(&mut old, "replacement") {
        Value::Object(mut work) => {
            none_for_zero(&mut work, "from_generation");
            with(&mut work, "market_why", json!(""));
            with(&mut work, "markets_refused", json!(0));
            Value::Object(work)
        }
        other => other,
    };
    let mut history = list(&mut old, "history");
    for finished in history.iter_mut().filter_map(Value::as_object_mut) {
        none_for_zero(finished, "from_generation");
        none_for_zero(finished, "to_generation");
    }
    let mut instance = take(&mut old, "holder");
    if let Some(instance) = instance.as_object_mut() {
        with(instance, "why", json!(""));
    }
    let created = old.get("created_at").cloned().unwrap_or(json!(0));
    let number = |old: &mut Object, name: &str| old.remove(name).unwrap_or(json!(0));
    let new = json!({
        "schema": 2,
        "id": take(&mut old, "id"),
        "revision": none_if_zero(take(&mut old, "revision")),
        "document": take(&mut old, "document"),
        "spec_revision": number(&mut old, "spec_revision"),
        "created_at": created,
        "updated_at": old.remove("updated_at").unwrap_or(created.clone()),
        "lifecycle": lifecycle,
        "generations": {
            "current": none_if_zero(take(&mut old, "generation")),
            "promised": none_if_zero(take(&mut old, "standby_generation")),
            "ready": none_if_zero(take(&mut old, "ready_generation")),
        },
        "instance": instance,
        "identity": {
            "root": root(take(&mut old, "root")),
            "image_followed": take(&mut old, "image_followed"),
            "data": data(list(&mut old, "data")),
            "rollback": take(&mut old, "rollback"),
            "detached_by_user": list(&mut old, "left"),
            "interface": interface(take(&mut old, "interface")),
            "secondary": interfaces(list(&mut old, "secondary")),
            "elastic_ip": take(&mut old, "elastic_ip"),
        },
        "work": work,
        "upkeep": upkeep(take(&mut old, "upkeep")),
        "kept": {
            "final_snapshots": finals(list(&mut old, "finals")),
            "pending_deletion": pending(list(&mut old, "superseded")),
            "grace_counted_at": old.remove("grace_counted_at").unwrap_or(created.clone()),
        },
        "blocked": {
            "decision": decision(take(&mut old, "stuck")),
            "quarantine": take(&mut old, "quarantine"),
        },
        "memory": {
            "replacements": number(&mut old, "replacements"),
            "history": history,
            "spot_lifetimes": list(&mut old, "lives"),
            "market_backoff": old.remove("cooled").unwrap_or(json!({})),
            "revert_after": take(&mut old, "revert_after"),
        },
    });
    Ok(new)
}

/// The member, which leaves the object; null if there is none.
fn take(object: &mut Object, name: &str) -> Value {
    object.remove(name).unwrap_or(Value::Null)
}

/// The list, which leaves the object; empty if there is none.
fn list(object: &mut Object, name: &str) -> Vec<Value> {
    match object.remove(name) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

/// A member that versions before some point of the first schema did not write.
fn with(object: &mut Object, name: &str, value: Value) {
    object.entry(name).or_insert(value);
}

/// Zero said that there is none.
fn none_if_zero(number: Value) -> Value {
    if number == json!(0) { Value::Null } else { number }
}

fn none_for_zero(object: &mut Object, name: &str) {
    let number = none_if_zero(take(object, name));
    object.insert(name.to_owned(), number);
}

fn each(list: Vec<Value>, mut change: impl FnMut(&mut Object)) -> Vec<Value> {
    let mut list = list;
    list.iter_mut().filter_map(Value::as_object_mut).for_each(&mut change);
    list
}

/// A wish, three flags and two lists said how far giving the node up had come.
fn lifecycle(old: &mut Object) -> Result<Value, String> {
    let goal = take(old, "goal");
    let recycle = take(old, "recycle_wanted") == json!(true);
    let deleted = take(old, "deallocated") == json!(true);
    let mut deletion = json!({
        "deallocation": match take(old, "deallocation") {
            // It was always noted with the goal. Nothing but the instance goes at once.
            Value::Null => json!({ "shouldTerminateInstance": true }),
            deallocation => deallocation,
        },
        "handed_over": take(old, "let_go") == json!(true),
        "tombstone": tombstone(take(old, "given_up")),
        "untag": list(old, "released"),
    });
    Ok(match goal.as_str() {
        Some("running") => json!({ "is": "running", "recycle": recycle }),
        Some("paused") => json!({ "is": "paused" }),
        Some("deleted") => {
            deletion["is"] = json!(if deleted { "deleted" } else { "deleting" });
            deletion
        }
        _ => return Err(format!("its goal is {goal}")),
    })
}

fn tombstone(was: Value) -> Value {
    let Value::Object(mut was) = was else { return Value::Null };
    json!({
        "root": root(take(&mut was, "root")),
        "data": data(list(&mut was, "data")),
        "interface": interface(take(&mut was, "interface")),
        "secondary": interfaces(list(&mut was, "secondary")),
        "final_snapshots": finals(list(&mut was, "finals")),
        "sets": list(&mut was, "sets"),
    })
}

fn root(mut head: Value) -> Value {
    if let Some(head) = head.as_object_mut()
        && head.get("at") == Some(&json!("live"))
    {
        with(head, "kept", json!(false));
    }
    head
}

fn data(volumes: Vec<Value>) -> Vec<Value> {
    each(volumes, |volume| {
        let mut joined = take(volume, "joined");
        if let Some(joined) = joined.as_object_mut() {
            with(joined, "since", json!(0));
        }
        volume.insert("user_attached".to_owned(), joined);
    })
}

fn interface(held: Value) -> Value {
    interfaces(vec![held]).pop().unwrap_or_default()
}

fn interfaces(held: Vec<Value>) -> Vec<Value> {
    each(held, |held| with(held, "device_index", json!(0)))
}

fn finals(snapshots: Vec<Value>) -> Vec<Value> {
    each(snapshots, |snapshot| {
        with(snapshot, "taken_at", json!(0));
        with(snapshot, "ready", json!(true));
        with(snapshot, "set_aside", json!(false));
    })
}

/// A grace of zero milliseconds said that it goes at once.
fn pending(superseded: Vec<Value>) -> Vec<Value> {
    each(superseded, |going| {
        let due = match none_if_zero(take(going, "grace_ms")) {
            Value::Null => json!("now"),
            grace_ms => json!({ "after": { "grace_ms": grace_ms } }),
        };
        going.insert("due".to_owned(), due);
    })
}

/// Members that were left out where they were empty.
fn upkeep(upkeep: Value) -> Value {
    let mut upkeep = match upkeep {
        Value::Object(upkeep) => upkeep,
        _ => Object::new(),
    };
    with(&mut upkeep, "row", json!({}));
    with(&mut upkeep, "sets", json!([]));
    with(&mut upkeep, "expired", json!([]));
    with(&mut upkeep, "last_at", json!(0));
    with(&mut upkeep, "interval_ms", json!(0));
    with(&mut upkeep, "failing", json!(false));
    with(&mut upkeep, "unseen", json!([]));
    Value::Object(upkeep)
}

/// An empty list of choices said that a person had answered.
fn decision(stuck: Value) -> Value {
    let Value::Object(mut stuck) = stuck else { return Value::Null };
    let choices = list(&mut stuck, "choices");
    let restore = stuck.remove("restore").unwrap_or(json!({}));
    let question = if choices.is_empty() {
        json!({ "is": "answered" })
    } else {
        json!({ "is": "asked", "choices": choices, "restore": restore })
    };
    stuck.insert("question".to_owned(), question);
    Value::Object(stuck)
}
