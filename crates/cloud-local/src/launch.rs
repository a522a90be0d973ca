//! RunInstances: from a request to a node that runs, its gate closed.

use crate::clock::now;
use crate::host::Inner;
use crate::ids::new_id;
use crate::images::image;
use crate::interfaces;
use crate::lookup::usable_snapshot;
use crate::markets;
use crate::metadata_options;
use crate::refusal::{LocalError, conflict, io, refused};
use crate::region;
use crate::requests::{Answer, request_hash, same_request};
use crate::rows::{Ending, ImageRow, InstanceRow, InterfaceRow, Row, VolumeRow};
use crate::state::Table;
use crate::storage::StorageError;
use crate::types;
use crate::volumes::check_size;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_agent::{Limits, NodeConfig, SHUTDOWN_SCRIPT_MAX_BYTES, USER_DATA_MAX_BYTES};
use holdfast_model::command::Launch;
use holdfast_model::facts::{
    Attachment, Health, ImageState, InstanceFact, InstanceState, VolumeFact, VolumeState,
};
use holdfast_model::{CloudError, Command, InstanceId, Lifecycle, Reply, VolumeId, tags};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// The size of the root volume of `ami-host`, in GiB, if the request does not say.
const ROOT_GIB: u32 = 8;
/// How long a stop waits for a node's processes, in milliseconds, unless the server says
/// otherwise.
const STOP_TIMEOUT_MS: u64 = 30_000;

/// What a launch needs besides its instance.
struct Parts {
    /// The request, with user data and script, which are not kept.
    launch: Launch,
    instance: InstanceRow,
    root: VolumeRow,
    interface: InterfaceRow,
}

impl Inner {
    pub(crate) fn run_instances(&self, launch: Launch) -> Answer {
        let command = Command::RunInstances(Box::new(launch));
        let request = request_hash(&command)?;
        let Command::RunInstances(launch) = command else {
            return Err(refused("InvalidAction", "not a launch"));
        };
        self.pool.check_space("an instance")?;
        if let Some(kept) = &launch.interface {
            self.strangers.check_free(kept.as_str())?;
        }
        let parts = self.state.change(|table| {
            if let Some(id) = same_request(table, &launch.token, &request)? {
                return Ok::<_, CloudError>(Err(id));
            }
            let parts = self.plan_launch(table, &launch)?;
            table.put_token(launch.token.as_str(), &request, parts.instance.id(), now())?;
            table.put(&parts.root)?;
            table.put(&parts.interface)?;
            table.put(&parts.instance)?;
            Ok(Ok(parts))
        })?;
        let parts = match parts {
            Ok(parts) => parts,
            Err(id) => {
                let known = self.state.look(|t| t.get::<InstanceRow>(&id))?;
                // EC2 API reference, "Error codes": the token's instance has been terminated, whether
                // it is still shown or not.
                let over = InstanceState::Terminated;
                let row = known.filter(|row| row.fact.state != over).ok_or_else(|| {
                    let message = format!("{id} was launched with this token and is gone");
                    refused("IdempotentInstanceTerminated", message)
                })?;
                return Ok(Reply { facts: vec![row.fact()], gone: Vec::new() });
            }
        };
        self.start(&parts)
    }

    /// Starts the node; if that fails, everything of it is taken down and the instance is shown
    /// as terminated, as EC2 shows one that failed to start.
    fn start(&self, parts: &Parts) -> Answer {
        let id = &parts.instance.fact.id;
        let booted = {
            let _busy = self.busy(id);
            self.boot(parts).and_then(|()| Ok(self.now_running(id)?))
        };
        match booted {
            Ok(true) => {}
            // It was told to end while it started.
            Ok(false) => self.finish(id)?,
            Err(e) => {
                tracing::warn!(instance = %id, error = %e, "an instance did not start");
                let reason = match &e {
                    LocalError::Storage(storage) if storage.is_no_space() => {
                        format!("Server.InsufficientVolumeCapacity: {e}")
                    }
                    // What it was to start from is broken, not this host.
                    LocalError::Storage(StorageError::FilesystemDoesNotMount { .. }) => {
                        format!("Client.InternalError: {e}")
                    }
                    _ => format!("Server.InternalError: {e}"),
                };
                self.give_up(id, &reason)?;
                self.finish(id)?;
            }
        }
        self.facts_of(&[id.as_str(), parts.root.fact.id.as_str(), parts.interface.fact.id.as_str()])
    }

    /// Pending becomes running, unless it was told to end meanwhile.
    pub(crate) fn now_running(&self, id: &InstanceId) -> Result<bool, CloudError> {
        self.state.change(|table| {
            let Some(mut row) = table.get::<InstanceRow>(id.as_str())? else { return Ok(false) };
            if row.fact.state != InstanceState::Pending {
                return Ok(false);
            }
            row.fact.state = InstanceState::Running;
            for attachment in &row.fact.attachments {
                if let Some(mut volume) = table.get::<VolumeRow>(attachment.volume.as_str())? {
                    volume.fact.attachment_settled = true;
                    table.put(&volume)?;
                }
            }
            table.put(&row)?;
            Ok(true)
        })
    }

    /// A launch that failed: the root volume was never written by a node, so it goes as well.
    pub(crate) fn give_up(&self, id: &InstanceId, reason: &str) -> Result<(), CloudError> {
        self.state.change(|table| {
            let Some(mut row) = table.get::<InstanceRow>(id.as_str())? else { return Ok(()) };
            if row.fact.state == InstanceState::Terminated {
                return Ok(());
            }
            row.fact.state = InstanceState::ShuttingDown;
            row.fact.reason = Some(reason.to_owned());
            row.ending = Some(Ending::Cut);
            for attachment in &mut row.fact.attachments {
                if attachment.device == row.fact.root_device {
                    attachment.delete_on_termination = true;
                }
            }
            table.put(&row)?;
            Ok(())
        })
    }

    fn boot(&self, parts: &Parts) -> Result<(), LocalError> {
        let root = &parts.root.fact.id;
        let fs_uuid = self.make_image(&parts.root)?;
        self.state.change(|table| {
            let Some(mut row) = table.get::<VolumeRow>(root.as_str())? else { return Ok(()) };
            row.fact.state = VolumeState::InUse;
            row.fact.fs_uuid = fs_uuid;
            table.put(&row)
        })?;
        let root_mount = self.mount_on_host(root)?;
        if parts.root.blank_root {
            holdfast_agent::populate_root(&root_mount)?;
            // The skeleton must outlive a power cut: its mark says that it is whole.
            let opened = std::fs::File::open(&root_mount).map_err(io("opening", &root_mount))?;
            nix::unistd::syncfs(&opened)
                .map_err(|e| io("syncing", &root_mount)(std::io::Error::from(e)))?;
        }
        let netns = self.plug(&parts.instance.fact.id, &parts.interface)?;
        let config = self.node_config(parts, root_mount, netns)?;
        let _held = crate::node::making_groups();
        holdfast_agent::spawn(&self.shim_program, &config)?;
        Ok(())
    }

    /// Attaches a volume and mounts it where the host keeps it; where that is.
    pub(crate) fn mount_on_host(&self, volume: &VolumeId) -> Result<PathBuf, LocalError> {
        let target = self.mountpoint(volume);
        std::fs::create_dir_all(&target).map_err(io("creating", &target))?;
        self.pool.attach(volume)?;
        self.pool.mount(volume, &target, crate::storage::MountOptions::default())?;
        if let Some(count) = self.pool.written(&target)? {
            self.writes.mounted(volume, count);
        }
        Ok(target)
    }

    fn node_config(
        &self,
        parts: &Parts,
        root_mount: PathBuf,
        netns: PathBuf,
    ) -> Result<NodeConfig, LocalError> {
        let Parts { instance, interface, launch, .. } = parts;
        let fact = &instance.fact;
        let local = types::known(&fact.instance_type)?;
        let private_ip: Ipv4Addr = interface.fact.private_ip.parse().map_err(|_| {
            refused("InvalidParameterValue", format!("{} has no address", interface.fact.id))
        })?;
        let tag = |name: &str| fact.tags.get(name).cloned();
        Ok(NodeConfig {
            dir: self.node_dir(&fact.id),
            instance_id: fact.id.to_string(),
            node_id: tag(tags::NODE).unwrap_or_else(|| "none".to_owned()),
            generation: tag(tags::GENERATION).and_then(|g| g.parse().ok()).unwrap_or_default(),
            hostname: interfaces::host_name(private_ip),
            root_mount,
            netns,
            instance_type: fact.instance_type.clone(),
            lifecycle: match fact.lifecycle {
                Lifecycle::Spot => holdfast_agent::Lifecycle::Spot,
                Lifecycle::OnDemand => holdfast_agent::Lifecycle::OnDemand,
            },
            zone: fact.zone.to_string(),
            region: region::REGION.to_owned(),
            private_ip,
            mac: interface.fact.mac.clone(),
            image_id: fact.image.to_string(),
            user_data: decode("user data", launch.user_data.as_deref(), USER_DATA_MAX_BYTES)?,
            shutdown_script: shutdown_script(launch)?,
            limits: Limits {
                cpus: local.vcpus,
                memory_bytes: local.memory_mib << 20,
                pids_max: local.pids_max(),
            },
            tags: (*fact.tags).clone(),
            metadata: metadata_options::read(&launch.settings),
            stop_timeout_ms: STOP_TIMEOUT_MS,
        })
    }

    /// Checks a launch and lays out its rows. Nothing is made yet.
    fn plan_launch(&self, table: &Table<'_>, launch: &Launch) -> Result<Parts, CloudError> {
        let market = &launch.market;
        types::known(&market.instance_type)?;
        region::check_place(market)?;
        decode("user data", launch.user_data.as_deref(), USER_DATA_MAX_BYTES)?;
        shutdown_script(launch)?;
        let image = image(table, &launch.image)?;
        if image.fact.state != ImageState::Available {
            let message = format!("the image {} is not available yet", launch.image);
            return Err(conflict("InvalidAMIID.Unavailable", message));
        }
        markets::check_room(table, market)?;
        let id = InstanceId(new_id("i")?);
        let root = root_volume(table, launch, &image, &id)?;
        let asked = &root.fact;
        self.promise_volume(table, asked.size_gib, asked.snapshot.as_ref(), &asked.tags)?;
        let (interface, own_interface) = match &launch.interface {
            Some(kept) => (interfaces::take(table, kept, market, &id)?, false),
            None => (interfaces::make(table, &self.layout, launch, &id)?, true),
        };
        let fact = InstanceFact {
            id,
            state: InstanceState::Pending,
            reason: None,
            instance_type: market.instance_type.clone(),
            zone: market.zone.clone(),
            lifecycle: market.lifecycle,
            image: launch.image.clone(),
            launched_at: now(),
            private_ip: Some(interface.fact.private_ip.clone()),
            interface: Some(interface.fact.id.clone()),
            root_device: image.fact.root_device.clone(),
            attachments: vec![Attachment {
                device: image.fact.root_device,
                volume: root.fact.id.clone(),
                delete_on_termination: launch.root_delete_on_termination,
            }],
            health: Health::Initializing,
            health_why: None,
            no_successor: None,
            interruption_at: None,
            drained: false,
            tags: launch.tags.clone(),
        };
        let instance = InstanceRow {
            fact,
            launch: Launch { user_data: None, shutdown_script: None, ..launch.clone() },
            lasting_fault: None,
            own_interface,
            known_by: None,
            ending: None,
            ended_at: None,
        };
        Ok(Parts { launch: launch.clone(), instance, root, interface })
    }
}

fn root_volume(
    table: &Table<'_>,
    launch: &Launch,
    image: &ImageRow,
    instance: &InstanceId,
) -> Result<VolumeRow, CloudError> {
    let snapshot = image.fact.snapshot.clone();
    let mut size_gib = launch.root_size_gib;
    if let Some(id) = &snapshot {
        let least = usable_snapshot(table, id)?.size_gib;
        let asked = *size_gib.get_or_insert(least);
        if asked < least {
            let message = format!(
                "a root volume of {asked} GiB is smaller than its snapshot {id} of {least} GiB"
            );
            return Err(refused("InvalidBlockDeviceMapping", message));
        }
    }
    let size_gib = size_gib.unwrap_or(ROOT_GIB);
    check_size(size_gib)?;
    Ok(VolumeRow {
        fact: VolumeFact {
            id: VolumeId(new_id("vol")?),
            state: VolumeState::Creating,
            zone: launch.market.zone.clone(),
            size_gib,
            attached_to: Some((instance.clone(), image.fact.root_device.clone())),
            attachment_settled: false,
            fs_uuid: None,
            tags: launch.root_tags().clone(),
            snapshot: snapshot.clone(),
        },
        blank_root: snapshot.is_none(),
    })
}

/// The bytes of a base64 text (EC2 API reference, RunInstances: UserData is base64).
fn decode(what: &str, text: Option<&str>, limit: usize) -> Result<Vec<u8>, CloudError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let bytes = STANDARD.decode(text.trim()).map_err(|e| {
        refused("InvalidUserData.Malformed", format!("the {what} is not base64 ({e})"))
    })?;
    if bytes.len() > limit {
        let message = format!("the {what} has {} bytes; at most {limit} are allowed", bytes.len());
        return Err(refused("InvalidUserData.Malformed", message));
    }
    Ok(bytes)
}

fn shutdown_script(launch: &Launch) -> Result<Option<String>, CloudError> {
    let text = launch.shutdown_script.as_deref();
    let bytes = decode("shutdown script", text, SHUTDOWN_SCRIPT_MAX_BYTES)?;
    let script = String::from_utf8(bytes).map_err(|_| {
        refused("InvalidParameterValue", "the shutdown script is not text".to_owned())
    })?;
    Ok((!script.is_empty()).then_some(script))
}
