//! Opening after the server was killed, or the host started again: what runs is adopted, what was
//! half made is finished or taken down, what belongs to nothing is given back.

use crate::host::Inner;
use crate::power::{INTERRUPTED, SELF_INITIATED};
use crate::refusal::LocalError;
use crate::rows::{Ending, InstanceRow, InterfaceRow, SnapshotRow, VolumeRow};
use holdfast_agent::{AgentError, ShimHandle};
use holdfast_model::facts::{InstanceState, SnapshotState, VolumeState};
use holdfast_model::{InstanceId, SnapshotId, VolumeId};
use std::collections::BTreeSet;

impl Inner {
    pub(crate) fn recover(&self) -> Result<(), LocalError> {
        let older = self.account()?;
        let instances: Vec<InstanceRow> = self.state.look(|t| t.all())?;
        // Somebody may have killed a server that took snapshots, and what held the nodes for it.
        for held in instances.iter().flat_map(|row| &row.fact.attachments) {
            let target = self.mountpoint(&held.volume);
            if self.pool.is_mounted(&target)? {
                holdfast_agent::thaw(&target);
            }
        }
        for row in &instances {
            self.recover_instance(row, older)?;
        }
        let instances: Vec<InstanceRow> = self.state.look(|t| t.all())?;
        self.recover_volumes()?;
        self.recover_interfaces(&instances)?;
        self.recover_snapshots()?;
        self.give_back_strays(&instances)
    }

    fn recover_instance(&self, row: &InstanceRow, older: bool) -> Result<(), LocalError> {
        let id = &row.fact.id;
        match row.fact.state {
            InstanceState::Terminated => return Ok(()),
            InstanceState::Running => {
                let overdue = row.fact.interruption_at.is_some_and(|at| at <= crate::clock::now());
                if overdue {
                    tracing::info!(instance = %id, reason = INTERRUPTED, "overdue");
                    return self.interrupt(id, None);
                }
                if self.lives(id)? {
                    tracing::info!(instance = %id, "adopted");
                    if let Some(at) = row.fact.interruption_at {
                        self.tell_node(id, at);
                    }
                    return Ok(());
                }
                if older {
                    self.keep_what_it_held(id)?;
                }
                self.begin_ending(id, Ending::Clean, SELF_INITIATED)?;
            }
            // The server ended between its start and the note of it; or the memory is older than the
            // node, which has served since. Either way it runs.
            InstanceState::Pending if self.lives(id)? => {
                self.settle_root(row)?;
                self.now_running(id)?;
                tracing::info!(instance = %id, "it had been started");
                return Ok(());
            }
            InstanceState::Pending => {
                self.give_up(id, "Server.InternalError: the server ended while it was made")?;
                if older {
                    self.keep_what_it_held(id)?;
                }
            }
            // Its processes may take their time: the keeper waits for them.
            _ if row.ending == Some(Ending::Clean) => return Ok(()),
            _ if older => self.keep_what_it_held(id)?,
            _ => {}
        }
        if let Err(e) = self.finish(id) {
            // The keeper goes on with it; one instance must not keep the others from being seen.
            tracing::warn!(instance = %id, error = %e, "an instance could not be taken down yet");
        }
        Ok(())
    }

    /// The root volume of an instance that was started has its image.
    fn settle_root(&self, row: &InstanceRow) -> Result<(), LocalError> {
        for attachment in &row.fact.attachments {
            let info = self.pool.volume(&attachment.volume)?;
            self.state.change(|table| {
                let Some(mut volume) = table.get::<VolumeRow>(attachment.volume.as_str())? else {
                    return Ok(());
                };
                volume.fact.state = VolumeState::InUse;
                volume.fact.fs_uuid = info.and_then(|info| info.fs_uuid);
                table.put(&volume)
            })?;
        }
        Ok(())
    }

    /// The memory is older than what is here: what it says would die with an instance may be what a
    /// later one has written to. It stays, and whoever knows better deletes it.
    fn keep_what_it_held(&self, id: &InstanceId) -> Result<(), LocalError> {
        self.state.change(|table| {
            let Some(mut row) = table.get::<InstanceRow>(id.as_str())? else { return Ok(()) };
            for attachment in &mut row.fact.attachments {
                if !self.pool.has_volume(&attachment.volume) {
                    continue;
                }
                attachment.delete_on_termination = false;
                let volume = table.get::<VolumeRow>(attachment.volume.as_str())?;
                if let Some(mut volume) = volume.filter(|v| v.fact.state == VolumeState::Creating) {
                    volume.fact.state = VolumeState::InUse;
                    table.put(&volume)?;
                }
            }
            tracing::warn!(instance = %id, "cloud.db is older than what is here: its volumes stay");
            table.put(&row)
        })?;
        Ok(())
    }

    pub(crate) fn lives(&self, id: &InstanceId) -> Result<bool, LocalError> {
        match ShimHandle::open(&self.node_dir(id)) {
            Ok(handle) => Ok(handle.is_alive()?),
            Err(AgentError::NotRunning { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn recover_volumes(&self) -> Result<(), LocalError> {
        let volumes: Vec<VolumeRow> = self.state.look(|t| t.all())?;
        for row in volumes {
            let id = row.fact.id.clone();
            match row.fact.state {
                VolumeState::Creating if row.fact.attached_to.is_none() => {
                    if let Err(e) = self.complete_volume(row) {
                        tracing::warn!(volume = %id, error = %e, "a volume was not made");
                    }
                }
                VolumeState::Deleting => {
                    if let Err(e) = self.complete_deletion(&id) {
                        tracing::warn!(volume = %id, error = %e, "it is deleted later");
                    }
                }
                // An attachment or detachment that was under way: attaching is repeated, so that
                // the same command finds what it asked for.
                VolumeState::InUse if !row.fact.attachment_settled => {
                    if let Err(e) = self.pool.attach(&id) {
                        // Its own row says so when it is asked for; the others go on.
                        tracing::warn!(volume = %id, error = %e, "it cannot be attached again");
                        continue;
                    }
                    self.state.change(|table| {
                        let mut row = row;
                        row.fact.attachment_settled = true;
                        table.put(&row)
                    })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An attachment or detachment that was under way is an attachment again, as for volumes; and
    /// Elastic IPs lead where they should.
    fn recover_interfaces(&self, instances: &[InstanceRow]) -> Result<(), LocalError> {
        let rows: Vec<InterfaceRow> = self.state.look(|t| t.all())?;
        for mut row in rows {
            let Some(holder) = row.fact.attached_to.clone() else { continue };
            let runs = |i: &&InstanceRow| i.fact.state == InstanceState::Running;
            if !instances.iter().filter(runs).any(|i| i.fact.id == holder) {
                continue;
            }
            if let Err(e) = self.recover_interface(&holder, &mut row) {
                // One instance must not keep the others from being seen: it ends like one whose
                // host has failed.
                tracing::warn!(instance = %holder, interface = %row.fact.id, error = %e, "cut off");
                let reason = "Server.InternalError: an interface could not be attached again";
                self.begin_ending(&holder, Ending::Cut, reason)?;
                if let Err(e) = self.finish(&holder) {
                    tracing::warn!(instance = %holder, error = %e, "it is taken down later");
                }
            }
        }
        Ok(())
    }

    fn recover_interface(
        &self,
        holder: &InstanceId,
        row: &mut InterfaceRow,
    ) -> Result<(), LocalError> {
        if let (false, Some(index)) = (row.fact.attachment_settled, row.fact.device_index) {
            self.fabric.add_interface(holder.as_str(), index, &self.link(row)?)?;
            row.fact.attachment_settled = true;
            self.state.change(|table| table.put(row))?;
        }
        self.lead_here(holder, row)
    }

    /// A snapshot that was being taken: its command was never answered, so it never was. Unless it has
    /// its label, as all have that were taken with it: then it was complete, and the memory is older.
    fn recover_snapshots(&self) -> Result<(), LocalError> {
        let rows: Vec<SnapshotRow> = self.state.look(|t| t.all())?;
        for row in rows.iter().filter(|r| r.fact.state == SnapshotState::Pending) {
            let id = &row.fact.id;
            let labelled = |id: &SnapshotId| {
                matches!(self.state.labels().one(id.as_str()), Ok(Some(_)))
                    && self.pool.has_snapshot(id)
            };
            if labelled(id) && row.with.iter().all(labelled) {
                self.state.change(|table| match table.labels().one(id.as_str()) {
                    Ok(Some(label)) => crate::revive::restore(table, &label).map(|_| ()),
                    _ => Ok(()),
                })?;
                continue;
            }
            if let Err(e) = self.pool.delete_snapshot(id) {
                tracing::warn!(snapshot = %id, error = %e, "what was begun of it is deleted later");
                continue;
            }
            self.state.change(|table| table.delete::<SnapshotRow>(id.as_str()))?;
        }
        Ok(())
    }

    /// Devices, mounts and networks that no instance holds. Nothing is deleted here, and what a node
    /// without a row holds stays as it is. Only the newest state of the rows is trusted, so this comes
    /// last.
    fn give_back_strays(&self, instances: &[InstanceRow]) -> Result<(), LocalError> {
        let held: BTreeSet<&str> =
            instances.iter().flat_map(|i| &i.fact.attachments).map(|a| a.volume.as_str()).collect();
        let found = self.pool.inventory()?;
        for id in found.volumes.iter().filter(|id| !held.contains(id.as_str())) {
            if self.strangers.holder(id).is_some() {
                continue;
            }
            let volume = VolumeId(id.clone());
            let mountpoint = self.mountpoint(&volume);
            let given = self.pool.unmount(&mountpoint).and_then(|()| self.pool.detach(&volume));
            if let Err(e) = given {
                tracing::warn!(volume = %id, error = %e, "its device could not be given back");
            }
        }
        let running: BTreeSet<&str> = instances
            .iter()
            .filter(|i| i.fact.state != InstanceState::Terminated)
            .map(|i| i.fact.id.as_str())
            .collect();
        for name in crate::network::inventory(&self.dir)?.nodes {
            if running.contains(name.as_str()) || self.strangers.contains(&name) {
                continue;
            }
            if let Err(e) = self.fabric.unplug(&name) {
                tracing::warn!(instance = %name, error = %e, "its network could not be given back");
            }
        }
        Ok(())
    }
}
