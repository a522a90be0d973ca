//! `holdfast local volume`: what people do with volumes of their own, as at EC2.

use super::client::printable;
use super::options::ServerOptions;
use super::{local_tables, tables};
use clap::{Args, Subcommand};
use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{print, print_line_of_json};
use serde_json::{Value, json};

/// `holdfast local volume`.
#[derive(Debug, Args)]
pub struct VolumeCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: VolumeVerb,
}

/// What to do with volumes.
#[derive(Debug, Subcommand)]
pub enum VolumeVerb {
    /// Make one that belongs to no node
    #[command(after_help = "Examples:
  holdfast local volume create local-1a --size 10
  holdfast local volume create local-1a --size 10 --mount /srv/reports")]
    Create {
        /// In this zone
        zone: String,
        /// Its size in GiB
        #[arg(long, value_name = "GIB")]
        size: u32,
        /// Where it is mounted in a node that it is attached to; else by its device name
        #[arg(long, value_name = "PATH")]
        mount: Option<String>,
    },
    /// Show every volume of this host
    #[command(after_help = "Examples:
  holdfast local volume list")]
    List,
    /// Attach one to a node that runs: it belongs to the node from then on
    #[command(after_help = "Examples:
  holdfast local volume attach vol-0123456789abcdef0 postgres --device /dev/xvdf")]
    Attach {
        /// The volume
        volume: String,
        /// The node's name or id
        node: String,
        /// The device name, which it keeps
        #[arg(long, default_value = "/dev/xvdf")]
        device: String,
    },
    /// Take one away from the node that it was attached to: it is yours again
    #[command(after_help = "Examples:
  holdfast local volume detach vol-0123456789abcdef0")]
    Detach {
        /// The volume
        volume: String,
    },
    /// Delete one that is free and belongs to no node
    #[command(after_help = "Examples:
  holdfast local volume delete vol-0123456789abcdef0")]
    Delete {
        /// The volume
        volume: String,
    },
}

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
