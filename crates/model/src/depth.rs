//! How deep a document may be nested. What is sent has a limit far below every reader's own, and
//! what was stored is read beyond it: what was accepted once must be readable for ever, also as a
//! part of a larger document, by whatever version accepted it.

use crate::FieldError;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, de};
use serde_json::{Map, Value};
use std::fmt::{self, Write as _};

/// The most levels of objects and lists of what is sent, the outermost included. A spec with every
/// member that is known has seven.
pub const MAX_DEPTH: usize = 32;
/// The most levels of what is read back: records, and answers that hold them. Earlier versions took
/// specs of up to 126 levels, which stand in a record a few levels deeper. A reader goes down on the
/// stack, and for so many levels each thread's has room.
pub const MAX_STORED_DEPTH: usize = 256;
/// How many levels the JSON reader goes down at once; its own limit is 127.
const AT_ONCE: usize = 100;
/// More parts than any text has that fits into memory with its marks of 17 digits.
const MOST_PARTS: u64 = 1_000_000_000;
/// How much of a path an error shows, in characters.
const MAX_SHOWN: usize = 200;

/// Why what was sent cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is no JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// It is nested too deep.
    #[error(transparent)]
    TooDeep(FieldError),
}

/// Reads JSON that somebody has sent.
///
/// # Errors
/// [`Unread`].
pub fn read_sent(json: &[u8]) -> Result<Value, Unread> {
    let mut path = Path::default();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read = Level { path: &mut path, depth: 1 }.deserialize(&mut reader);
    match read.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(_) if path.is_too_deep => Err(Unread::TooDeep(path.error())),
        Err(error) => Err(Unread::NotJson(error.to_string())),
    }
}

/// Whether a document is nested no deeper than what is sent may be.
///
/// # Errors
/// Where it is deeper.
pub fn check(document: &Value) -> Result<(), FieldError> {
    let mut path = Path::default();
    let read = Level { path: &mut path, depth: 1 }.deserialize(document);
    if read.is_err() && path.is_too_deep { Err(path.error()) } else { Ok(()) }
}

/// Reads JSON that was stored, or that a server has answered.
///
/// # Errors
/// It is something else, or deeper than [`MAX_STORED_DEPTH`].
pub fn read_stored<T: DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    // Counted first, because a stack that is too small cannot be caught.
    let levels = levels(json.as_bytes());
    if levels > MAX_STORED_DEPTH {
        let why = format!("it is nested more than {MAX_STORED_DEPTH} levels deep");
        return Err(serde_json::Error::custom(why));
    }
    if levels <= AT_ONCE {
        return serde_json::from_str(json);
    }
    T::deserialize(read_in_parts(json)?)
}

/// Reads JSON that is deeper than its reader goes at once: what stands below [`AT_ONCE`] levels is
/// read by itself, and put in its place.
fn read_in_parts(json: &str) -> Result<Value, serde_json::Error> {
    // Numbers that begin with digits that stand nowhere in the document mark the places: unlike a
    // text, a number can be written in one way only. Some digits are free in any document.
    let digits = (10_000_000_u64..).find(|digits| !json.contains(&digits.to_string()));
    let first_mark = digits.unwrap_or_default() * MOST_PARTS;
    let (mut above, mut parts) = (String::with_capacity(json.len()), Vec::new());
    let (mut from, mut begin) = (0, None);
    for (at, open, is_opening) in brackets(json.as_bytes()) {
        if is_opening && open == AT_ONCE + 1 {
            begin = Some(at);
        } else if !is_opening
            && open == AT_ONCE
            && let Some(begin) = begin.take()
        {
            above.push_str(&json[from..begin]);
            above.push_str(&(first_mark + parts.len() as u64).to_string());
            parts.push(read_stored::<Value>(&json[begin..=at])?);
            from = at + 1;
        }
    }
    above.push_str(&json[from..]);
    let mut value: Value = serde_json::from_str(&above)?;
    put_back(&mut value, first_mark, &mut parts);
    Ok(value)
}

/// Puts the parts in the places of their marks.
fn put_back(value: &mut Value, first_mark: u64, parts: &mut [Value]) {
    match value {
        Value::Number(number) => {
            let index =
                number.as_u64().and_then(|n| usize::try_from(n.checked_sub(first_mark)?).ok());
            if let Some(part) = index.and_then(|index| parts.get_mut(index)) {
                *value = part.take();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put_back(item, first_mark, parts)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| put_back(member, first_mark, parts));
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The most brackets of a JSON text that are open at once.
fn levels(json: &[u8]) -> usize {
    brackets(json).map(|(_, open, _)| open).max().unwrap_or(0)
}

/// Every bracket of a JSON text: where, how many are open behind it, and whether it opens one.
fn brackets(json: &[u8]) -> impl Iterator<Item = (usize, usize, bool)> {
    let (mut open, mut in_text, mut escaped) = (0_usize, false, false);
    json.iter().enumerate().filter_map(move |(at, byte)| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                open += 1;
                return Some((at, open, true));
            }
            b'}' | b']' if !in_text => {
                open = open.saturating_sub(1);
                return Some((at, open, false));
            }
            _ => {}
        }
        None
    })
}

/// A document of a spec file, JSON or YAML: as deep as what is sent may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent(pub Value);

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sent, D::Error> {
        let mut path = Path::default();
        let read = Level { path: &mut path, depth: 1 }.deserialize(deserializer);
        match read {
            Err(_) if path.is_too_deep => Err(D::Error::custom(path.error())),
            read => read.map(Sent),
        }
    }
}

enum Step {
    Member(String),
    Index(usize),
}

/// Where a reader is.
#[derive(Default)]
struct Path {
    steps: Vec<Step>,
    is_too_deep: bool,
}

impl Path {
    fn error(&self) -> FieldError {
        let mut field = String::new();
        for step in &self.steps {
            // Writing to a text cannot fail.
            let _ = match step {
                Step::Member(name) if field.is_empty() => write!(field, "{name}"),
                Step::Member(name) => write!(field, ".{name}"),
                Step::Index(index) => write!(field, "[{index}]"),
            };
        }
        let field = field.strip_prefix("managedInstance.").unwrap_or(&field);
        let mut shown: String = field.chars().take(MAX_SHOWN).collect();
        if shown.len() < field.len() {
            shown.push('…');
        }
        FieldError {
            field: if shown.is_empty() { "body".to_owned() } else { shown },
            problem: format!("is nested more than {MAX_DEPTH} levels deep"),
            allowed: format!("at most {MAX_DEPTH} levels of objects and lists in the whole body"),
            example: "{\"managedInstance\": {\"name\": \"db\"}}".to_owned(),
        }
    }
}

/// Reads a value that stands at a depth; an object or a list there counts.
struct Level<'p> {
    path: &'p mut Path,
    depth: usize,
}

impl Level<'_> {
    fn enter<E: de::Error>(&mut self) -> Result<(), E> {
        if self.depth > MAX_DEPTH {
            self.path.is_too_deep = true;
            return Err(E::custom("nested too deep"));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut read = Vec::new();
        loop {
            self.path.steps.push(Step::Index(read.len()));
            let seed = Level { path: &mut *self.path, depth: self.depth + 1 };
            // After a mistake the path stays where it was made.
            let Some(item) = items.next_element_seed(seed)? else { break };
            self.path.steps.pop();
            read.push(item);
        }
        self.path.steps.pop();
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut read = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.path.steps.push(Step::Member(name.clone()));
            let seed = Level { path: &mut *self.path, depth: self.depth + 1 };
            let value = members.next_value_seed(seed)?;
            self.path.steps.pop();
            read.insert(name, value);
        }
        Ok(Value::Object(read))
    }
}
