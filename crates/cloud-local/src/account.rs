//! Bringing the memory, its labels and what is on this host together when the server starts.
//!
//! **Invariant:** nothing is deleted, unmounted or detached because a row is missing. What was deleted
//! on purpose is remembered as gone; everything else without a row is set aside until a person adopts
//! or removes it (`unaccounted.rs`).

use crate::clock::now;
use crate::host::Inner;
use crate::labels::{Found, Label};
use crate::refusal::LocalError;
use crate::revive;
use crate::rows::{ImageRow, InstanceRow, InterfaceRow, Row, SnapshotRow, VolumeRow};
use crate::state::{StateError, Table};
use crate::strangers::Holds;
use holdfast_model::facts::{InstanceState, InterfaceState, ResourceKind, VolumeState};
use holdfast_model::time::HOUR;
use holdfast_model::{InstanceId, SnapshotId, VolumeId};
use std::collections::{BTreeMap, BTreeSet};

impl Inner {
    /// Puts right what can be put right without a guess; whether the memory is older than what is
    /// here.
    pub(crate) fn account(&self) -> Result<bool, LocalError> {
        self.finish_what_is_gone(false)?;
        self.heal()?;
        let found = self.state.labels().all().map_err(|e| self.state.label_error(e))?;
        let late = self.state.labels().are_late();
        self.state.change(|table| {
            agree::<VolumeRow>(table, &found, late)?;
            agree::<SnapshotRow>(table, &found, late)?;
            agree::<ImageRow>(table, &found, late)?;
            agree::<InterfaceRow>(table, &found, late)?;
            for (id, public_ip) in table.addresses()? {
                if !found.sound.contains_key(&id) {
                    table.put_address(&id, &public_ip)?;
                }
            }
            for row in table.all::<InstanceRow>()? {
                table.relabel_instance(row.id())?;
            }
            Ok::<_, StateError>(())
        })?;
        self.state.labels().are_in_time().map_err(|e| self.state.label_error(e))?;
        self.look_for_strangers()?;
        let aside = self.without_rows()?;
        for id in &aside {
            tracing::warn!(
                %id,
                "cloud.db does not account for it; it is set aside: holdfast local unaccounted list"
            );
        }
        Ok(!aside.is_empty())
    }

    /// Deletes what is left of what was deleted on purpose; `old`: forgets, too, what was deleted long
    /// ago.
    pub(crate) fn finish_what_is_gone(&self, old: bool) -> Result<(), LocalError> {
        let gone = self.state.look(|table| table.gone())?;
        let now = now();
        for (id, at) in gone {
            if old && now.since(at) < HOUR {
                continue;
            }
            let done = match ResourceKind::of_id(&id) {
                Some(ResourceKind::Volume) => self.pool.delete_volume(&VolumeId(id.clone())),
                Some(ResourceKind::Snapshot) => self.pool.delete_snapshot(&SnapshotId(id.clone())),
                _ => Ok(()),
            };
            if let Err(e) = done {
                tracing::warn!(%id, error = %e, "the rest of a deletion is done later");
                continue;
            }
            self.state.labels().remove(&id).map_err(|e| self.state.label_error(e))?;
            self.state.change(|table| table.forget_gone(&id))?;
        }
        Ok(())
    }

    /// Restores damaged rows from their labels, as far as these are sound. The others stay as they
    /// are: what they are about is shown as broken, and nothing of it is deleted.
    pub(crate) fn heal(&self) -> Result<(), LocalError> {
        let mut damaged = self.state.damaged();
        self.state.look(|table| {
            let stored = table.stored()?.into_iter();
            damaged.extend(stored.filter_map(|row| Some((row.id, row.fault?))));
            table.all::<InstanceRow>()?;
            table.all::<VolumeRow>()?;
            table.all::<SnapshotRow>()?;
            table.all::<ImageRow>()?;
            table.all::<InterfaceRow>()?;
            table.addresses()?;
            Ok::<_, StateError>(())
        })?;
        damaged.extend(self.state.damaged());
        // Instances first: they say who holds the rest.
        let (instances, others): (Vec<_>, Vec<_>) = damaged
            .into_keys()
            .partition(|id| ResourceKind::of_id(id) == Some(ResourceKind::Instance));
        for id in instances.into_iter().chain(others) {
            match self.heal_one(&id) {
                Ok(()) => {
                    self.state.is_sound_again(&id);
                    tracing::warn!(%id, "its damaged row was restored from its label");
                }
                Err(why) => tracing::error!(
                    %id, %why,
                    "its row is damaged and it has no sound label; it is left alone"
                ),
            }
        }
        Ok(())
    }

    fn heal_one(&self, id: &str) -> Result<(), String> {
        if ResourceKind::of_id(id) == Some(ResourceKind::Instance) {
            let kept = revive::kept(&self.node_dir(&InstanceId::from(id)), id)?;
            let put = self.state.change(|table| {
                table.give_up_row(id)?;
                table.put(&kept.row)
            });
            return put.map_err(|e| e.to_string());
        }
        let label = self.state.labels().one(id)?.ok_or("it has no label")?;
        let healed = self.state.change(|table| {
            table.give_up_row(id)?;
            if !revive::restore(table, &label)? {
                return Err(StateError::Row {
                    id: id.to_owned(),
                    why: "its label is not understood".to_owned(),
                });
            }
            self.hold_again(table, id)
        });
        healed.map_err(|e| e.to_string())
    }

    /// A row that was restored from its label knows again who holds it.
    fn hold_again(&self, table: &Table<'_>, id: &str) -> Result<(), StateError> {
        let instances: Vec<InstanceRow> = table.all()?;
        let live = |i: &&InstanceRow| i.fact.state != InstanceState::Terminated;
        for holder in instances.iter().filter(live) {
            let held = holder.fact.attachments.iter().find(|a| a.volume.as_str() == id);
            if let Some(attachment) = held
                && let Some(mut row) = table.get::<VolumeRow>(id)?
            {
                row.fact.state = VolumeState::InUse;
                row.fact.attached_to = Some((holder.fact.id.clone(), attachment.device.clone()));
                table.put(&row)?;
            }
            let kept = revive::kept(&self.node_dir(&holder.fact.id), holder.id());
            let index = kept.ok().and_then(|kept| {
                kept.interfaces.into_iter().find(|(eni, _)| eni.as_str() == id).map(|(_, n)| n)
            });
            if let Some(index) = index
                && let Some(mut row) = table.get::<InterfaceRow>(id)?
            {
                row.fact.state = InterfaceState::InUse;
                row.fact.attached_to = Some(holder.fact.id.clone());
                row.fact.device_index = Some(index);
                table.put(&row)?;
            }
        }
        Ok(())
    }

    /// Finds the nodes that live and have no sound row.
    pub(crate) fn look_for_strangers(&self) -> Result<(), LocalError> {
        let known: BTreeSet<String> = self.state.look(|table| {
            let rows = table.all::<InstanceRow>()?.into_iter();
            Ok::<_, StateError>(rows.map(|row| row.fact.id.to_string()).collect())
        })?;
        let mut found = BTreeMap::new();
        for node in revive::living(&self.dir.join("nodes"), &self.pool)? {
            if known.contains(node.id.as_str()) {
                continue;
            }
            let interfaces = node.kept.map(|kept| kept.interfaces).unwrap_or_default();
            let holds = Holds {
                volumes: node.volumes,
                interfaces: interfaces.into_iter().map(|(id, _)| id.to_string()).collect(),
                private_ip: node.private_ip,
            };
            found.insert(node.id, holds);
        }
        *self.strangers.lock() = found;
        Ok(())
    }

    /// Gives back the devices of nodes without a row that have ended meanwhile. Their images stay.
    pub(crate) fn let_strangers_go(&self) -> Result<(), LocalError> {
        for id in self.strangers.ids() {
            if self.lives(&id)? {
                continue;
            }
            let held = self.strangers.lock().get(&id).cloned().unwrap_or_default();
            crate::node::end(&self.node_dir(&id), id.as_str())?;
            self.fabric.unplug(id.as_str())?;
            for volume in held.volumes {
                let volume = VolumeId(volume);
                self.pool.unmount(&self.mountpoint(&volume))?;
                self.pool.detach(&volume)?;
            }
            self.strangers.remove(&id);
            tracing::warn!(instance = %id, "a node that cloud.db does not account for has ended");
        }
        Ok(())
    }

    /// The ids of all that is here without a row, images and instances first, and was not deleted on
    /// purpose.
    pub(crate) fn without_rows(&self) -> Result<BTreeSet<String>, LocalError> {
        let pool = self.pool.inventory()?;
        let labels = self.state.labels().all().map_err(|e| self.state.label_error(e))?;
        let labelled =
            labels.sound.into_values().filter(|label| label.kind != crate::state::MARKET);
        let mut here: BTreeSet<String> = pool.volumes.into_iter().chain(pool.snapshots).collect();
        here.extend(labelled.map(|label| label.id));
        here.extend(labels.damaged.into_keys().filter(|id| !id.starts_with("market-")));
        here.extend(revive::directories(&self.dir.join("nodes"))?);
        self.state.look(|table| {
            let (rows, gone) = (table.ids()?, table.gone()?);
            let addresses: BTreeSet<String> = table.address_ids()?.into_iter().collect();
            here.retain(|id| {
                !rows.contains(id) && !gone.contains_key(id) && !addresses.contains(id)
            });
            Ok::<_, StateError>(())
        })?;
        Ok(here)
    }
}

/// Makes rows and labels of a kind agree. A label that differs is the newer one, for it was written
/// first, unless some could not be written.
fn agree<T: Row + Clone>(table: &Table<'_>, found: &Found, late: bool) -> Result<(), StateError> {
    for row in table.all::<T>()? {
        let Some(own) = row.label() else { continue };
        let label: Option<T> = found.sound.get(row.id()).and_then(Label::read_row);
        let same = |label: &T| serde_json::to_value(label).ok() == serde_json::to_value(&own).ok();
        match label {
            Some(label) if same(&label) => {}
            Some(label) if !late => {
                tracing::warn!(id = %row.id(), "its label is newer than its row, which follows it");
                table.put(&row.held_as(label))?;
            }
            _ => table.put(&row)?,
        }
    }
    Ok(())
}
