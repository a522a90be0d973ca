//! `holdfast local volume`: what people do with volumes of their own, as at EC2.

use super::arguments::{VolumeCommand, VolumeVerb};
use super::client::printable;
use super::{local_tables, tables};
use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{print, print_line_of_json};
use serde_json::{Value, json};

fn path(tail: &str) -> String {
    format!("{}/volumes{tail}", holdfast_api::LOCAL)
}

/// The path of one volume.
fn of(volume: &str, tail: &str) -> Result<String, Failure> {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if volume.is_empty() || !volume.chars().all(known) {
        let why = format!("{} is no volume's id", printable(volume));
        return Err(Failure::new(Code::Usage, why));
    }
    Ok(path(&format!("/{volume}{tail}")))
}

/// Does what the command line says.
pub fn run(command: &VolumeCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    let first = |answer: &Value| answer.pointer("/items/0").cloned().unwrap_or_default();
    match &command.verb {
        VolumeVerb::Create { zone, size, mount } => {
            let body = json!({ "zone": zone, "sizeGib": size, "mount": mount });
            let volume = first(&client.send("POST", &path(""), Some(&body))?);
            if command.json {
                return print_line_of_json(&volume);
            }
            print(&format!("{}\n", volume["volumeId"].as_str().unwrap_or_default()))
        }
        VolumeVerb::List => {
            let answer = client.get(&path(""))?;
            let volumes = answer.get("items").and_then(Value::as_array).cloned();
            let volumes = volumes.unwrap_or_default();
            if command.json {
                return print_line_of_json(&Value::Array(volumes));
            }
            print(&local_tables::local_volumes(&volumes))
        }
        VolumeVerb::Attach { volume, node, device } => {
            let node = client.find(node)?;
            let body = json!({ "nodeId": node.id, "device": device });
            let attached = first(&client.send("POST", &of(volume, "/attach")?, Some(&body))?);
            if command.json {
                return print_line_of_json(&attached);
            }
            let mount = attached["mount"].as_str().map(printable).unwrap_or_default();
            print(&format!("{volume} is mounted at {mount} in {}.\n", tables::title(&node)))
        }
        VolumeVerb::Detach { volume } => {
            client.send("POST", &of(volume, "/detach")?, None)?;
            print(&format!("{volume} is yours again.\n"))
        }
        VolumeVerb::Delete { volume } => {
            client.send("DELETE", &of(volume, "")?, None)?;
            print(&format!("Deleted {volume}.\n"))
        }
    }
}
