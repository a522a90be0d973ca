//! The commands of docs/launch-settings.md, on a real node.

use crate::docs::blocks;
use crate::life::Real;

#[test]
fn what_a_launch_is_told_comes_back_after_an_interruption() {
    let real = Real::start();
    let spec = real.write("tuned.yaml", &blocks("launch-settings.md", "yaml")[0]);
    let mut said = Vec::new();
    for line in blocks("launch-settings.md", "sh").join("\n").lines() {
        let mut words: Vec<&str> = line.split_whitespace().skip(2).collect();
        for word in words.iter_mut().filter(|word| **word == "tuned.yaml") {
            *word = &spec;
        }
        if words[0] == "create" {
            words.push("--wait");
        }
        let before = (words[0] == "interrupt").then(|| real.generation("tuned"));
        let answer = real.done(&words);
        if words[0] == "exec" {
            said.push(answer);
        }
        if let Some(before) = before {
            real.wait_for_generation_of("tuned", before);
        }
    }
    assert_eq!(said, ["orders", "orders"]);
    let node = real.show("tuned");
    let team = |of: &str| node.pointer(&format!("{of}/tags/team")).cloned();
    assert_eq!(team("/instance"), Some("orders".into()));
    let data = node["volumes"].as_array().unwrap();
    let tagged = data.iter().filter(|v| v["tags"]["team"] == "orders").count();
    assert_eq!((tagged, data.is_empty()), (data.len(), false), "volumes: shouldTag");
    real.done(&["delete", "tuned", "--yes", "--wait"]);
}
