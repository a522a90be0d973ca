//! What a spec that is sent may hold beyond what a spec must say: lengths, characters, paths,
//! devices, depth. It is asked of what comes in and never of what is stored, so that what an
//! earlier version accepted goes on working.

use super::{Spec, reader};
use crate::tags::{MAX_USER_TAGS, MOUNT_PREFIX};
use crate::{FieldError, depth, text};
use serde_json::Value;

/// The most characters of a node's name.
pub const MAX_NAME: usize = 255;
/// The most characters of a node's description.
pub const MAX_DESCRIPTION: usize = 1_024;
/// The longest path of a mount in bytes (Linux's PATH_MAX, less its ending zero).
pub const MAX_MOUNT: usize = 4_095;
/// The longest name between two slashes of a path, in bytes (Linux's NAME_MAX).
pub const MAX_COMPONENT: usize = 255;

/// Directories over which nothing is mounted: a node does not work without what is in them.
const TAKEN: [&str; 13] = [
    "/",
    "/bin",
    "/boot",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/run",
    "/sbin",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/sbin",
];
/// Directories in which nothing is mounted either: they are the kernel's, and Holdfast's.
const CLOSED: [&str; 4] = ["/dev", "/proc", "/run/holdfast", "/sys"];

const TAGS: &str = "compute.launchSpecification.tags";
const DEVICES: &str = "compute.launchSpecification.blockDeviceMappings";
/// Texts of several lines.
const LONG_TEXTS: [&str; 3] = [
    "description",
    "compute.launchSpecification.userData",
    "compute.launchSpecification.shutdownScript",
];

/// See [`Spec::accept`].
pub(super) fn accept(document: &Value, before: Option<&Value>) -> Result<Spec, Vec<FieldError>> {
    let mut errors = mistakes(document);
    if let (Some(before), false) = (before, errors.is_empty()) {
        let known = mistakes(before);
        errors.retain(|error| !known.contains(error));
    }
    match (reader::read(document), errors.is_empty()) {
        (Ok(spec), true) => Ok(spec),
        (Ok(_), false) => Err(errors),
        (Err(mut all), _) => {
            // What must be there is told first; of one field one mistake is enough.
            errors.retain(|error| all.iter().all(|told| told.field != error.field));
            all.extend(errors);
            Err(all)
        }
    }
}

/// Why this is no path at which a volume may be mounted, if it is none.
#[must_use]
pub fn mount_mistake(path: &str) -> Option<&'static str> {
    let Some(below) = path.strip_prefix('/') else { return Some("is no absolute path") };
    let within = |dir: &str| {
        path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if path.chars().any(text::is_hidden) {
        Some("has characters that cannot be seen")
    } else if path.len() > MAX_MOUNT {
        Some("is longer than 4095 bytes")
    } else if TAKEN.contains(&path) || CLOSED.into_iter().any(within) {
        Some("is a directory that the node itself needs")
    } else if below.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("is not normalised: it has \"..\", \".\", \"//\" or ends with \"/\"")
    } else if below.split('/').any(|part| part.len() > MAX_COMPONENT) {
        Some("has a name of more than 255 bytes between two slashes")
    } else {
        None
    }
}

/// Whether EC2 takes this as the name of a block device of a Linux instance: `/dev/sda1`,
/// `/dev/sdb`, `/dev/xvdb`, `/dev/xvdba`, … ("Device names for volumes", EC2 user guide).
#[must_use]
pub fn is_device(name: &str) -> bool {
    let letters = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())
    };
    let digits = |text: &str| text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
    let split = |rest: &str| rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let is = |prefix: &str, most: usize| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            let (disk, part) = rest.split_at(split(rest));
            letters(disk, most) && digits(part)
        })
    };
    is("/dev/sd", 1) || is("/dev/hd", 1) || is("/dev/xvd", 2)
}

/// Every mistake of a document. It has been read, so it is not too deep to go down into.
fn mistakes(document: &Value) -> Vec<FieldError> {
    let mut found: Vec<FieldError> = depth::check(document).err().into_iter().collect();
    hidden(document, "", &mut found);
    let long = |path: &str, value: Option<&Value>, most: usize, found: &mut Vec<FieldError>| {
        let count = value.and_then(Value::as_str).map_or(0, |text| text.chars().count());
        if count > most {
            let problem = format!("has {count} characters");
            tell(found, path, problem, &format!("at most {most} characters"), "\"orders-db\"");
        }
    };
    long("name", document.get("name"), MAX_NAME, &mut found);
    long("description", document.get("description"), MAX_DESCRIPTION, &mut found);
    let at = |path: &str| {
        let mut value = document;
        for part in path.split('.') {
            value = value.get(part)?;
        }
        value.as_array()
    };
    for (index, tag) in at(TAGS).into_iter().flatten().take(MAX_USER_TAGS).enumerate() {
        let of = |member: &str| tag.get(member).and_then(Value::as_str);
        let (Some(key), value) = (of("tagKey"), of("tagValue").unwrap_or_default()) else {
            continue;
        };
        if key.starts_with(MOUNT_PREFIX)
            && let Some(problem) = mount_mistake(value)
        {
            let field = format!("{TAGS}[{index}].tagValue");
            let allowed = "an absolute, normalised path that the node itself does not need, of at \
                           most 4095 bytes";
            tell(&mut found, &field, problem.to_owned(), allowed, "\"/var/lib/data\"");
        }
    }
    for (index, mapping) in at(DEVICES).into_iter().flatten().enumerate() {
        let name = mapping.get("deviceName").and_then(Value::as_str).unwrap_or_default();
        if !is_device(name) {
            let problem = format!("is {}", reader::what(&Value::from(name)));
            let allowed = "/dev/sd and a letter, or /dev/xvd and one or two";
            let field = format!("{DEVICES}[{index}].deviceName");
            tell(&mut found, &field, problem, allowed, "\"/dev/xvdb\"");
        }
    }
    // One mistake of each field.
    let mut told = std::collections::BTreeSet::new();
    found.retain(|error| told.insert(error.field.clone()));
    found
}

/// Texts and names of members with characters that cannot be seen.
fn hidden(value: &Value, path: &str, found: &mut Vec<FieldError>) {
    match value {
        Value::String(text) => {
            let has_lines = LONG_TEXTS.contains(&path);
            let is_line = |c: char| has_lines && matches!(c, '\n' | '\r' | '\t');
            if let Some(bad) = text.chars().find(|c| text::is_hidden(*c) && !is_line(*c)) {
                tell_of(bad, "has", path, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                hidden(item, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let shown = text::one_line(name);
                let path = if path.is_empty() { shown.into() } else { format!("{path}.{shown}") };
                if let Some(bad) = name.chars().find(|c| text::is_hidden(*c)) {
                    tell_of(bad, "has in its name", &path, found);
                }
                hidden(member, &path, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn tell_of(bad: char, has: &str, field: &str, found: &mut Vec<FieldError>) {
    let problem = format!("{has} the character {}", bad.escape_unicode());
    let allowed = "no characters that control a terminal, end a line, change the direction of \
                   writing or cannot be seen";
    tell(found, field, problem, allowed, "\"orders-db\"");
}

fn tell(found: &mut Vec<FieldError>, field: &str, problem: String, allowed: &str, example: &str) {
    found.push(FieldError {
        field: field.to_owned(),
        problem,
        allowed: allowed.to_owned(),
        example: example.to_owned(),
    });
}
