//! What is done inside a running node: draining it and opening its gate.

use crate::host::Inner;
use crate::interfaces;
use crate::lookup;
use crate::lookup::running;
use crate::refusal::{LocalError, conflict, refused};
use crate::requests::Answer;
use crate::rows::{InstanceRow, InterfaceRow, Row, VolumeRow};
use crate::state::Table;
use holdfast_agent::{ManifestEntry, SCRIPT_TIMEOUT_MAX_MS, ShimHandle};
use holdfast_model::command::Mount;
use holdfast_model::facts::Health;
use holdfast_model::{CloudError, InstanceId, InterfaceId, Reply};

impl Inner {
    pub(crate) fn drain(&self, id: &InstanceId, timeout_ms: u64) -> Answer {
        let row = self.state.look(|table| running(table, id))?;
        if row.fact.drained {
            return Ok(Reply { facts: vec![row.fact()], gone: Vec::new() });
        }
        if let Some(why) = self.silence_of(id) {
            tracing::warn!(instance = %id, %why, "a node that does not answer is not drained");
            return self.update_running(id, |row| row.fact.drained = true);
        }
        // Not under the instance's lock: an interruption must not wait for a script.
        let mut client = ShimHandle::open(&self.node_dir(id))
            .and_then(|handle| handle.client())
            .map_err(LocalError::from)?;
        let outcome = client
            .run_shutdown_script(timeout_ms.min(SCRIPT_TIMEOUT_MAX_MS))
            .map_err(LocalError::from)?;
        tracing::info!(instance = %id, ?outcome, "drained");
        self.update_running(id, |row| row.fact.drained = true)
    }

    pub(crate) fn open_gate(
        &self,
        id: &InstanceId,
        manifest: &[Mount],
        interface: Option<&InterfaceId>,
    ) -> Answer {
        let _busy = self.busy(id);
        let known_by = self.state.look(|table| {
            running(table, id)?;
            for member in manifest {
                check_attached(table.get(member.volume.as_str())?, id, member)?;
            }
            interface.map(|interface| beside(table, interface, id)).transpose()
        })?;
        // Side by side: nothing is served meanwhile.
        std::thread::scope(|scope| {
            let renamed = known_by
                .as_ref()
                .map(|(index, row)| scope.spawn(|| self.make_known_by(id, *index, row)));
            let mounted: Result<(), LocalError> =
                manifest.iter().try_for_each(|m| self.mount_on_host(&m.volume).map(|_| ()));
            match renamed.map(std::thread::ScopedJoinHandle::join) {
                Some(Ok(renamed)) => renamed?,
                Some(Err(_)) => {
                    return Err(conflict("InternalError", "giving the node its name failed").into());
                }
                None => {}
            }
            mounted
        })?;
        self.mount_and_open(id, manifest)?;
        self.update_running(id, |row| {
            row.known_by = known_by.map(|(index, _)| index);
            row.fact.health = Health::Ok;
        })
    }

    /// From here on the node's name, and what leaves it, has this interface's address; the primary
    /// one, which the instance had while it stood by, has none any more.
    fn make_known_by(
        &self,
        id: &InstanceId,
        index: u32,
        row: &InterfaceRow,
    ) -> Result<(), LocalError> {
        let link = self.link(row)?;
        self.fabric.make_first(id.as_str(), index, link.gateway)?;
        let mut client = ShimHandle::open(&self.node_dir(id))?.client()?;
        let mac = link.mac.to_string();
        client.known_by(link.private_ip, &mac, &interfaces::host_name(link.private_ip))?;
        Ok(())
    }

    fn mount_and_open(&self, id: &InstanceId, manifest: &[Mount]) -> Result<(), LocalError> {
        let mut client = ShimHandle::open(&self.node_dir(id))?.client()?;
        let mut entries = Vec::new();
        // What is mounted below another volume comes after it, or that one would hide it.
        let mut members: Vec<&Mount> = manifest.iter().collect();
        members.sort_by(|a, b| a.target.cmp(&b.target));
        for member in members {
            let source = self.mount_on_host(&member.volume)?;
            let found = self.pool.volume(&member.volume)?.and_then(|info| info.fs_uuid);
            let fs_uuid = match (&member.fs_uuid, found) {
                (Some(wanted), Some(found)) if *wanted != found => {
                    let message = format!(
                        "{} holds the filesystem {found}, not {wanted} as before; it was changed \
                         from outside. Attach the right volume",
                        member.volume
                    );
                    return Err(refused("FilesystemMismatch", message).into());
                }
                (_, Some(found)) => found,
                (_, None) => {
                    let message = format!("{} has no filesystem", member.volume);
                    return Err(refused("FilesystemDoesNotMount", message).into());
                }
            };
            client.mount(&member.device, &source, &fs_uuid, &member.target)?;
            entries.push(ManifestEntry {
                device: member.device.clone(),
                fs_uuid,
                target: member.target.clone(),
            });
        }
        client.open_gate(&entries)?;
        Ok(())
    }

    fn update_running(&self, id: &InstanceId, change: impl FnOnce(&mut InstanceRow)) -> Answer {
        self.state.change(|table| {
            let mut row = running(table, id)?;
            change(&mut row);
            table.put(&row)?;
            Ok(Reply { facts: vec![row.fact()], gone: Vec::new() })
        })
    }
}

/// An interface that the instance holds beside its primary one, and its device index.
fn beside(
    table: &Table<'_>,
    id: &InterfaceId,
    instance: &InstanceId,
) -> Result<(u32, InterfaceRow), CloudError> {
    let row = lookup::interface(table, id)?;
    let here = row.fact.attached_to.as_ref() == Some(instance) && row.fact.attachment_settled;
    match row.fact.device_index.filter(|index| here && *index > 0) {
        Some(index) => Ok((index, row)),
        None => {
            let message =
                format!("{id} is not attached beside the primary interface of {instance}");
            Err(conflict("IncorrectState", message))
        }
    }
}

fn check_attached(
    volume: Option<VolumeRow>,
    instance: &InstanceId,
    member: &Mount,
) -> Result<(), CloudError> {
    let held = volume.as_ref().is_some_and(|v| {
        v.fact.attachment_settled
            && v.fact
                .attached_to
                .as_ref()
                .is_some_and(|(holder, device)| holder == instance && device == &member.device)
    });
    if held {
        return Ok(());
    }
    let message = format!(
        "{} is not attached to {instance} as {}; attach it first",
        member.volume, member.device
    );
    Err(conflict("IncorrectState", message))
}
