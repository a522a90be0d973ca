//! CreateVolume, DeleteVolume, AttachVolume, DetachVolume.

use crate::clock::now;
use crate::host::Inner;
use crate::ids::new_id;
use crate::lookup::{running, usable_snapshot};
use crate::refusal::{LocalError, conflict, not_found, refused};
use crate::region;
use crate::requests::{Answer, request_hash, same_request};
use crate::rows::{InstanceRow, Row, VolumeRow};
use crate::state::Table;
use crate::storage::StorageError;
use crate::types::ATTACHMENT_LIMIT;
use holdfast_agent::ShimHandle;
use holdfast_model::facts::{Attachment, InstanceState, VolumeFact, VolumeState};
use holdfast_model::tags::Tags;
use holdfast_model::{CloudError, Command, InstanceId, Reply, SnapshotId, Token, VolumeId, Zone};

/// EC2's largest gp3 volume in GiB (EBS user guide, "Volume types").
const MAX_GIB: u32 = 16_384;

/// What CreateVolume asks for.
pub(crate) struct NewVolume {
    pub(crate) token: Token,
    pub(crate) zone: Zone,
    pub(crate) size_gib: u32,
    pub(crate) snapshot: Option<SnapshotId>,
    pub(crate) tags: Tags,
}

impl Inner {
    pub(crate) fn create_volume(&self, command: &Command, new: NewVolume) -> Answer {
        let request = request_hash(command)?;
        let row = self.state.change(|table| {
            if let Some(id) = same_request(table, &new.token, &request)? {
                let row: Option<VolumeRow> = table.get(&id)?;
                let row = row.ok_or_else(|| not_found("InvalidVolume.NotFound", &id))?;
                return Ok::<_, CloudError>(Err(row));
            }
            if region::zone_index(new.zone.as_str()).is_none() {
                let message = format!(
                    "there is no zone {}; use one of {}",
                    new.zone,
                    region::ZONES.join(", ")
                );
                return Err(refused("InvalidZone.NotFound", message));
            }
            check_size(new.size_gib)?;
            if let Some(snapshot) = &new.snapshot {
                let least = usable_snapshot(table, snapshot)?.size_gib;
                if new.size_gib < least {
                    let message = format!(
                        "{} GiB is smaller than the snapshot {snapshot} of {least} GiB",
                        new.size_gib
                    );
                    return Err(refused("InvalidParameterValue", message));
                }
            }
            self.promise_volume(table, new.size_gib, new.snapshot.as_ref(), &new.tags)?;
            let row = VolumeRow {
                fact: VolumeFact {
                    id: VolumeId(new_id("vol")?),
                    state: VolumeState::Creating,
                    zone: new.zone,
                    size_gib: new.size_gib,
                    attached_to: None,
                    attachment_settled: true,
                    snapshot: new.snapshot,
                    fs_uuid: None,
                    tags: new.tags,
                },
                blank_root: false,
            };
            table.put_token(new.token.as_str(), &request, row.id(), now())?;
            table.put(&row)?;
            Ok(Ok(row))
        })?;
        let row = match row {
            Ok(fresh) => self.complete_volume(fresh)?,
            Err(earlier) => earlier,
        };
        Ok(Reply { facts: vec![row.fact()], gone: Vec::new() })
    }

    /// Makes the image of a volume that is being created; if that fails there is no volume.
    pub(crate) fn complete_volume(&self, row: VolumeRow) -> Result<VolumeRow, CloudError> {
        let id = row.fact.id.clone();
        match self.make_image(&row) {
            Ok(fs_uuid) => self.state.change(|table| {
                let mut row = row;
                row.fact.state = VolumeState::Available;
                row.fact.fs_uuid = fs_uuid;
                table.put(&row)?;
                Ok(row)
            }),
            Err(e) => {
                self.state.change(|table| {
                    table.delete::<VolumeRow>(id.as_str())?;
                    table.delete_tokens_of(id.as_str())
                })?;
                Err(e.into())
            }
        }
    }

    /// The image's filesystem UUID, once it is there.
    pub(crate) fn make_image(&self, row: &VolumeRow) -> Result<Option<String>, LocalError> {
        let fact = &row.fact;
        let made = match &fact.snapshot {
            Some(snapshot) => {
                self.pool.create_from_snapshot(&fact.id, snapshot, Some(fact.size_gib))
            }
            None if row.blank_root => {
                let kind = ("root", holdfast_agent::root_mark()?);
                self.pool.create_from_master(&fact.id, fact.size_gib, kind, |directory| {
                    holdfast_agent::lay_out_root(directory)
                })?
            }
            None => self.pool.create_blank(&fact.id, fact.size_gib),
        };
        match made {
            Ok(info) => Ok(info.fs_uuid),
            // An attempt before a restart got that far.
            Err(StorageError::AlreadyExists { .. }) => {
                Ok(self.pool.volume(&fact.id)?.and_then(|info| info.fs_uuid))
            }
            Err(e) => Err(e.into()),
        }
    }

    pub(crate) fn delete_volume(&self, id: &VolumeId) -> Answer {
        self.strangers.check_free(id.as_str())?;
        let exists = self.state.change(|table| {
            let Some(mut row) = table.get::<VolumeRow>(id.as_str())? else { return Ok(false) };
            match row.fact.state {
                VolumeState::Available | VolumeState::Error | VolumeState::Deleting => {}
                VolumeState::InUse => {
                    let holder = row.fact.attached_to.map(|(i, _)| i.0).unwrap_or_default();
                    let message = format!("{id} is attached to {holder}; detach it first");
                    return Err(conflict("VolumeInUse", message));
                }
                VolumeState::Creating => {
                    return Err(conflict("IncorrectState", format!("{id} is being created")));
                }
            }
            row.fact.state = VolumeState::Deleting;
            table.put(&row)?;
            Ok::<_, CloudError>(true)
        })?;
        if exists {
            self.complete_deletion(id)?;
        }
        Ok(Reply { facts: Vec::new(), gone: vec![id.to_string()] })
    }

    /// Deletes the image of a volume that is being deleted, then its row.
    pub(crate) fn complete_deletion(&self, id: &VolumeId) -> Result<(), LocalError> {
        self.strangers.check_free(id.as_str())?;
        self.pool.unmount(&self.mountpoint(id))?;
        self.pool.detach(id)?;
        self.pool.delete_volume(id)?;
        self.deletions.note();
        // The directory it was mounted on; it may never have been.
        let _ = std::fs::remove_dir(self.mountpoint(id));
        self.state.change(|table| table.delete::<VolumeRow>(id.as_str()))?;
        Ok(())
    }

    pub(crate) fn attach_volume(
        &self,
        id: &VolumeId,
        instance: &InstanceId,
        device: &str,
    ) -> Answer {
        let _busy = self.busy(instance);
        self.strangers.check_free(id.as_str())?;
        let settled = self.state.change(|table| begin_attachment(table, id, instance, device))?;
        if !settled {
            let attached = self.pool.attach(id);
            self.state.change(|table| {
                let volume: Option<VolumeRow> = table.get(id.as_str())?;
                let holder: Option<InstanceRow> = table.get(instance.as_str())?;
                let (Some(mut volume), Some(mut holder)) = (volume, holder) else {
                    return Ok::<_, CloudError>(());
                };
                if attached.is_ok() {
                    volume.fact.attachment_settled = true;
                } else {
                    volume.free();
                    holder.fact.attachments.retain(|a| &a.volume != id);
                    table.put(&holder)?;
                }
                table.put(&volume)?;
                Ok(())
            })?;
            attached?;
        }
        self.facts_of(&[id.as_str(), instance.as_str()])
    }

    pub(crate) fn detach_volume(&self, id: &VolumeId, instance: &InstanceId) -> Answer {
        let _busy = self.busy(instance);
        let held = self.state.change(|table| {
            let row: Option<VolumeRow> = table.get(id.as_str())?;
            let mut row = row.ok_or_else(|| not_found("InvalidVolume.NotFound", id.as_str()))?;
            let Some((holder, device)) = row.fact.attached_to.clone() else { return Ok(None) };
            if &holder != instance {
                let message = format!("{id} is attached to {holder}, not to {instance}");
                return Err(refused("InvalidAttachment.NotFound", message));
            }
            let owner: Option<InstanceRow> = table.get(instance.as_str())?;
            if let Some(owner) = &owner
                && owner.fact.root_device == device
                && owner.fact.state != InstanceState::Terminated
            {
                let message = format!("{id} is the root volume of {instance}, which runs");
                return Err(refused("OperationNotPermitted", message));
            }
            if owner.is_some_and(|o| o.fact.state != InstanceState::Running) {
                let message = format!("{instance} is ending; {id} will be free then");
                return Err(conflict("IncorrectState", message));
            }
            row.fact.attachment_settled = false;
            table.put(&row)?;
            Ok::<_, CloudError>(Some(device))
        })?;
        if let Some(device) = held {
            let taken = self.take_from_node(id, instance, &device);
            self.state.change(|table| {
                let Some(mut volume) = table.get::<VolumeRow>(id.as_str())? else { return Ok(()) };
                if taken.is_err() {
                    volume.fact.attachment_settled = true;
                    return table.put(&volume);
                }
                volume.free();
                table.put(&volume)?;
                if let Some(mut holder) = table.get::<InstanceRow>(instance.as_str())? {
                    holder.fact.attachments.retain(|a| &a.volume != id);
                    table.put(&holder)?;
                }
                Ok(())
            })?;
            taken?;
        }
        self.facts_of(&[id.as_str(), instance.as_str()])
    }

    fn take_from_node(
        &self,
        id: &VolumeId,
        instance: &InstanceId,
        device: &str,
    ) -> Result<(), LocalError> {
        let mut client = ShimHandle::open(&self.node_dir(instance))?.client()?;
        for mounted in client.ping()?.mounts.iter().filter(|m| m.device == device) {
            client.unmount(&mounted.target).map_err(|e| {
                let message = format!(
                    "{id} is in use at {} in {instance} ({e}); stop what uses it first",
                    mounted.target
                );
                conflict("IncorrectState", message)
            })?;
        }
        self.pool.unmount(&self.mountpoint(id))?;
        self.writes.ended(id);
        self.pool.detach(id)?;
        Ok(())
    }

    pub(crate) fn set_delete_on_termination(
        &self,
        instance: &InstanceId,
        devices: &[String],
        value: bool,
    ) -> Answer {
        self.state.change(|table| {
            let mut row = running(table, instance)?;
            for device in devices {
                let found = row.fact.attachments.iter_mut().find(|a| &a.device == device);
                let Some(attachment) = found else {
                    let message = format!("{instance} has no volume under {device}");
                    return Err(refused("InvalidInstanceAttributeValue", message));
                };
                attachment.delete_on_termination = value;
            }
            table.put(&row)?;
            Ok::<_, CloudError>(Reply { facts: vec![row.fact()], gone: Vec::new() })
        })
    }
}

pub(crate) fn check_size(size_gib: u32) -> Result<(), CloudError> {
    if (1..=MAX_GIB).contains(&size_gib) {
        return Ok(());
    }
    let message = format!("a volume of {size_gib} GiB; 1 to {MAX_GIB} are allowed");
    Err(refused("InvalidParameterValue", message))
}

/// Marks a volume as held; true if it was already, settled.
fn begin_attachment(
    table: &Table<'_>,
    id: &VolumeId,
    instance: &InstanceId,
    device: &str,
) -> Result<bool, CloudError> {
    let volume: Option<VolumeRow> = table.get(id.as_str())?;
    let mut volume = volume.ok_or_else(|| not_found("InvalidVolume.NotFound", id.as_str()))?;
    let mut holder = running(table, instance)?;
    if let Some((other, name)) = &volume.fact.attached_to {
        if other == instance && name == device {
            return Ok(volume.fact.attachment_settled);
        }
        return Err(conflict(
            "VolumeInUse",
            format!("{id} is attached to {other} as {name}; detach it first"),
        ));
    }
    if volume.fact.state != VolumeState::Available {
        let message = format!("{id} is {:?}, not available", volume.fact.state);
        return Err(conflict("IncorrectState", message));
    }
    if volume.fact.zone != holder.fact.zone {
        let message = format!(
            "{id} is in {}, {instance} in {}; take a snapshot and create a volume from it there",
            volume.fact.zone, holder.fact.zone
        );
        return Err(refused("InvalidVolume.ZoneMismatch", message));
    }
    if holder.fact.attachments.iter().any(|a| a.device == device) {
        let message = format!("{device} is in use on {instance}; use another device name");
        return Err(refused("InvalidParameterValue", message));
    }
    let interfaces = table.interfaces_of(instance)?.len();
    if holder.fact.attachments.len() + interfaces >= ATTACHMENT_LIMIT as usize {
        let message = format!("{instance} takes no more than {ATTACHMENT_LIMIT} attachments");
        return Err(refused("AttachmentLimitExceeded", message));
    }
    volume.fact.state = VolumeState::InUse;
    volume.fact.attached_to = Some((instance.clone(), device.to_owned()));
    volume.fact.attachment_settled = false;
    holder.fact.attachments.push(Attachment {
        device: device.to_owned(),
        volume: id.clone(),
        delete_on_termination: false,
    });
    table.put(&volume)?;
    table.put(&holder)?;
    Ok(false)
}
