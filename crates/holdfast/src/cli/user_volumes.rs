//! `holdfast local volume`: what people do with volumes of their own, as at EC2.

use super::arguments::{VolumeCommand, VolumeVerb};
use super::client::printable;
use super::{local_tables, tables};
use holdfast_terminal::{Code, Failure, print, print_line_of_json};
use holdfast_wire::local::{AttachmentRequest, LocalVolume, VolumeMount, VolumeRequest};

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
