//! Whether an answer is as the description says: for tests, which ask it of every answer they see.
//!
//! It is stricter than JSON Schema: a member that the description does not name is a fault too, unless
//! `additionalProperties` lets it be there (in a node's document, which is echoed as it was set).

use serde_json::Value;
use std::collections::BTreeMap;

/// The schema of each answer of a path that is not described: there is nothing.
const FAILED: &str = "Failed";
/// Under this stands what is answered with any other status.
const ANY_OTHER: &str = "default";
/// A description refers to one of its schemas like this.
const SCHEMAS: &str = "#/components/schemas/";
/// Answers of which each line is one.
const LINES: &str = "application/x-ndjson";

/// A description of an interface (OpenAPI 3.1).
#[derive(Debug, Clone)]
pub struct Description(Value);

impl Description {
    /// Of this text.
    ///
    /// # Errors
    /// If it is not JSON.
    pub fn read(text: &str) -> Result<Description, serde_json::Error> {
        serde_json::from_str(text).map(Description)
    }

    /// Every method with the template of its path.
    #[must_use]
    pub fn operations(&self) -> Vec<(String, String)> {
        let paths = self.0.get("paths").and_then(Value::as_object).into_iter().flatten();
        let of = |(template, item): (&String, &Value)| {
            let methods = item.as_object().into_iter().flatten();
            let methods = methods.filter(|(_, operation)| operation.get("responses").is_some());
            let named = methods.map(|(method, _)| (method.to_uppercase(), template.clone()));
            named.collect::<Vec<_>>()
        };
        paths.flat_map(of).collect()
    }

    /// The template that a path, perhaps with a query, is of.
    #[must_use]
    pub fn template(&self, path: &str) -> Option<&str> {
        let path = path.split('?').next()?;
        let mut paths = self.0.get("paths")?.as_object()?.keys();
        paths.find(|template| fits(template, path)).map(String::as_str)
    }

    /// Compares an answer to what is described of its method and path (its query may be there).
    ///
    /// # Errors
    /// Everything in which it differs.
    pub fn check(
        &self,
        method: &str,
        path: &str,
        status: u16,
        body: &str,
    ) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        let described = self.answer(method, path, status);
        match described {
            Some((LINES, schema)) => {
                for line in body.lines().filter(|line| !line.is_empty()) {
                    self.text(schema, line, &mut faults);
                }
            }
            Some((_, schema)) => self.text(schema, body, &mut faults),
            None if status == 200 => faults.push("nothing is described".to_owned()),
            None => match self.schema(FAILED) {
                Some(schema) => self.text(schema, body, &mut faults),
                None => faults.push(format!("{FAILED} is not described")),
            },
        }
        let told = |fault| format!("{method} {path}: {status}: {fault}");
        if faults.is_empty() { Ok(()) } else { Err(faults.into_iter().map(told).collect()) }
    }

    /// The media type and the schema of an answer.
    fn answer(&self, method: &str, path: &str, status: u16) -> Option<(&str, &Value)> {
        let item = self.0.get("paths")?.get(self.template(path)?)?;
        let answers = item.get(method.to_ascii_lowercase())?.get("responses")?;
        let answer = answers.get(status.to_string()).or_else(|| {
            // A success has to be described by itself.
            answers.get(ANY_OTHER).filter(|_| status != 200)
        });
        let content = answer?.get("content")?.as_object()?;
        let (media, body) = content.iter().next()?;
        Some((media, body.get("schema")?))
    }

    fn schema(&self, name: &str) -> Option<&Value> {
        self.0.get("components")?.get("schemas")?.get(name)
    }

    fn text(&self, schema: &Value, text: &str, faults: &mut Vec<String>) {
        match serde_json::from_str(text) {
            Ok(value) => self.value(schema, &value, "", faults),
            Err(error) => faults.push(format!("is not JSON: {error}")),
        }
    }

    fn value(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let mut wrong = |why: String| faults.push(format!("{at} {why}").trim_start().to_owned());
        if let Some(options) = schema.get("oneOf").and_then(Value::as_array) {
            let mut least: Option<Vec<String>> = None;
            // What is there is compared to what it could be, and not to nothing.
            let is_there = |option: &&Value| {
                value.is_null() || types(option).is_none_or(|types| types != ["null"])
            };
            for option in options.iter().filter(is_there) {
                let mut found = Vec::new();
                self.value(option, value, at, &mut found);
                if least.as_ref().is_none_or(|least| found.len() <= least.len()) {
                    least = Some(found);
                }
            }
            return faults.extend(least.unwrap_or_default());
        }
        let types = types(schema);
        let composed = schema.get("$ref").is_some() || schema.get("allOf").is_some();
        let may_be_object = types.as_ref().is_some_and(|types| types.contains(&"object"));
        if composed || may_be_object && value.is_object() {
            let mut shape = Shape::default();
            if let Err(why) = self.gather(schema, &mut shape) {
                return wrong(why);
            }
            return match shape.other {
                Some(other) => self.value(other, value, at, faults),
                None => self.object(&shape, value, at, faults),
            };
        }
        let Some(types) = types else { return };
        if !types.iter().any(|of| is(value, of)) {
            return wrong(format!("is {value}, and no {}", types.join(" or ")));
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array)
            && !words.contains(value)
        {
            wrong(format!("is {value}, and none of {words:?}"));
        }
        let Value::Array(items) = value else { return };
        let places = schema.get("prefixItems").and_then(Value::as_array);
        if let Some(places) = places
            && places.len() != items.len()
        {
            faults.push(format!("{at} has {} items, and not {}", items.len(), places.len()));
        }
        for (index, item) in items.iter().enumerate() {
            let place = places.and_then(|places| places.get(index));
            if let Some(of) = place.or(schema.get("items")) {
                self.value(of, item, &format!("{at}[{index}]"), faults);
            }
        }
    }

    fn object(&self, shape: &Shape<'_>, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Value::Object(found) = value else {
            return faults.push(format!("{at} is {value}, and no object"));
        };
        for name in shape.required.iter().filter(|name| !found.contains_key(**name)) {
            faults.push(format!("{at}.{name} is missing"));
        }
        for (name, member) in found {
            let at = format!("{at}.{name}");
            match (shape.members.get(name.as_str()).copied(), shape.rest) {
                (Some(of), _) | (None, Some(of)) => self.value(of, member, &at, faults),
                (None, None) => faults.push(format!("{at} is not described")),
            }
        }
    }

    /// All that is said of an object, where it is said in several places.
    fn gather<'a>(&'a self, schema: &'a Value, shape: &mut Shape<'a>) -> Result<(), String> {
        if let Some(named) = schema.get("$ref").and_then(Value::as_str) {
            let name = named.strip_prefix(SCHEMAS).unwrap_or(named);
            let found = self.schema(name).ok_or_else(|| format!("{name} is not described"))?;
            return self.gather(found, shape);
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return parts.iter().try_for_each(|part| self.gather(part, shape));
        }
        if schema.get("oneOf").is_some() || types(schema).is_none_or(|t| !t.contains(&"object")) {
            shape.other = Some(schema);
            return Ok(());
        }
        let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        shape.members.extend(members.map(|(name, of)| (name.as_str(), of)));
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        shape.required.extend(required.filter_map(Value::as_str));
        shape.rest = shape.rest.or(schema.get("additionalProperties"));
        Ok(())
    }
}

/// What is described of an object.
#[derive(Default)]
struct Shape<'a> {
    members: BTreeMap<&'a str, &'a Value>,
    required: Vec<&'a str>,
    /// What members are that are not named.
    rest: Option<&'a Value>,
    /// It is something else, and this describes it.
    other: Option<&'a Value>,
}

fn types(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some(vec![one]),
        Value::Array(several) => Some(several.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn is(value: &Value, of: &str) -> bool {
    match of {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// Whether a path is one of those that a template stands for.
fn fits(template: &str, path: &str) -> bool {
    let (mut parts, mut found) = (template.split('/'), path.split('/'));
    loop {
        match (parts.next(), found.next()) {
            (None, None) => return true,
            (Some(part), Some(is)) if part == is || part.starts_with('{') && !is.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails should panic")]
mod tests {
    use super::*;
    use serde_json::json;

    fn description() -> Description {
        let of = |schema: Value| {
            json!({ "responses": { "200": { "content": {
            "application/json": { "schema": schema } } } } })
        };
        let lines = json!({ "responses": { "200": { "content": {
            LINES: { "schema": { "$ref": "#/components/schemas/Short" } } } } } });
        Description(json!({
            "paths": {
                "/things/{id}": { "get": of(json!({ "$ref": "#/components/schemas/Whole" })) },
                "/lines": { "get": lines },
            },
            "components": { "schemas": {
                "Short": { "type": "object", "required": ["id"], "properties": {
                    "id": { "type": "string" }, "age": { "type": ["integer", "null"] } } },
                "Word": { "type": "string", "enum": ["on", "off"] },
                "Document": { "type": "object", "additionalProperties": true, "properties": { "name": { "type": "string" } } },
                "Whole": { "allOf": [
                    { "$ref": "#/components/schemas/Short" },
                    { "type": "object", "required": ["word", "document"], "properties": {
                        "word": { "$ref": "#/components/schemas/Word" },
                        "document": { "$ref": "#/components/schemas/Document" },
                        "other": { "oneOf": [
                            { "type": "null" }, { "$ref": "#/components/schemas/Short" } ] },
                        "pairs": { "type": "array", "items": { "type": "array", "prefixItems": [
                            { "type": "string" }, { "type": "integer" } ] } },
                        "counts": { "type": "object", "additionalProperties": {
                            "type": "integer" } },
                    } },
                ] },
                "Failed": { "type": "object", "required": ["why"], "properties": {
                    "why": { "type": "string" } } },
            } },
        }))
    }

    fn faults(body: &Value) -> Vec<String> {
        let checked = description().check("GET", "/things/7?x=1", 200, &body.to_string());
        let faults = checked.err().unwrap_or_default();
        faults.into_iter().map(|f| f.replace("GET /things/7?x=1: 200: ", "")).collect()
    }

    fn whole() -> Value {
        json!({
            "id": "7", "age": null, "word": "on", "document": { "name": "a", "mine": [1] },
            "other": { "id": "8" }, "pairs": [["a", 1]], "counts": { "x": 1 },
        })
    }

    #[test]
    fn an_answer_as_it_was_described_has_no_fault() {
        assert_eq!(faults(&whole()), [""; 0]);
    }

    #[test]
    fn each_way_to_differ_is_a_fault_with_its_place() {
        let with = |path: &str, value: Value| {
            let mut body = whole();
            match body.pointer_mut(path) {
                Some(member) => *member = value,
                None => body[path.trim_start_matches('/')] = value,
            }
            faults(&body)
        };
        assert_eq!(with("/more", json!(1)), [".more is not described"]);
        assert_eq!(with("/age", json!("old")), [".age is \"old\", and no integer or null"]);
        assert_eq!(with("/word", json!("up")).len(), 1);
        assert_eq!(with("/document", json!([])), [".document is [], and no object"]);
        assert_eq!(with("/other", json!({ "id": 1 })), [".other.id is 1, and no string"]);
        assert_eq!(with("/other", json!({ "id": "a", "b": 1 })), [".other.b is not described"]);
        assert_eq!(with("/pairs/0", json!(["a"])), [".pairs[0] has 1 items, and not 2"]);
        assert_eq!(with("/counts/x", json!(null)), [".counts.x is null, and no integer"]);
        let mut body = whole();
        body.as_object_mut().unwrap().remove("id");
        assert_eq!(faults(&body), [".id is missing"]);
    }

    #[test]
    fn a_path_is_known_by_its_template() {
        let description = description();
        assert_eq!(description.template("/things/7?x=1"), Some("/things/{id}"));
        assert_eq!(description.template("/things"), None);
        let operations = description.operations();
        assert!(operations.contains(&("GET".to_owned(), "/things/{id}".to_owned())));
        assert_eq!(operations.len(), 2);
    }

    #[test]
    fn failures_lines_and_what_nobody_described_are_looked_at_too() {
        let description = description();
        let check = |path: &str, status, body: &str| {
            description.check("GET", path, status, body).err().unwrap_or_default().len()
        };
        assert_eq!(check("/things/7", 404, "{\"why\": \"gone\"}"), 0);
        assert_eq!(check("/things/7", 404, "{\"why\": \"gone\", \"who\": 1}"), 1);
        assert_eq!(check("/nowhere", 200, "{}"), 1);
        assert_eq!(check("/things/7", 200, "no"), 1);
        assert_eq!(check("/lines", 200, "{\"id\": \"1\"}\n\n{\"id\": \"2\"}\n"), 0);
        assert_eq!(check("/lines", 200, "{\"id\": \"1\"}\n{\"id\": 2}\n"), 1);
    }
}
