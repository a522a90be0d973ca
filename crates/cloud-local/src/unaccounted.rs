//! What lies in the data directory without a row in `cloud.db`, or with one that is damaged: shown,
//! taken up or removed, each by a person's word.

use crate::host::{Inner, LocalCloud};
use crate::refusal::{LocalError, conflict, refused};
use crate::region;
use crate::revive;
use crate::rows::{ImageRow, InterfaceRow, SnapshotRow, VolumeRow};
use crate::state::Table;
use holdfast_model::facts::{ResourceKind, SnapshotFact, SnapshotState, VolumeFact, VolumeState};
use holdfast_model::tags::{self, Tags};
use holdfast_model::{CloudError, InstanceId, SnapshotId, Time, VolumeId, Zone};
use serde::Serialize;

const GIB: u64 = 1 << 30;

/// What kind of thing has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thing {
    /// A volume.
    Volume,
    /// A snapshot.
    Snapshot,
    /// An image, registered from a snapshot.
    Image,
    /// An interface, and so an address.
    Interface,
    /// An Elastic IP.
    Address,
    /// A node that runs.
    Instance,
    /// The directory of a node that has ended.
    EndedInstance,
}

/// One thing that `cloud.db` does not account for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unaccounted {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub thing: Thing,
    /// The node whose it is, by its label.
    pub node_id: Option<String>,
    /// What is known of it, as a sentence.
    pub what: String,
    /// Whether it can be adopted as it is.
    pub adoptable: bool,
}

impl LocalCloud {
    /// Everything that `cloud.db` does not account for, by id. Blocks.
    ///
    /// # Errors
    /// What the host says.
    pub fn unaccounted(&self) -> Result<Vec<Unaccounted>, LocalError> {
        self.inner.heal()?;
        self.inner.look_for_strangers()?;
        let mut ids = self.inner.without_rows()?;
        ids.extend(self.inner.state.damaged().into_keys());
        Ok(ids.into_iter().map(|id| self.inner.describe(id)).collect())
    }

    /// Takes something up: it has a row from then on. What a running node holds comes with the node.
    /// `zone`: where a volume without a label is to lie. Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`], with what is missing.
    pub fn adopt_unaccounted(&self, id: &str, zone: Option<&Zone>) -> Result<(), LocalError> {
        let found = self.one_unaccounted(id)?;
        let inner = &self.inner;
        match found.thing {
            Thing::Instance => inner.adopt_instance(id)?,
            Thing::EndedInstance => {
                let message = format!("{id} has ended: there is nothing to take up; remove it");
                return Err(refused("IncorrectInstanceState", message).into());
            }
            _ => {
                inner.strangers.check_free(id)?;
                inner.adopt_thing(&found, zone)?;
            }
        }
        inner.state.is_sound_again(id);
        tracing::warn!(%id, "adopted by a person's word");
        Ok(())
    }

    /// Removes something, with its content. Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`] for a node that runs and what it holds, and for a snapshot that an image
    /// needs.
    pub fn remove_unaccounted(&self, id: &str) -> Result<(), LocalError> {
        let found = self.one_unaccounted(id)?;
        let inner = &self.inner;
        match found.thing {
            Thing::Instance => {
                let message = format!("{id} runs; adopt it, then terminate it");
                return Err(conflict("IncorrectInstanceState", message).into());
            }
            Thing::EndedInstance => {
                let dir = inner.node_dir(&InstanceId::from(id));
                let _no_shim = crate::node::end(&dir, id)?;
                std::fs::remove_dir_all(&dir).map_err(crate::refusal::io("deleting", &dir))?;
                inner.state.change(|table| table.give_up_row(id))?;
            }
            _ => {
                inner.strangers.check_free(id)?;
                if found.thing == Thing::Volume {
                    let volume = VolumeId::from(id);
                    inner.pool.unmount(&inner.mountpoint(&volume))?;
                    inner.pool.detach(&volume)?;
                }
                inner.state.change(|table| {
                    refuse_if_needed(table, id)?;
                    table.give_up_row(id)?;
                    table.put_gone(id, crate::clock::now())?;
                    Ok::<_, CloudError>(())
                })?;
                inner.finish_what_is_gone(false)?;
            }
        }
        inner.state.is_sound_again(id);
        tracing::warn!(%id, "removed by a person's word");
        Ok(())
    }

    fn one_unaccounted(&self, id: &str) -> Result<Unaccounted, LocalError> {
        let found = self.unaccounted()?.into_iter().find(|found| found.id == id);
        found.ok_or_else(|| {
            let message = format!(
                "{id} is accounted for, or is not here; `holdfast local unaccounted list` shows what \
                 is not accounted for"
            );
            refused("InvalidParameterValue", message).into()
        })
    }
}

/// A snapshot that an image was registered from stays.
fn refuse_if_needed(table: &Table<'_>, id: &str) -> Result<(), CloudError> {
    let images: Vec<ImageRow> = table.all()?;
    let user = images.iter().find(|i| i.fact.snapshot.as_ref().is_some_and(|s| s.as_str() == id));
    match user {
        Some(image) => {
            let message = format!("{id} is used by the image {}; deregister that", image.fact.id);
            Err(conflict("InvalidSnapshot.InUse", message))
        }
        None => Ok(()),
    }
}

impl Inner {
    fn describe(&self, id: String) -> Unaccounted {
        let label = self.state.labels().one(&id);
        let damaged = self.state.damaged().remove(&id);
        let node_id = label.as_ref().ok().and_then(|label| {
            let tags = label.as_ref()?.row.pointer("/fact/tags")?;
            tags.get(tags::NODE)?.as_str().map(str::to_owned)
        });
        let thing = match ResourceKind::of_id(&id) {
            Some(ResourceKind::Volume) => Thing::Volume,
            Some(ResourceKind::Snapshot) => Thing::Snapshot,
            Some(ResourceKind::Image) => Thing::Image,
            Some(ResourceKind::Interface) => Thing::Interface,
            Some(ResourceKind::Instance) if self.strangers.contains(&id) => Thing::Instance,
            Some(ResourceKind::Instance) => Thing::EndedInstance,
            None => Thing::Address,
        };
        let labelled = match &label {
            Ok(Some(_)) => "it has a label",
            Ok(None) => "it has no label: what it was for is not known",
            Err(_) => "its label is damaged: what it was for is not known",
        };
        let sound = matches!(label, Ok(Some(_)));
        let (what, adoptable) = match thing {
            Thing::Volume | Thing::Snapshot => match self.image_bytes(thing, &id) {
                Some(_) if self.strangers.holder(&id).is_some() => {
                    let holder = self.strangers.holder(&id).map(|h| h.0).unwrap_or_default();
                    (format!("held by {holder}, which runs; adopt that"), false)
                }
                Some(bytes) => {
                    let without_zone = sound || thing == Thing::Snapshot;
                    (format!("{} GiB, {labelled}", bytes.div_ceil(GIB)), without_zone)
                }
                None => ("its label is there, its image is not".to_owned(), false),
            },
            Thing::Instance => {
                let dir = self.node_dir(&InstanceId::from(id.as_str()));
                match revive::kept(&dir, &id) {
                    Ok(_) => ("a node that runs".to_owned(), true),
                    Err(why) => {
                        (format!("a node that runs, its label cannot be read ({why})"), false)
                    }
                }
            }
            Thing::EndedInstance => ("the directory of a node that has ended".to_owned(), false),
            Thing::Image | Thing::Interface | Thing::Address => (labelled.to_owned(), sound),
        };
        let what = match damaged {
            Some(why) => format!("its row is damaged ({why}); {what}"),
            None => what,
        };
        Unaccounted { id, thing, node_id, what, adoptable }
    }

    fn image_bytes(&self, thing: Thing, id: &str) -> Option<u64> {
        if thing == Thing::Volume {
            return Some(self.pool.volume(&VolumeId::from(id)).ok()??.size_bytes);
        }
        self.pool.snapshot_size(&SnapshotId::from(id)).ok()?
    }

    fn adopt_instance(&self, id: &str) -> Result<(), LocalError> {
        let instance = InstanceId::from(id);
        let _busy = self.busy(&instance);
        let kept = revive::kept(&self.node_dir(&instance), id).map_err(|why| {
            let message = format!("the label of {id} cannot be read ({why})");
            refused("IncorrectState", message)
        })?;
        self.state.change(|table| {
            table.give_up_row(id)?;
            revive::take_up(table, table.labels(), &kept)
        })?;
        self.strangers.remove(&instance);
        self.notify(&instance, None);
        Ok(())
    }

    fn adopt_thing(&self, found: &Unaccounted, zone: Option<&Zone>) -> Result<(), LocalError> {
        let id = found.id.as_str();
        let size = self.image_bytes(found.thing, id);
        let needs_image = matches!(found.thing, Thing::Volume | Thing::Snapshot);
        if needs_image && size.is_none() {
            let message =
                format!("{id} has no image: there is nothing to take up; remove its label");
            return Err(refused("InvalidVolume.NotFound", message).into());
        }
        self.state.change(|table| {
            if let Ok(Some(label)) = table.labels().one(id) {
                refuse_double(table, &label)?;
                table.give_up_row(id)?;
                if revive::restore(table, &label)? {
                    return Ok(());
                }
            }
            let size_gib =
                u32::try_from(size.unwrap_or_default().div_ceil(GIB)).unwrap_or(u32::MAX);
            table.give_up_row(id)?;
            match found.thing {
                Thing::Volume => table.put(&self.unlabelled_volume(id, size_gib, zone)?)?,
                Thing::Snapshot => table.put(&unlabelled_snapshot(id, size_gib))?,
                _ => {
                    let message =
                        format!("{id} has no label that can be read: it cannot be taken up");
                    return Err(refused("IncorrectState", message));
                }
            }
            Ok::<_, CloudError>(())
        })?;
        Ok(())
    }

    fn unlabelled_volume(
        &self,
        id: &str,
        size_gib: u32,
        zone: Option<&Zone>,
    ) -> Result<VolumeRow, CloudError> {
        let zone =
            zone.filter(|zone| region::zone_index(zone.as_str()).is_some()).ok_or_else(|| {
                let message = format!(
                    "{id} has no label: say with --zone where it is to lie, one of {}",
                    region::ZONES.join(", ")
                );
                refused("MissingParameter", message)
            })?;
        let id = VolumeId::from(id);
        let fs_uuid = self.pool.volume(&id).map_err(LocalError::from)?.and_then(|i| i.fs_uuid);
        Ok(VolumeRow {
            fact: VolumeFact {
                id,
                state: VolumeState::Available,
                zone: zone.clone(),
                size_gib,
                attached_to: None,
                attachment_settled: true,
                snapshot: None,
                fs_uuid,
                tags: Tags::new(),
            },
            blank_root: false,
        })
    }
}

fn unlabelled_snapshot(id: &str, size_gib: u32) -> SnapshotRow {
    SnapshotRow {
        fact: SnapshotFact {
            id: SnapshotId::from(id),
            state: SnapshotState::Completed,
            volume: VolumeId::from("vol-unknown"),
            started_at: Time(0),
            tags: Tags::new(),
        },
        size_gib,
        with: Vec::new(),
    }
}

/// What must be unique stays so: a name of an image, an address.
fn refuse_double(table: &Table<'_>, label: &crate::labels::Label) -> Result<(), CloudError> {
    if let Some(image) = label.read_row::<ImageRow>() {
        let other = table.all::<ImageRow>()?.into_iter().find(|i| i.fact.name == image.fact.name);
        if let Some(other) = other.filter(|other| other.fact.id != image.fact.id) {
            let message = format!("{} has the name {} already", other.fact.id, image.fact.name);
            return Err(refused("InvalidAMIName.Duplicate", message));
        }
    }
    if let Some(interface) = label.read_row::<InterfaceRow>() {
        let ip = &interface.fact.private_ip;
        let rows: Vec<InterfaceRow> = table.all()?;
        let same =
            |row: &&InterfaceRow| &row.fact.private_ip == ip && row.fact.id != interface.fact.id;
        if let Some(other) = rows.iter().find(same) {
            let message = format!("{} has the address {ip} already", other.fact.id);
            return Err(conflict("InvalidIPAddress.InUse", message));
        }
    }
    Ok(())
}
