//! `holdfast local volume`: what people do with volumes of their own, as at EC2.

use super::client::printable;
use super::exit::{Code, Failure};
use super::options::ServerOptions;
use super::{local_tables, print, print_line_of_json, tables};
use clap::{Args, Subcommand};
use holdfast_wire::local::{AttachmentRequest, LocalVolume, VolumeMount, VolumeRequest};

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
    match &command.verb {
        VolumeVerb::Create { zone, size, mount } => {
            let (zone, mount) = (zone.clone(), mount.clone());
            let body = VolumeRequest { zone, size_gib: *size, mount };
            let volume = client.ask::<LocalVolume>("POST", &path(""), Some(&body))?.item;
            if command.json {
                return print_line_of_json(&volume);
            }
            print(&format!("{}\n", printable(&volume.volume_id)))
        }
        VolumeVerb::List => {
            let volumes: Vec<LocalVolume> = client.items(&path(""))?;
            if command.json {
                return print_line_of_json(&volumes);
            }
            print(&local_tables::local_volumes(&volumes))
        }
        VolumeVerb::Attach { volume, node, device } => {
            let node = client.find(node)?;
            let body = AttachmentRequest { node_id: node.id.clone(), device: device.clone() };
            let path = of(volume, "/attach")?;
            let attached = client.ask::<VolumeMount>("POST", &path, Some(&body))?.item;
            if command.json {
                return print_line_of_json(&attached);
            }
            let mount = printable(&attached.mount);
            print(&format!("{volume} is mounted at {mount} in {}.\n", tables::title(&node)))
        }
        VolumeVerb::Detach { volume } => {
            client.order("POST", &of(volume, "/detach")?)?;
            print(&format!("{volume} is yours again.\n"))
        }
        VolumeVerb::Delete { volume } => {
            client.order("DELETE", &of(volume, "")?)?;
            print(&format!("Deleted {volume}.\n"))
        }
    }
}
