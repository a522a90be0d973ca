//! `holdfast node generations` and `rollback`.

use super::arguments::WaitOptions;
use super::client::{Client, printable};
use super::tables::{or_dash, table};
use super::wait::{self, Until};
use holdfast_terminal::{Code, Failure, print, print_json};
use holdfast_wire::{Generation, KeptVolume, RollbackRequest};

/// Lists what a node can return to.
pub fn show(client: &Client, name: &str, as_json: bool) -> Result<(), Failure> {
    let node = client.find(name)?;
    let path = format!("/holdfast/v1/nodes/{}/generations", node.id);
    let generations: Vec<Generation> = client.items(&path)?;
    if as_json {
        return print_json(&generations);
    }
    let rows: Vec<Vec<String>> = generations.iter().flat_map(rows_of).collect();
    if rows.is_empty() {
        return print(
            "Nothing is kept yet: a generation is kept when the next one takes its place.\n",
        );
    }
    let header = ["GEN", "KIND", "TAKEN", "READY", "OF", "SIZE", "SNAPSHOT", "IMAGE"];
    print(&table(header.map(str::to_owned).to_vec(), rows))
}

/// One line for each volume of a generation.
fn rows_of(generation: &Generation) -> Vec<Vec<String>> {
    let second = |text: &String| Some(format!("{} UTC", text.get(..19)?.replace('T', " ")));
    let line = |volume: &KeptVolume| {
        let mut kind = printable(&generation.kind);
        if generation.set_aside {
            kind.push_str(", set aside");
        }
        vec![
            generation.generation.to_string(),
            kind,
            or_dash(generation.taken_at.as_ref().and_then(second)),
            if generation.ready { "yes" } else { "no" }.to_owned(),
            printable(&volume.of),
            or_dash(volume.size_gib.map(|gib| format!("{gib} GiB"))),
            printable(&volume.snapshot_id),
            or_dash(volume.image_id.as_deref().map(printable)),
        ]
    };
    generation.volumes.iter().map(line).collect()
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
        Ok(number) => RollbackRequest { generation: Some(number), snapshot_id: None, data },
        Err(_) if to.starts_with("snap-") => {
            RollbackRequest { generation: None, snapshot_id: Some(to.to_owned()), data }
        }
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
    client.tell("POST", &path, Some(&target))?;
    if wait::is_wanted(options) {
        wait::wait(client, &node.id, Until::Active, options.timeout)?;
    }
    Ok(node.id)
}
