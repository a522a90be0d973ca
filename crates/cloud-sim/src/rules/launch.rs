//! RunInstances.

use super::Answer;
use crate::config::zone_index;
use crate::events::Event;
use crate::faults::Class;
use crate::latency::Latency;
use crate::refusal::{conflict, not_found, refused};
use crate::resources::{Content, Image, Instance, Volume};
use crate::world::World;
use holdfast_model::command::Launch;
use holdfast_model::facts::{
    Attachment, Health, ImageFact, ImageState, InstanceFact, InstanceState, InterfaceState,
    VolumeFact, VolumeState,
};
use holdfast_model::{CloudError, Command, InstanceId, InterfaceId, Market, VolumeId};

impl Image {
    /// An image that is there from the start.
    pub(crate) fn offered(image: &crate::config::SimImage) -> Image {
        Image {
            fact: ImageFact {
                id: image.id.clone(),
                state: ImageState::Available,
                name: image.id.to_string(),
                snapshot: None,
                architecture: image.architecture.clone(),
                root_device: image.root_device.clone(),
                tags: <_>::default(),
            }
            .into(),
            root_gib: image.root_gib,
        }
    }
}

impl World {
    pub(crate) fn run_instances(&mut self, command: &Command, launch: &Launch) -> Answer {
        if let Some(id) = self.same_request(command, &launch.token)? {
            let id = InstanceId(id);
            // EC2 API reference, "Error codes": the token's instance has been terminated, whether it
            // is still shown or not.
            let over = InstanceState::Terminated;
            let Some(instance) = self.instances.get(&id).filter(|i| i.fact.state != over) else {
                let message = format!("{id} was launched with this token and is gone");
                return Err(refused("IdempotentInstanceTerminated", message));
            };
            let mut ids = vec![id.to_string()];
            ids.extend(instance.fact.attachments.iter().map(|a| a.volume.to_string()));
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            return self.showing(&ids);
        }
        let (image, vcpus) = self.check_launch(launch)?;
        let id = InstanceId(self.new_id("i"));
        let (interface, own_interface) = match &launch.interface {
            Some(kept) => (kept.clone(), false),
            None => {
                let made = self.make_interface(
                    &launch.market.subnet,
                    None,
                    launch.own_interface_tags().clone(),
                )?;
                (made, true)
            }
        };
        let private_ip = self.take_interface(&interface, &id);
        let root = self.make_root(launch, &image, &id);
        let fact = InstanceFact {
            id: id.clone(),
            state: InstanceState::Pending,
            reason: None,
            instance_type: launch.market.instance_type.clone(),
            zone: launch.market.zone.clone(),
            lifecycle: launch.market.lifecycle,
            image: launch.image.clone(),
            launched_at: self.now,
            private_ip,
            interface: Some(interface.clone()),
            root_device: image.fact.root_device.clone(),
            attachments: vec![Attachment {
                device: image.fact.root_device.clone(),
                volume: root.clone(),
                delete_on_termination: launch.root_delete_on_termination,
            }],
            health: Health::Initializing,
            health_why: None,
            no_successor: None,
            interruption_at: None,
            drained: launch.shutdown_script.is_none(),
            tags: launch.tags.clone(),
        };
        let instance = Instance {
            fact: fact.into(),
            vcpus,
            has_script: launch.shutdown_script.is_some(),
            launch: Some(launch.clone()),
            own_interface,
            secondary: Vec::new(),
            powered: true,
            answers_at: None,
            gate_open: false,
            draining: None,
            workload: None,
        };
        self.instances.insert(id.clone(), instance);
        self.born(id.as_str());
        self.remember(command, &launch.token, id.as_str());
        let runs_at =
            self.slowly(Class::SlowLaunch, Latency::Pending, &self.of_instance(&id), id.as_str());
        self.events.add(runs_at, Event::Runs(id.clone()));
        self.showing(&[id.as_str(), root.as_str(), interface.as_str()])
    }

    /// Every reason against a launch; capacity last, as at EC2.
    fn check_launch(&self, launch: &Launch) -> Result<(Image, u32), CloudError> {
        let market = &launch.market;
        let Some(kind) = self.config.instance_type(&market.instance_type) else {
            let message = format!("there is no instance type {}", market.instance_type);
            return Err(refused("InvalidInstanceType", message));
        };
        check_place(market)?;
        let image = self.known_image(&launch.image)?.clone();
        if image.fact.state != ImageState::Available {
            let message = format!("the image {} is not available yet", launch.image);
            return Err(conflict("InvalidAMIID.Unavailable", message));
        }
        if image.fact.architecture != kind.offered.architecture {
            let message = format!(
                "{} is of {}, {} of {}; use an instance type of the image's architecture",
                launch.image,
                image.fact.architecture,
                market.instance_type,
                kind.offered.architecture
            );
            return Err(refused("InvalidParameterValue", message));
        }
        if launch.root_size_gib.is_some_and(|gib| gib < image.root_gib) {
            let message = format!(
                "the root volume of {} needs at least {} GiB",
                launch.image, image.root_gib
            );
            return Err(refused("InvalidBlockDeviceMapping", message));
        }
        if let Some(id) = &launch.interface {
            self.check_interface(id, market)?;
        }
        self.check_capacity(market, kind.offered.vcpus)?;
        Ok((image, kind.offered.vcpus))
    }

    fn check_interface(&self, id: &InterfaceId, market: &Market) -> Result<(), CloudError> {
        let code = "InvalidNetworkInterfaceID.NotFound";
        let found = self.interfaces.get(id);
        self.check_known(id.as_str(), found.is_some(), code)?;
        let fact = &found.ok_or_else(|| not_found(code, id.as_str()))?.fact;
        if fact.zone != market.zone {
            let message = format!("{id} lies in {}, not in {}", fact.zone, market.zone);
            return Err(refused("InvalidParameterCombination", message));
        }
        if fact.state == InterfaceState::InUse {
            let message = format!("{id} is in use; wait until its instance is terminated");
            return Err(conflict("InvalidNetworkInterface.InUse", message));
        }
        Ok(())
    }

    fn take_interface(&mut self, id: &InterfaceId, instance: &InstanceId) -> Option<String> {
        let interface = self.interface_mut(id)?;
        interface.fact.state = InterfaceState::InUse;
        interface.fact.attached_to = Some(instance.clone());
        interface.fact.device_index = Some(0);
        // `attaching`, until the instance runs.
        interface.fact.attachment_settled = false;
        Some(interface.fact.private_ip.clone())
    }

    /// The root volume: what its image's snapshot holds, or blank under an image of the cloud's.
    fn make_root(&mut self, launch: &Launch, image: &Image, instance: &InstanceId) -> VolumeId {
        let snapshot = image.fact.snapshot.clone();
        let source = snapshot.as_ref().and_then(|s| self.snapshots.get(s)).cloned();
        let content = source.as_ref().map(|s| s.content.clone()).unwrap_or_default();
        let fs_uuid = match source.and_then(|s| s.fs_uuid) {
            Some(uuid) => uuid,
            None => self.new_uuid(),
        };
        let id = VolumeId(self.new_id("vol"));
        let fact = VolumeFact {
            id: id.clone(),
            state: VolumeState::InUse,
            zone: launch.market.zone.clone(),
            size_gib: launch.root_size_gib.unwrap_or(image.root_gib),
            attached_to: Some((instance.clone(), image.fact.root_device.clone())),
            attachment_settled: false,
            snapshot,
            fs_uuid: Some(fs_uuid),
            tags: launch.root_tags().clone(),
        };
        self.add_volume(fact, content);
        id
    }

    /// Adds a volume; a copy of somebody's content is one more holder of it.
    pub(crate) fn add_volume(&mut self, fact: VolumeFact, content: Content) {
        if let Some(owner) = &content.owner {
            self.truth.add_holder(owner, fact.id.as_str());
        }
        let id = fact.id.clone();
        let volume = Volume {
            fact: fact.into(),
            detaching: false,
            content,
            last_snapshot: None,
            snapshots_pending: 0,
        };
        self.volumes.insert(id.clone(), volume);
        self.born(id.as_str());
    }
}

/// A market's subnet must lie in its zone.
fn check_place(market: &Market) -> Result<(), CloudError> {
    let Some(index) = zone_index(&market.subnet) else {
        let message = format!("there is no subnet {}", market.subnet);
        return Err(refused("InvalidSubnetID.NotFound", message));
    };
    let zone = crate::config::ZONES[usize::from(index)];
    if zone == market.zone.as_str() {
        return Ok(());
    }
    let message = format!("{} lies in {zone}, not in {}", market.subnet, market.zone);
    Err(refused("InvalidParameterCombination", message))
}
