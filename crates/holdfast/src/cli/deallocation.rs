//! `holdfast node undelete` and `holdfast node volume delete`.

use super::client::{Client, printable};
use super::tables;
use holdfast_terminal::{Code, Failure, confirm};
use holdfast_wire::UndeleteRequest;
use holdfast_wire::record::DataHead;

/// Brings a node back. Returns its id.
pub fn undelete(client: &Client, name: &str, accept_loss: bool) -> Result<String, Failure> {
    let node = client.find(name)?;
    if !node.given_up {
        let why = format!(
            "{} ({}) has not been deleted; see: holdfast node list --all",
            tables::title(&node),
            node.id
        );
        return Err(Failure::new(Code::Failed, why));
    }
    let path = format!("/holdfast/v1/nodes/{}/undelete", node.id);
    let body = UndeleteRequest { accept_loss: Some(accept_loss) };
    client.tell("POST", &path, Some(&body))?;
    Ok(node.id)
}

/// Deletes a volume of a paused node, by its device name or its id. Returns the node's id.
pub fn delete_volume(
    client: &Client,
    name: &str,
    volume: &str,
    yes: bool,
) -> Result<String, Failure> {
    let node = client.find(name)?;
    let whole = client.whole(&node.id)?;
    let of_device = whole.record.data.iter().find_map(|data| match &data.head {
        DataHead::Volume { id, .. } if data.device == volume => Some(id.clone()),
        _ => None,
    });
    let id = match of_device {
        Some(id) => id,
        None if volume.starts_with("vol-") => volume.to_owned(),
        None => {
            let why = format!(
                "{} has no volume at {}; see: holdfast node show {}",
                tables::title(&node),
                printable(volume),
                node.id
            );
            return Err(Failure::new(Code::Usage, why));
        }
    };
    let question =
        format!("Delete {} of {} with everything on it?", printable(&id), tables::title(&node));
    if !yes && !confirm(&question)? {
        return Err(Failure::new(Code::Failed, "nothing was deleted"));
    }
    let path = format!("/aws/ec2/managedInstance/{}/volume/{}", node.id, printable(&id));
    client.order("DELETE", &path)?;
    Ok(node.id)
}
