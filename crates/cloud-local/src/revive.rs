//! Rows made anew from labels: of what lies in the pool, and of instances that live.

use crate::labels::{self, Label, Labels};
use crate::refusal::{LocalError, conflict};
use crate::rows::{ImageRow, InterfaceRow, Row, SnapshotRow, VolumeRow};
use crate::state::{ADDRESS, INSTANCE, Kept, MARKET, MarketRow, StateError, Table};
use crate::storage::Pool;
use holdfast_agent::ShimHandle;
use holdfast_model::facts::{InterfaceState, VolumeState};
use holdfast_model::{CloudError, InstanceId, Lifecycle};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

/// What the label in an instance's directory says of it.
pub(crate) fn kept(node_dir: &Path, id: &str) -> Result<Kept, String> {
    let label = labels::read_instance(node_dir)?;
    if label.kind != INSTANCE || label.id != id {
        return Err(format!("it is that of {}", label.id));
    }
    serde_json::from_value(label.row).map_err(|e| e.to_string())
}

/// A node that lives.
pub(crate) struct Living {
    pub(crate) id: InstanceId,
    /// Its label, or what is wrong with that.
    pub(crate) kept: Result<Kept, String>,
    /// The volumes that it has mounted.
    pub(crate) volumes: BTreeSet<String>,
    /// Its primary address, as its shim was told.
    pub(crate) private_ip: Option<String>,
}

/// Every node whose shim and init live, by the directories of instances.
pub(crate) fn living(nodes: &Path, pool: &Pool) -> Result<Vec<Living>, LocalError> {
    let mut found = Vec::new();
    for id in directories(nodes)? {
        let dir = nodes.join(&id);
        let Ok(handle) = ShimHandle::open(&dir) else { continue };
        if !handle.is_alive()? {
            continue;
        }
        let mut volumes = pool.volumes_of(handle.init_pid())?;
        let config = holdfast_agent::NodeConfig::read(&holdfast_agent::config_path(&dir)).ok();
        let root = config.as_ref().and_then(|c| c.root_mount.file_name());
        volumes.extend(root.map(|name| name.to_string_lossy().into_owned()));
        let kept = kept(&dir, &id);
        if let Ok(kept) = &kept {
            volumes.extend(kept.row.fact.attachments.iter().map(|a| a.volume.to_string()));
        }
        found.push(Living {
            id: InstanceId(id),
            kept,
            volumes,
            private_ip: config.map(|c| c.private_ip.to_string()),
        });
    }
    Ok(found)
}

/// The names of the directories of instances, in order.
pub(crate) fn directories(nodes: &Path) -> Result<BTreeSet<String>, LocalError> {
    let entries = match std::fs::read_dir(nodes) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(e) => return Err(crate::refusal::io("listing", nodes)(e)),
    };
    let mut found = BTreeSet::new();
    for entry in entries {
        let entry = entry.map_err(crate::refusal::io("listing", nodes))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("i-") && entry.path().is_dir() {
            found.insert(name);
        }
    }
    Ok(found)
}

/// Writes the row that a label repeats. False: the label is not understood.
pub(crate) fn restore(table: &Table<'_>, label: &Label) -> Result<bool, StateError> {
    fn of<T: Row>(table: &Table<'_>, label: &Label) -> Result<bool, StateError> {
        match label.read_row::<T>() {
            Some(row) => table.put(&row).map(|()| true),
            None => Ok(false),
        }
    }
    match label.kind.as_str() {
        "volume" => of::<VolumeRow>(table, label),
        "snapshot" => of::<SnapshotRow>(table, label),
        "image" => of::<ImageRow>(table, label),
        "interface" => of::<InterfaceRow>(table, label),
        ADDRESS => {
            let Some(public_ip) = label.row.get("publicIp").and_then(|ip| ip.as_str()) else {
                return Ok(false);
            };
            table.put_address(&label.id, public_ip)?;
            Ok(true)
        }
        MARKET => {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Market {
                instance_type: String,
                zone: String,
                lifecycle: String,
                set: MarketRow,
            }
            let Ok(m) = serde_json::from_value::<Market>(label.row.clone()) else {
                return Ok(false);
            };
            let all = [Lifecycle::Spot, Lifecycle::OnDemand];
            let Some(lifecycle) = all.into_iter().find(|l| l.to_string() == m.lifecycle) else {
                return Ok(false);
            };
            table.put_market(&m.instance_type, &m.zone, lifecycle, m.set)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Takes an instance up again, with what it holds: rows that are missing come from labels. If it is
/// refused, nothing was written.
pub(crate) fn take_up(table: &Table<'_>, labels: &Labels, kept: &Kept) -> Result<(), CloudError> {
    let id = &kept.row.fact.id;
    let (mut volumes, mut interfaces) = (Vec::new(), Vec::new());
    for attachment in &kept.row.fact.attachments {
        let volume = attachment.volume.as_str();
        let mut row: VolumeRow = existing_or_labelled(table, labels, volume)?;
        if let Some((other, _)) = row.fact.attached_to.as_ref().filter(|(other, _)| other != id) {
            return Err(conflict("VolumeInUse", format!("{volume} is attached to {other}")));
        }
        row.fact.state = VolumeState::InUse;
        row.fact.attached_to = Some((id.clone(), attachment.device.clone()));
        row.fact.attachment_settled = true;
        volumes.push(row);
    }
    for (interface, index) in &kept.interfaces {
        let name = interface.as_str();
        let mut row: InterfaceRow = existing_or_labelled(table, labels, name)?;
        if let Some(other) = row.fact.attached_to.as_ref().filter(|other| *other != id) {
            let message = format!("{name} is attached to {other}");
            return Err(conflict("InvalidNetworkInterface.InUse", message));
        }
        row.fact.state = InterfaceState::InUse;
        row.fact.attached_to = Some(id.clone());
        row.fact.device_index = Some(*index);
        row.fact.attachment_settled = true;
        interfaces.push(row);
    }
    table.put(&kept.row)?;
    volumes.iter().try_for_each(|row| table.put(row))?;
    interfaces.iter().try_for_each(|row| table.put(row))?;
    Ok(())
}

fn existing_or_labelled<T: Row>(
    table: &Table<'_>,
    labels: &Labels,
    id: &str,
) -> Result<T, CloudError> {
    // A damaged row is worth as little as none.
    if let Ok(Some(row)) = table.get::<T>(id) {
        return Ok(row);
    }
    let label = labels.one(id).map_err(|why| {
        conflict("IncorrectState", format!("the label of {id} cannot be read ({why})"))
    })?;
    label.as_ref().and_then(Label::read_row).ok_or_else(|| {
        conflict("IncorrectState", format!("{id} has no row and no label; adopt it first"))
    })
}
