//! Bodies of requests: read into their types, and every mistake told with its field.

use crate::envelope::Failure;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use holdfast_model::FieldError;
use holdfast_model::depth::{Unread, read_sent};
use holdfast_wire::RequestBody;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

/// The most mistakes of one body that are told.
const MAX_MISTAKES: usize = 20;

/// What was sent. A body that was left out, or is null, is an object without members.
#[derive(Debug, Clone, Copy)]
pub struct Sent<T>(pub T);

impl<S: Send + Sync, T: RequestBody> FromRequest<S> for Sent<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Sent<T>, Failure> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|_| Failure::bad_request("the body did not arrive whole"))?;
        read(&body).map(Sent)
    }
}

fn read<T: RequestBody>(body: &[u8]) -> Result<T, Failure> {
    let mut value = if body.trim_ascii().is_empty() { Value::Null } else { json(body)? };
    if value.is_null() {
        value = Value::Object(Map::new());
    }
    if !value.is_object() {
        let error = FieldError {
            field: "body".to_owned(),
            problem: "is no object".to_owned(),
            allowed: "an object".to_owned(),
            example: T::EXAMPLE.to_owned(),
        };
        return Err(Failure::invalid(vec![error]));
    }
    let mut mistakes: Vec<FieldError> = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize(value.clone()) {
            Ok(read) if mistakes.is_empty() => return Ok(read),
            Ok(_) => break,
            Err(error) => error,
        };
        let mistake = mistake::<T>(error.path(), &error.inner().to_string());
        if mistakes.iter().any(|known| known.field == mistake.field) {
            break;
        }
        mistakes.push(mistake);
        // Without what is wrong, the next mistake shows.
        if mistakes.len() == MAX_MISTAKES || !take_out(&mut value, error.path()) {
            break;
        }
    }
    Err(Failure::invalid(mistakes))
}

fn json(body: &[u8]) -> Result<Value, Failure> {
    read_sent(body).map_err(|e| match e {
        Unread::NotJson(why) => Failure::bad_request(format!("the body is not JSON: {why}")),
        Unread::TooDeep(error) => Failure::invalid(vec![error]),
    })
}

/// A mistake in the interface's words. What was sent is not repeated: it may be long or secret.
fn mistake<T: RequestBody>(path: &Path, why: &str) -> FieldError {
    let mut field = path.to_string();
    let named = |prefix: &str| why.strip_prefix(prefix)?.split('`').next();
    let mut name = |member: &str| {
        if field == "." {
            field = member.to_owned();
        } else if field != member && !field.ends_with(&format!(".{member}")) {
            field = format!("{field}.{member}");
        }
    };
    let problem = if let Some(member) = named("missing field `") {
        name(member);
        "is missing"
    } else if let Some(member) = named("unknown field `") {
        name(member);
        "is not known"
    } else if why.starts_with("invalid type") {
        "has another type"
    } else {
        "has another value"
    };
    let allowed = match why.rsplit_once(", expected ") {
        Some((_, expected)) => in_words(expected),
        None => "what stands in the example",
    };
    FieldError {
        field,
        problem: problem.to_owned(),
        allowed: allowed.to_owned(),
        example: T::EXAMPLE.to_owned(),
    }
}

/// What was expected, as the interface's users know it.
fn in_words(expected: &str) -> &str {
    match expected {
        "a map" => "an object",
        "a sequence" => "a list",
        "a string" => "a text",
        "a boolean" => "true or false",
        "u32" | "u64" => "a whole number",
        "f64" => "a number",
        of if of.starts_with("struct ") => "an object",
        other => other,
    }
}

/// Takes a member out; false if there is none.
fn take_out(value: &mut Value, path: &Path) -> bool {
    let mut segments: Vec<&Segment> = path.iter().collect();
    let Some(Segment::Map { key: last }) = segments.pop() else { return false };
    let mut at = value;
    for segment in segments {
        let next = match segment {
            Segment::Map { key } => at.get_mut(key),
            Segment::Seq { index } => at.get_mut(index),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    at.as_object_mut().is_some_and(|members| members.remove(last).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_model::depth::MAX_DEPTH;
    use holdfast_wire::local::MarketRequest;
    use holdfast_wire::{DecisionRequest, Deletion, NodeRequest, RollbackRequest, UndeleteRequest};

    fn fields<T: RequestBody>(body: &str) -> Vec<String> {
        let failure = read::<T>(body.as_bytes()).err();
        let reasons = failure.map(|f| f.reasons).unwrap_or_default();
        reasons.into_iter().map(|r| r.message).collect()
    }

    #[test]
    fn every_mistake_of_a_body_is_told_with_its_field_and_what_is_allowed() {
        let two =
            "{\"deallocationConfig\": {\"shouldDeleteImages\": 3, \"shouldDeleteVolumes\": \"x\"}}";
        let told = fields::<Deletion>(two);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("deallocationConfig.shouldDeleteImages"), "{told:?}");
        assert!(told[1].contains("true or false"), "{told:?}");
        let told = fields::<DecisionRequest>("{\"choice\": \"explode\"}");
        assert!(told[0].contains("choice") && told[0].contains("`restore`"), "{told:?}");
        assert!(!told[0].contains("explode"), "{told:?}");
        for body in ["", "null", "{}"] {
            let told = fields::<DecisionRequest>(body);
            assert!(
                told[0].contains("choice is missing") || told[0].contains("choice: is missing"),
                "{told:?}"
            );
        }
        let told = fields::<NodeRequest>("{\"managedInstance\": [1]}");
        assert!(told[0].contains("managedInstance") && told[0].contains("an object"), "{told:?}");
        assert!(fields::<NodeRequest>("[]")[0].contains("body"));
        let told = fields::<RollbackRequest>("{\"generation\": -1, \"data\": 7}");
        assert!(told[1].contains("generation") && told[1].contains("a whole number"), "{told:?}");
        assert!(told[0].contains("data") && told[0].contains("true or false"), "{told:?}");
    }

    #[test]
    fn a_member_that_a_body_does_not_have_is_named_where_none_but_its_own_are_taken() {
        let body = "{\"instanceType\": \"all\", \"zone\": \"all\", \"spot\": {\"capasity\": 1}}";
        let told = fields::<MarketRequest>(body);
        assert!(told[0].contains("spot.capasity") && told[0].contains("`capacity`"), "{told:?}");
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn a_body_may_be_left_out_where_nothing_of_it_is_needed() {
        for body in ["", " \n", "null", "{}", "{\"acceptLoss\": null}"] {
            assert_eq!(read::<UndeleteRequest>(body.as_bytes()).unwrap().accept_loss, None);
        }
        let read = read::<UndeleteRequest>(b"{\"acceptLoss\": \"True\", \"more\": 1}").unwrap();
        assert_eq!(read.accept_loss, Some(true));
    }

    #[test]
    fn a_body_that_is_nested_too_deep_is_refused() {
        let nested =
            |levels: usize| format!("{{\"more\": {}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(fields::<UndeleteRequest>(&nested(MAX_DEPTH - 1)), [""; 0]);
        for levels in [MAX_DEPTH, 120, 100_000] {
            assert_eq!(fields::<UndeleteRequest>(&nested(levels)).len(), 1, "{levels}");
        }
    }
}
