//! `holdfast node generations` and `rollback`.

use super::arguments::WaitOptions;
use super::client::{Client, printable};
use super::tables;
use super::wait::{self, Until};
use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{print, print_json};
use serde_json::{Value, json};

/// Lists what a node can return to.
pub fn show(client: &Client, name: &str, as_json: bool) -> Result<(), Failure> {
    let node = client.find(name)?;
    let path = format!("/holdfast/v1/nodes/{}/generations", node.id);
    let mut response = client.get(&path)?;
    let items = response.get_mut("items").map(Value::take).unwrap_or_default();
    if as_json {
        return print_json(&items);
    }
    let none = Vec::new();
    let rows: Vec<Vec<String>> =
        items.as_array().unwrap_or(&none).iter().flat_map(rows_of).collect();
    if rows.is_empty() {
        return print(
            "Nothing is kept yet: a generation is kept when the next one takes its place.\n",
        );
    }
    let header = ["GEN", "KIND", "TAKEN", "READY", "OF", "SIZE", "SNAPSHOT", "IMAGE"];
    print(&tables::table(header.map(str::to_owned).to_vec(), rows))
}

/// One line for each volume of a generation.
fn rows_of(generation: &Value) -> Vec<Vec<String>> {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        other => other.to_string(),
    };
    let none = Vec::new();
    let volumes = generation["volumes"].as_array().unwrap_or(&none);
    let line = |volume: &Value| {
        let mut kind = text(&generation["kind"]);
        if generation["setAside"] == true {
            kind.push_str(", set aside");
        }
        let size = volume["sizeGib"].as_u64().map_or("-".to_owned(), |gib| format!("{gib} GiB"));
        vec![
            text(&generation["generation"]),
            kind,
            text(&generation["takenAt"]).get(..19).map_or_else(
                || "-".to_owned(),
                |second| format!("{} UTC", second.replace('T', " ")),
            ),
            if generation["ready"] == true { "yes" } else { "no" }.to_owned(),
            text(&volume["of"]),
            size,
            text(&volume["snapshotId"]),
            text(&volume["imageId"]),
        ]
    };
    volumes.iter().map(line).collect()
}

/// Returns to an earlier content, and waits for it if that is wanted. Returns the node's id.
pub fn roll_back(
    client: &Client,
    name: &str,
    to: &str,
    data: Option<bool>,
    options: &WaitOptions,
) -> Result<String, Failure> {
    let target = match to.parse::<u64>() {
        Ok(generation) => json!({ "generation": generation, "data": data }),
        Err(_) if to.starts_with("snap-") => json!({ "snapshotId": to, "data": data }),
        Err(_) => {
            let why = format!(
                "{} is neither a generation nor a snapshot; see: holdfast node generations {name}",
                printable(to)
            );
            return Err(Failure::new(Code::Usage, why));
        }
    };
    let node = client.find(name)?;
    let path = format!("/holdfast/v1/nodes/{}/rollback", node.id);
    client.send("POST", &path, Some(&target))?;
    if wait::is_wanted(options) {
        wait::wait(client, &node.id, Until::Active, options.timeout)?;
    }
    Ok(node.id)
}
