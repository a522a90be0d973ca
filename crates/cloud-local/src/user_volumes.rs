//! What people do with volumes of their own, as they would at EC2: make them, attach them to an
//! instance that runs, take them away; and tags.

use crate::host::{Inner, LocalCloud};
use crate::ids::new_id;
use crate::refusal::{LocalError, not_found, refused};
use crate::requests::Answer;
use crate::rows::{ImageRow, InstanceRow, InterfaceRow, Row, SnapshotRow, VolumeRow};
use crate::state::Table;
use crate::volumes::NewVolume;
use holdfast_agent::ShimHandle;
use holdfast_model::facts::{ResourceKind, VolumeFact};
use holdfast_model::spec::limits::{is_device, mount_mistake};
use holdfast_model::tags::{self, Tags};
use holdfast_model::{CloudError, Command, InstanceId, Reply, Spec, Token, VolumeId, Zone};

impl LocalCloud {
    /// Makes a volume that belongs to no node; `mount`: where it is to be mounted in a node that it
    /// is attached to. Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`] for a zone or size that there is not; otherwise what the host said.
    pub fn make_volume(
        &self,
        zone: &Zone,
        size_gib: u32,
        mount: Option<&str>,
    ) -> Result<VolumeFact, LocalError> {
        if mount.is_some_and(|m| !is_mount(m)) {
            let message = "a mount point is an absolute, normalised path that the node itself does \
                           not need, such as /srv/data";
            return Err(refused("InvalidParameterValue", message).into());
        }
        let tags: Tags =
            mount.map(|m| (tags::MOUNT.to_owned(), m.to_owned())).into_iter().collect();
        let token = Token(new_id("user")?);
        let command = Command::CreateVolume {
            token: token.clone(),
            zone: zone.clone(),
            size_gib,
            snapshot: None,
            settings: serde_json::Map::new(),
            tags: tags.clone(),
        };
        let new = NewVolume { token, zone: zone.clone(), size_gib, snapshot: None, tags };
        let reply = self.inner.create_volume(&command, new)?;
        let fact = reply.facts.into_iter().find_map(|fact| match fact {
            holdfast_model::facts::Fact::Volume(volume) => Some((*volume).clone()),
            _ => None,
        });
        fact.ok_or_else(|| refused("InternalError", "the new volume is not shown").into())
    }

    /// Every volume, by id. Blocks.
    ///
    /// # Errors
    /// [`LocalError::State`].
    pub fn volumes(&self) -> Result<Vec<VolumeFact>, LocalError> {
        let rows: Vec<VolumeRow> = self.inner.state.look(|table| table.all())?;
        Ok(rows.into_iter().map(|row| row.fact).collect())
    }

    /// Attaches a volume to an instance and mounts it in the node, as a person would; where.
    /// Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`] as EC2 refuses AttachVolume, and for a volume of a node.
    pub fn attach_by_hand(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        device: &str,
    ) -> Result<String, LocalError> {
        let inner = &self.inner;
        let row = inner.free_hand(volume)?;
        let target = row.fact.tags.get(tags::MOUNT).cloned();
        let target = target.unwrap_or_else(|| Spec::default_mount(device));
        let known = is_device(device);
        if !known {
            let message = format!("{device:?} is no device name, such as /dev/xvdf");
            return Err(refused("InvalidParameterValue", message).into());
        }
        inner.attach_volume(volume, instance, device)?;
        let mounted = {
            let _busy = inner.busy(instance);
            inner.show_in_node(volume, instance, device, &target)
        };
        if let Err(e) = mounted {
            // Attached and not to be seen would be neither here nor there.
            if let Err(second) = inner.detach_volume(volume, instance) {
                tracing::warn!(%volume, error = %second, "taking back an attachment");
            }
            return Err(e);
        }
        inner.notify(instance, None);
        Ok(target)
    }

    /// Takes a volume away from the instance that holds it. Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`] if it is in use, or the root.
    pub fn detach_by_hand(&self, volume: &VolumeId) -> Result<(), LocalError> {
        let row: Option<VolumeRow> = self.inner.state.look(|t| t.get(volume.as_str()))?;
        let row = row.ok_or_else(|| not_found("InvalidVolume.NotFound", volume.as_str()))?;
        let Some((instance, _)) = row.fact.attached_to else { return Ok(()) };
        self.inner.detach_volume(volume, &instance)?;
        self.inner.notify(&instance, None);
        Ok(())
    }

    /// Deletes a volume that is free and belongs to no node. Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`] otherwise.
    pub fn delete_by_hand(&self, volume: &VolumeId) -> Result<(), LocalError> {
        self.inner.free_hand(volume)?;
        self.inner.delete_volume(volume)?;
        Ok(())
    }
}

/// Absolute, and nothing in it leads elsewhere.
fn is_mount(path: &str) -> bool {
    mount_mistake(path).is_none()
}

impl Inner {
    /// A volume that belongs to no node.
    fn free_hand(&self, id: &VolumeId) -> Result<VolumeRow, LocalError> {
        let row: Option<VolumeRow> = self.state.look(|t| t.get(id.as_str()))?;
        let row = row.ok_or_else(|| not_found("InvalidVolume.NotFound", id.as_str()))?;
        if let Some(node) = row.fact.tags.get(tags::NODE) {
            let message = format!("{id} belongs to {node}; delete or change that node instead");
            return Err(refused("OperationNotPermitted", message).into());
        }
        Ok(row)
    }

    fn show_in_node(
        &self,
        volume: &VolumeId,
        instance: &InstanceId,
        device: &str,
        target: &str,
    ) -> Result<(), LocalError> {
        let source = self.mount_on_host(volume)?;
        let found = self.pool.volume(volume)?.and_then(|info| info.fs_uuid);
        let fs_uuid = found.ok_or_else(|| {
            refused("FilesystemDoesNotMount", format!("{volume} has no filesystem"))
        })?;
        let mut client = ShimHandle::open(&self.node_dir(instance))?.client()?;
        client.mount(device, &source, &fs_uuid, target)?;
        Ok(())
    }

    pub(crate) fn change_tags(&self, id: &str, change: impl FnOnce(&mut Tags)) -> Answer {
        fn of<T: Row>(
            table: &Table<'_>,
            id: &str,
            change: impl FnOnce(&mut Tags),
        ) -> Result<Reply, CloudError> {
            let row: Option<T> = table.get(id)?;
            let mut row = row.ok_or_else(|| not_found("InvalidID", id))?;
            change(row.tags());
            holdfast_cloud::request::check_count(row.tags().len())?;
            table.put(&row)?;
            Ok(Reply { facts: vec![row.fact()], gone: Vec::new() })
        }
        self.state.change(|table| match ResourceKind::of_id(id) {
            Some(ResourceKind::Instance) => of::<InstanceRow>(table, id, change),
            Some(ResourceKind::Volume) => of::<VolumeRow>(table, id, change),
            Some(ResourceKind::Snapshot) => of::<SnapshotRow>(table, id, change),
            Some(ResourceKind::Image) => of::<ImageRow>(table, id, change),
            Some(ResourceKind::Interface) => of::<InterfaceRow>(table, id, change),
            None => Err(not_found("InvalidID", id)),
        })
    }
}
