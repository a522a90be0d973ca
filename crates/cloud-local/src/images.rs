//! Snapshots, and the images registered from them.

use crate::cloud::{Inner, new_id, now};
use crate::refusal::{conflict, not_found, refused};
use crate::rows::{ImageRow, Row, SnapshotRow, VolumeRow};
use crate::state::Table;
use crate::types;
use crate::volumes::{Answer, usable_snapshot};
use holdfast_model::facts::{ImageFact, ImageState, SnapshotFact, SnapshotState, VolumeState};
use holdfast_model::tags::Tags;
use holdfast_model::{CloudError, ImageId, Reply, SnapshotId, VolumeId};

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
            let row = SnapshotRow {
                fact: SnapshotFact {
                    id: SnapshotId(new_id("snap")?),
                    state: SnapshotState::Pending,
                    volume: volume.clone(),
                    started_at: now(),
                    tags,
                },
                size_gib: source.fact.size_gib,
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
            // The row goes first: an image without a row is removed at the next start, a row
            // without an image would be a promise that cannot be kept.
            table.delete::<SnapshotRow>(id.as_str())?;
            Ok::<_, CloudError>(())
        })?;
        self.pool.delete_snapshot(id)?;
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
