//! What the documentation says is tried.

use crate::life::Real;
use base64::Engine as _;
use holdfast_model::Spec;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The code blocks of a page, in one language.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join("docs").join(page)).unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|t| t.split("```").next()).map(str::to_owned).collect()
}

fn check_spec(text: &str) {
    let mut document: Value = serde_saphyr::from_str(text).unwrap();
    if let Some(inner) = document.get("managedInstance") {
        document = inner.clone();
    }
    for script in ["userData", "shutdownScript"] {
        let pointer = format!("/compute/launchSpecification/{script}");
        if let Some(plain) = document.pointer_mut(&pointer) {
            let text = plain.as_str().unwrap().to_owned();
            *plain = base64::engine::general_purpose::STANDARD.encode(text).into();
        }
    }
    Spec::read(&document).unwrap_or_else(|errors| panic!("{errors:#?}\n{text}"));
}

#[test]
fn every_spec_in_the_documentation_and_the_examples_is_valid() {
    let mut seen = 0;
    let more = ["blackout.md", "launch-settings.md", "deallocation.md"];
    for page in ["spec.md", "network.md", "persistence.md", "snapshots.md"].into_iter().chain(more)
    {
        for block in blocks(page, "yaml") {
            check_spec(&block);
            seen += 1;
        }
    }
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        check_spec(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        seen += 1;
    }
    assert!(seen >= 3, "the examples were found");
}

#[test]
fn the_commands_of_getting_started_do_what_it_says() {
    let real = Real::start();
    let mut read_back = None;
    let commands = blocks("getting-started.md", "sh").join("\n");
    for line in commands.lines().filter(|l| l.starts_with("holdfast node ")) {
        let line = line.split(" #").next().unwrap();
        let mut words: Vec<&str> = line.split_whitespace().skip(2).collect();
        let example = root().join("examples/redis.yaml").display().to_string();
        for word in &mut words {
            if *word == "examples/redis.yaml" {
                *word = &example;
            }
        }
        // In a terminal these wait, and deletion asks.
        match words[0] {
            "create" | "pause" | "resume" => words.push("--wait"),
            "delete" => words.extend(["--yes", "--wait"]),
            _ => {}
        }
        let before = (words[0] == "interrupt").then(|| real.generation("redis"));
        let said = match words.iter().position(|word| *word == "redis-cli") {
            Some(at) => real.redis("redis", &words[at + 1..]),
            None => real.done(&words),
        };
        if let Some(before) = before {
            real.wait_for_generation_of("redis", before);
        }
        if words.contains(&"get") {
            read_back = Some(said.trim().to_owned());
        }
    }
    assert_eq!(read_back.as_deref(), Some("hello"), "what was set before the power cut");
}

#[test]
fn every_page_that_the_readme_names_is_there() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let links = readme.split("](").skip(1).filter_map(|t| t.split(')').next());
    let mut seen = 0;
    for link in links.filter(|l| !l.starts_with("http")) {
        assert!(root().join(link).exists(), "README.md names {link}");
        seen += 1;
    }
    assert!(seen > 5, "the links were found");
}
