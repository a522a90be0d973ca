//! Spec files: JSON or YAML, with or without the outer `managedInstance`.

use super::client::printable;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_model::depth::{Sent, Unread, read_sent};
use holdfast_model::spec::MAX_DOCUMENT;
use holdfast_terminal::{Code, Failure};
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// What a spec file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct SpecFile {
    /// What stands under `managedInstance`, scripts as base64.
    pub document: Value,
    /// Remarks for the person who wrote it.
    pub remarks: Vec<String>,
}

/// Reads a spec from a file, or from standard input for `-`.
pub fn read(path: &Path) -> Result<SpecFile, Failure> {
    let shown = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let wrong = |why: String| Failure::new(Code::Usage, format!("{shown}: {why}"));
    let mut bytes = Vec::new();
    let limit = MAX_DOCUMENT as u64 + 1;
    let found = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    found.map_err(|e| wrong(e.to_string()))?;
    if bytes.len() > MAX_DOCUMENT {
        return Err(wrong(format!("is larger than {MAX_DOCUMENT} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))?;
    parse(&text).map_err(wrong)
}

/// Reads a spec's text.
///
/// # Errors
/// A sentence.
fn parse(text: &str) -> Result<SpecFile, String> {
    let value: Value = if text.trim_start().starts_with('{') {
        read_sent(text.as_bytes()).map_err(|e| match e {
            Unread::NotJson(why) => format!("is not JSON: {why}"),
            Unread::TooDeep(error) => error.to_string(),
        })?
    } else {
        let read: Result<Sent, _> = serde_saphyr::from_str(text);
        read.map_err(|e| format!("is neither JSON nor YAML that is taken: {e}"))?.0
    };
    let mut document = match value {
        Value::Object(mut members) => match members.remove("managedInstance") {
            Some(inner) if members.is_empty() => inner,
            Some(_) => {
                let others: Vec<&str> = members.keys().map(String::as_str).collect();
                let others = printable(&others.join(", "));
                return Err(format!("has members beside managedInstance: {others}"));
            }
            None => Value::Object(members),
        },
        _ => return Err("is no spec: it should be an object with name, region, …".to_owned()),
    };
    if !document.is_object() {
        return Err("is no spec: managedInstance should be an object".to_owned());
    }
    for name in ["userData", "shutdownScript"] {
        let script = document.pointer_mut(&format!("/compute/launchSpecification/{name}"));
        if let Some(Value::String(script)) = script
            && is_plain(script)
        {
            *script = STANDARD.encode(script.as_bytes());
        }
    }
    let unknown = holdfast_api::unknown_members(&document);
    let remark =
        |path: &String| format!("{} is not known; it is kept, but does nothing", printable(path));
    let remarks = unknown.iter().map(remark);
    Ok(SpecFile { remarks: remarks.collect(), document })
}

/// Whether a script is plain text and not base64 yet. (No script begins like base64: `#!` is not
/// in its alphabet.)
fn is_plain(script: &str) -> bool {
    !script.is_empty() && STANDARD.decode(script.trim()).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_model::depth::MAX_DEPTH;
    use serde_json::json;

    #[test]
    fn json_and_yaml_with_and_without_the_wrapper_are_the_same() {
        let texts = [
            r#"{"managedInstance": {"name": "a", "compute": {"subnetIds": ["s"]}}}"#,
            r#"{"name": "a", "compute": {"subnetIds": ["s"]}}"#,
            "managedInstance:\n  name: a\n  compute:\n    subnetIds: [s]\n",
            "# a remark\nname: a\ncompute:\n  subnetIds:\n  - s\n",
        ];
        for text in texts {
            let expected = json!({ "name": "a", "compute": { "subnetIds": ["s"] } });
            assert_eq!(parse(text).unwrap().document, expected, "{text}");
        }
    }

    #[test]
    fn plain_scripts_are_encoded_and_encoded_ones_left_alone() {
        let spec = "compute:\n  launchSpecification:\n    userData: |\n      #!/bin/sh\n    \
                    shutdownScript: IyEvYmluL3NoCg==\n";
        let launch = &parse(spec).unwrap().document["compute"]["launchSpecification"];
        let expected =
            json!({ "userData": "IyEvYmluL3NoCg==", "shutdownScript": "IyEvYmluL3NoCg==" });
        assert_eq!(launch, &expected);
    }

    #[test]
    fn what_is_misspelt_is_remarked_and_what_is_no_spec_refused() {
        let remarks = parse("name: a\npersistance: {}\n").unwrap().remarks;
        assert_eq!(remarks, ["persistance is not known; it is kept, but does nothing"]);
        for text in [
            "",
            "- a",
            "just text",
            "{\"name\": ",
            "managedInstance: 5",
            "a: b: c",
            "managedInstance: {}\nname: a",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_document_that_is_too_deep_is_refused_with_its_path_in_json_and_in_yaml() {
        let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        for text in ["{\"name\": \"a\", \"deep\": DEEP}", "name: a\ndeep: DEEP\n"] {
            let text = |levels: usize| text.replace("DEEP", &nested(levels));
            assert!(parse(&text(MAX_DEPTH - 1)).is_ok());
            for levels in [MAX_DEPTH, 124, 200] {
                let why = parse(&text(levels)).unwrap_err();
                assert!(why.contains("deep[0][0]"), "{why}");
                assert!(why.contains("more than 32 levels"), "{why}");
            }
            // So deep that the YAML reader refuses it by itself.
            assert!(parse(&text(100_000)).is_err());
        }
    }

    #[test]
    fn the_examples_are_specs_without_mistakes() {
        for text in [
            include_str!("../../../../examples/postgres.yaml"),
            include_str!("../../../../examples/redis.yaml"),
        ] {
            let spec = parse(text).unwrap();
            assert_eq!(spec.remarks, [""; 0]);
            holdfast_model::Spec::accept(&spec.document, None).unwrap();
        }
    }
}
