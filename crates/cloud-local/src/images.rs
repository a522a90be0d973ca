//! Snapshots, and the images registered from them.

use crate::clock::now;
use crate::host::Inner;
use crate::ids::new_id;
use crate::lookup::{running, usable_snapshot};
use crate::refusal::{LocalError, conflict, not_found, refused};
use crate::requests::Answer;
use crate::rows::{ImageRow, Row, SnapshotRow, VolumeRow};
use crate::state::Table;
use crate::types;
use holdfast_agent::{AgentError, STANDSTILL_MOST_MS, Standstill};
use holdfast_model::facts::{ImageFact, ImageState, SnapshotFact, SnapshotState, VolumeState};
use holdfast_model::tags::Tags;
use holdfast_model::{CloudError, ImageId, InstanceId, Reply, SnapshotId, Time, VolumeId};

/// The image that is always there: a blank root with the host's `/usr` below it.
pub const HOST_IMAGE: &str = "ami-host";
/// The device name of its root volume.
const ROOT_DEVICE: &str = "/dev/xvda";

/// The image of that id.
pub(crate) fn image(table: &Table<'_>, id: &ImageId) -> Result<ImageRow, CloudError> {
    if id.as_str() == HOST_IMAGE {
        return Ok(host_image());
    }
    let row: Option<ImageRow> = table.get(id.as_str())?;
    row.ok_or_else(|| {
        let message =
            format!("there is no image {id}; use {HOST_IMAGE} or one registered from a snapshot");
        refused("InvalidAMIID.NotFound", message)
    })
}

pub(crate) fn host_image() -> ImageRow {
    ImageRow {
        fact: ImageFact {
            id: ImageId::from(HOST_IMAGE),
            state: ImageState::Available,
            name: "host".to_owned(),
            snapshot: None,
            architecture: types::architecture().to_owned(),
            root_device: ROOT_DEVICE.to_owned(),
            tags: Tags::new(),
        },
    }
}

impl Inner {
    pub(crate) fn create_snapshot(&self, volume: &VolumeId, tags: Tags) -> Answer {
        let row = self.state.change(|table| {
            let source: Option<VolumeRow> = table.get(volume.as_str())?;
            let source =
                source.ok_or_else(|| not_found("InvalidVolume.NotFound", volume.as_str()))?;
            if !matches!(source.fact.state, VolumeState::Available | VolumeState::InUse) {
                let message = format!("{volume} is {:?}", source.fact.state);
                return Err(conflict("IncorrectState", message));
            }
            self.promise_snapshots(table, std::slice::from_ref(&source))?;
            let row = SnapshotRow {
                fact: SnapshotFact {
                    id: SnapshotId(new_id("snap")?),
                    state: SnapshotState::Pending,
                    volume: volume.clone(),
                    started_at: now(),
                    tags,
                },
                size_gib: source.fact.size_gib,
                with: Vec::new(),
            };
            table.put(&row)?;
            Ok::<_, CloudError>(row)
        })?;
        let id = row.fact.id.clone();
        let made = self.pool.create_snapshot(&id, volume);
        self.state.change(|table| {
            if made.is_err() {
                return table.delete::<SnapshotRow>(id.as_str());
            }
            let mut row = row;
            row.fact.state = SnapshotState::Completed;
            table.put(&row)
        })?;
        made?;
        self.facts_of(&[id.as_str()])
    }

    /// Of an instance's volumes, at one instant: all or none.
    pub(crate) fn create_snapshots(
        &self,
        instance: &InstanceId,
        exclude_boot: bool,
        exclude: &[VolumeId],
        tags: &Tags,
    ) -> Answer {
        let _busy = self.busy(instance);
        let rows = self.state.change(|table| {
            let holder = running(table, instance)?.fact;
            let (mut rows, mut sources) = (Vec::new(), Vec::new());
            for attachment in &holder.attachments {
                let boot = attachment.device == holder.root_device;
                if (boot && exclude_boot) || exclude.contains(&attachment.volume) {
                    continue;
                }
                let id = attachment.volume.as_str();
                let source: Option<VolumeRow> = table.get(id)?;
                let source = source.ok_or_else(|| not_found("InvalidVolume.NotFound", id))?;
                let row = SnapshotRow {
                    fact: SnapshotFact {
                        id: SnapshotId(new_id("snap")?),
                        state: SnapshotState::Pending,
                        volume: attachment.volume.clone(),
                        started_at: now(),
                        tags: tags.clone(),
                    },
                    size_gib: source.fact.size_gib,
                    with: Vec::new(),
                };
                rows.push(row);
                sources.push(source);
            }
            let all: Vec<SnapshotId> = rows.iter().map(|row| row.fact.id.clone()).collect();
            for row in &mut rows {
                row.with.clone_from(&all);
                table.put(row)?;
            }
            if rows.is_empty() {
                let message = format!("{instance} has no volume that is not left out");
                return Err(refused("InvalidParameterValue", message));
            }
            self.promise_snapshots(table, &sources)?;
            for row in &rows {
                table.put(row)?;
            }
            Ok::<_, CloudError>(rows)
        })?;
        let made = self.clone_together(&rows);
        self.state.change(|table| {
            for row in &rows {
                match &made {
                    Ok(at) => {
                        let mut row = row.clone();
                        row.fact.state = SnapshotState::Completed;
                        row.fact.started_at = *at;
                        table.put(&row)?;
                    }
                    Err(_) => table.delete::<SnapshotRow>(row.id())?,
                }
            }
            Ok::<_, CloudError>(())
        })?;
        if let Err(error) = made {
            for row in &rows {
                self.pool.delete_snapshot(&row.fact.id)?;
            }
            return Err(error.into());
        }
        let ids: Vec<&str> = rows.iter().map(Row::id).collect();
        self.facts_of(&ids)
    }

    /// Clones volumes while nothing can be written to any of them, and says when. One alone needs no
    /// standstill: a clone is of one instant anyway.
    fn clone_together(&self, rows: &[SnapshotRow]) -> Result<Time, LocalError> {
        let mut mounted = Vec::new();
        for row in rows {
            let target = self.mountpoint(&row.fact.volume);
            if self.pool.is_mounted(&target)? {
                mounted.push(target);
            }
        }
        let _turn = self.pool.turn_to_stand_still();
        let still = match mounted.len() {
            0 | 1 => None,
            _ => Some(Standstill::begin(&self.shim_program, &mounted).map_err(no_standstill)?),
        };
        let at = now();
        let made = rows
            .iter()
            .try_for_each(|row| self.pool.create_snapshot(&row.fact.id, &row.fact.volume));
        let held = still.map_or(Ok(true), Standstill::end).map_err(no_standstill)?;
        made?;
        tracing::debug!(volumes = rows.len(), ms = now().since(at), "copied at one instant");
        if !held {
            let message = format!(
                "copying {} volumes took longer than {STANDSTILL_MOST_MS} ms, and the node was not \
                 held up for longer: the copies would not be of one instant",
                rows.len()
            );
            return Err(refused("Server.Overloaded", message).into());
        }
        Ok(at)
    }

    pub(crate) fn delete_snapshot(&self, id: &SnapshotId) -> Answer {
        self.state.change(|table| {
            let user = table
                .all::<ImageRow>()?
                .into_iter()
                .find(|image| image.fact.snapshot.as_ref() == Some(id));
            if let Some(image) = user {
                let message =
                    format!("{id} is used by the image {}; deregister that first", image.fact.id);
                return Err(conflict("InvalidSnapshot.InUse", message));
            }
            // The row goes first, for a row without an image would be a promise that cannot be kept.
            // That it is gone is remembered: the rest of the deletion is done at the next start.
            table.delete::<SnapshotRow>(id.as_str())?;
            Ok::<_, CloudError>(())
        })?;
        self.pool.delete_snapshot(id)?;
        self.deletions.note();
        Ok(Reply { facts: Vec::new(), gone: vec![id.to_string()] })
    }

    pub(crate) fn register_image(
        &self,
        name: String,
        snapshot: SnapshotId,
        like: &ImageId,
        root_device: String,
        tags: Tags,
    ) -> Answer {
        self.state.change(|table| {
            let taken = table.all::<ImageRow>()?.into_iter().find(|i| i.fact.name == name);
            if let Some(other) = taken {
                let message = format!(
                    "the image {} has the name {name} already; names are unique",
                    other.fact.id
                );
                return Err(refused("InvalidAMIName.Duplicate", message));
            }
            usable_snapshot(table, &snapshot)?;
            let architecture = image(table, like)?.fact.architecture;
            let row = ImageRow {
                fact: ImageFact {
                    id: ImageId(new_id("ami")?),
                    state: ImageState::Available,
                    name,
                    snapshot: Some(snapshot),
                    architecture,
                    root_device,
                    tags,
                },
            };
            table.put(&row)?;
            Ok::<_, CloudError>(Reply { facts: vec![row.fact()], gone: Vec::new() })
        })
    }

    pub(crate) fn deregister_image(&self, id: &ImageId) -> Answer {
        if id.as_str() == HOST_IMAGE {
            let message = format!("{HOST_IMAGE} is part of the local cloud and stays");
            return Err(refused("AuthFailure", message));
        }
        self.state.change(|table| table.delete::<ImageRow>(id.as_str()))?;
        Ok(Reply { facts: Vec::new(), gone: vec![id.to_string()] })
    }
}

/// Nothing was copied: a definite answer, whatever the reason.
fn no_standstill(error: AgentError) -> CloudError {
    refused("Server.InternalError", error.to_string())
}
