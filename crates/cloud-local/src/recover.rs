//! Opening after the server was killed, or the host started again: what runs is adopted, what was
//! half made is finished or taken down, what belongs to nothing is given back.

use crate::cloud::Inner;
use crate::power::{INTERRUPTED, SELF_INITIATED};
use crate::refusal::LocalError;
use crate::rows::{Ending, InstanceRow, InterfaceRow, SnapshotRow, VolumeRow};
use holdfast_agent::{AgentError, ShimHandle};
use holdfast_model::facts::{InstanceState, SnapshotState, VolumeState};
use holdfast_model::{InstanceId, SnapshotId, VolumeId};
use std::collections::BTreeSet;

impl Inner {
    pub(crate) fn recover(&self) -> Result<(), LocalError> {
        let instances: Vec<InstanceRow> = self.state.look(|t| t.all())?;
        // Somebody may have killed a server that took snapshots, and what held the nodes for it.
        for held in instances.iter().flat_map(|row| &row.fact.attachments) {
            let target = self.mountpoint(&held.volume);
            if self.pool.is_mounted(&target)? {
                holdfast_agent::thaw(&target);
            }
        }
        for row in &instances {
            self.recover_instance(row)?;
        }
        let instances: Vec<InstanceRow> = self.state.look(|t| t.all())?;
        self.recover_volumes()?;
        self.recover_interfaces(&instances)?;
        self.recover_snapshots()?;
        self.give_back_strays(&instances)
    }

    fn recover_instance(&self, row: &InstanceRow) -> Result<(), LocalError> {
        let id = &row.fact.id;
        match row.fact.state {
            InstanceState::Terminated => return Ok(()),
            InstanceState::Running => {
                let overdue = row.fact.interruption_at.is_some_and(|at| at <= crate::cloud::now());
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
                self.begin_ending(id, Ending::Clean, SELF_INITIATED)?;
            }
            InstanceState::Pending => {
                self.give_up(id, "Server.InternalError: the server ended while it was made")?;
            }
            // Its processes may take their time: the keeper waits for them.
            _ if row.ending == Some(Ending::Clean) => return Ok(()),
            _ => {}
        }
        if let Err(e) = self.finish(id) {
            // The keeper goes on with it; one instance must not keep the others from being seen.
            tracing::warn!(instance = %id, error = %e, "an instance could not be taken down yet");
        }
        Ok(())
    }

    fn lives(&self, id: &InstanceId) -> Result<bool, LocalError> {
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
                VolumeState::Deleting => self.complete_deletion(&id)?,
                // An attachment or detachment that was under way: attaching is repeated, so that
                // the same command finds what it asked for.
                VolumeState::InUse if !row.fact.attachment_settled => {
                    self.pool.attach(&id)?;
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

    /// A snapshot that was being taken: its command was never answered, so it never was.
    fn recover_snapshots(&self) -> Result<(), LocalError> {
        let rows: Vec<SnapshotRow> = self.state.look(|t| t.all())?;
        for row in rows.iter().filter(|r| r.fact.state == SnapshotState::Pending) {
            let id = &row.fact.id;
            self.pool.delete_snapshot(id)?;
            self.state.change(|table| table.delete::<SnapshotRow>(id.as_str()))?;
        }
        Ok(())
    }

    /// Devices, mounts, networks and images that no row accounts for. Only the newest state of
    /// the rows is trusted here, so this comes last.
    fn give_back_strays(&self, instances: &[InstanceRow]) -> Result<(), LocalError> {
        let held: BTreeSet<&str> =
            instances.iter().flat_map(|i| &i.fact.attachments).map(|a| a.volume.as_str()).collect();
        let found = self.pool.inventory()?;
        for id in found.volumes.iter().filter(|id| !held.contains(id.as_str())) {
            let volume = VolumeId(id.clone());
            self.pool.unmount(&self.mountpoint(&volume))?;
            self.pool.detach(&volume)?;
            let known = self.state.look(|t| t.get::<VolumeRow>(id))?.is_some();
            if !known {
                // Never deleted by a guess: an image that no row names may be all that is left
                // of a memory that was restored from an old copy.
                tracing::warn!(volume = %id, "an image that the local cloud does not know is kept");
            }
        }
        for id in &found.snapshots {
            let known = self.state.look(|t| t.get::<SnapshotRow>(id))?.is_some();
            if !known {
                // Its row goes first when it is deleted: this is the rest of a deletion.
                self.pool.delete_snapshot(&SnapshotId(id.clone()))?;
            }
        }
        let running: BTreeSet<&str> = instances
            .iter()
            .filter(|i| i.fact.state != InstanceState::Terminated)
            .map(|i| i.fact.id.as_str())
            .collect();
        for name in crate::network::inventory(&self.dir)?.nodes {
            if !running.contains(name.as_str()) {
                self.fabric.unplug(&name)?;
            }
        }
        Ok(())
    }
}
