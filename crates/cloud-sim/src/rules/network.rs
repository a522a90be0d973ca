//! Interfaces that are attached to running instances and taken from them, and Elastic IPs.

use super::Answer;
use crate::events::Event;
use crate::latency::Latency;
use crate::refusal::{conflict, not_found, refused};
use crate::world::World;
use holdfast_model::facts::{Association, InstanceState, InterfaceState};
use holdfast_model::{AllocationId, CloudError, InstanceId, InterfaceId};

/// The first Elastic IP: addresses for documentation (RFC 5737, TEST-NET-3).
const FIRST_ADDRESS: [u8; 3] = [203, 0, 113];
/// EC2's usual quota is 5 for a region; this many have room in the range.
const MAX_ADDRESSES: usize = 250;

/// An Elastic IP of the account's.
#[derive(Debug, Clone)]
pub(crate) struct ElasticIp {
    pub public_ip: String,
    pub leads_to: Option<InterfaceId>,
}

impl World {
    /// AllocateAddress, as a user does it; `None` beyond the quota.
    pub(crate) fn allocate_address(&mut self) -> Option<AllocationId> {
        if self.elastic_ips.len() >= MAX_ADDRESSES {
            return None;
        }
        let [a, b, c] = FIRST_ADDRESS;
        let public_ip = format!("{a}.{b}.{c}.{}", self.elastic_ips.len() + 1);
        let id = AllocationId(self.new_id("eipalloc"));
        self.elastic_ips.insert(id.clone(), ElasticIp { public_ip, leads_to: None });
        Some(id)
    }

    pub(crate) fn attach_interface(
        &mut self,
        id: &InterfaceId,
        to: &InstanceId,
        device_index: u32,
    ) -> Answer {
        let fact = self.known_interface(id)?.fact.clone();
        let instance = self.known_instance(to)?;
        if let Some(holder) = &fact.attached_to {
            let same = holder == to && fact.device_index == Some(device_index);
            if same && !self.detaching.contains(id) {
                return self.showing(&[id.as_str()]);
            }
            let message = format!("{id} is attached to {holder}; detach it first");
            return Err(conflict("InvalidNetworkInterface.InUse", message));
        }
        match instance.fact.state {
            InstanceState::Running => {}
            InstanceState::Pending => {
                return Err(conflict("IncorrectState", format!("{to} does not run yet")));
            }
            other => {
                let message = format!("{to} is {other:?} and takes no interface any more");
                return Err(refused("IncorrectState", message));
            }
        }
        if fact.zone != instance.fact.zone {
            let message = format!("{id} lies in {}, {to} in {}", fact.zone, instance.fact.zone);
            return Err(refused("InvalidParameterCombination", message));
        }
        let taken = |other: &InterfaceId| {
            self.interfaces.get(other).is_some_and(|i| i.fact.device_index == Some(device_index))
        };
        if device_index == 0 || instance.secondary.iter().any(taken) {
            let message = format!("{to} has an interface at device index {device_index} already");
            return Err(refused("InvalidParameterValue", message));
        }
        let kind = self.config.instance_type(&instance.fact.instance_type);
        let limit = kind.map_or(u32::MAX, |k| k.offered.attachment_limit);
        if instance.fact.attachments.len() + 1 + instance.secondary.len() >= limit as usize {
            let message = format!("{to} holds {limit} volumes and interfaces already");
            return Err(refused("AttachmentLimitExceeded", message));
        }
        if let Some(instance) = self.instances.get_mut(to) {
            instance.secondary.push(id.clone());
        }
        if let Some(interface) = self.interface_mut(id) {
            interface.fact.state = InterfaceState::InUse;
            interface.fact.attached_to = Some(to.clone());
            interface.fact.device_index = Some(device_index);
            interface.fact.attachment_settled = false;
        }
        let subject = format!("{}/{device_index}", self.of_instance(to));
        let at = self.ends(Latency::InterfaceAttaching, &subject);
        self.events.add(at, Event::InterfaceAttached(id.clone(), to.clone()));
        self.showing(&[id.as_str()])
    }

    pub(crate) fn interface_attached(&mut self, id: &InterfaceId, to: &InstanceId) {
        let still = self
            .interfaces
            .get(id)
            .is_some_and(|i| i.fact.attached_to.as_ref() == Some(to) && !i.fact.attachment_settled);
        if still
            && !self.detaching.contains(id)
            && let Some(interface) = self.interface_mut(id)
        {
            interface.fact.attachment_settled = true;
        }
    }

    pub(crate) fn detach_interface(&mut self, id: &InterfaceId, from: &InstanceId) -> Answer {
        let fact = self.known_interface(id)?.fact.clone();
        let Some(holder) = &fact.attached_to else { return self.showing(&[id.as_str()]) };
        if holder != from {
            let message = format!("{id} is attached to {holder}, not to {from}");
            return Err(refused("InvalidAttachmentID.NotFound", message));
        }
        if fact.device_index == Some(0) {
            let message = format!("{id} is the primary interface of {from}; terminate that");
            return Err(refused("OperationNotPermitted", message));
        }
        if self.detaching.insert(id.clone()) {
            if let Some(interface) = self.interface_mut(id) {
                interface.fact.attachment_settled = false;
            }
            let index = fact.device_index.unwrap_or_default();
            let subject = format!("{}/{index}", self.of_instance(from));
            let at = self.ends(Latency::InterfaceDetaching, &subject);
            self.events.add(at, Event::InterfaceDetached(id.clone(), from.clone()));
        }
        self.showing(&[id.as_str()])
    }

    /// An instance has let go of an interface.
    pub(crate) fn free_interface(&mut self, id: &InterfaceId, from: &InstanceId) {
        self.detaching.remove(id);
        let held = |i: &crate::resources::Interface| i.fact.attached_to.as_ref() == Some(from);
        if !self.interfaces.get(id).is_some_and(held) {
            return;
        }
        if let Some(interface) = self.interface_mut(id) {
            interface.fact.state = InterfaceState::Available;
            interface.fact.attached_to = None;
            interface.fact.device_index = None;
            interface.fact.attachment_settled = true;
        }
        if let Some(instance) = self.instances.get_mut(from) {
            instance.secondary.retain(|i| i != id);
        }
    }

    fn known_address(&self, id: &AllocationId) -> Result<&ElasticIp, CloudError> {
        let code = "InvalidAllocationID.NotFound";
        self.elastic_ips.get(id).ok_or_else(|| not_found(code, id.as_str()))
    }

    pub(crate) fn associate_address(
        &mut self,
        id: &AllocationId,
        to: &InterfaceId,
        allow_reassociation: bool,
    ) -> Answer {
        let address = self.known_address(id)?.clone();
        let fact = &self.known_interface(to)?.fact;
        if let Some(holder) = &fact.attached_to
            && self.instances.get(holder).is_some_and(|i| i.fact.state == InstanceState::Pending)
        {
            // As EC2 says it: "The pending-instance-creation instance to which 'eni-…' is attached
            // is not in a valid state for this operation".
            let message = format!("{to} is attached to {holder}, which is still being launched");
            return Err(conflict("IncorrectInstanceState", message));
        }
        if address.leads_to.as_ref() == Some(to) {
            return self.showing(&[to.as_str()]);
        }
        let mut shown = vec![to.to_string()];
        if let Some(other) = &address.leads_to {
            if !allow_reassociation {
                let message = format!("{id} leads to {other}; disassociate it there first");
                return Err(refused("Resource.AlreadyAssociated", message));
            }
            shown.push(other.to_string());
            if let Some(other) = self.interface_mut(other) {
                other.fact.association = None;
            }
        }
        // EC2 API reference, AssociateAddress: an address that the interface had before leads
        // nowhere then.
        let before = fact_association(self, to);
        if let Some(before) = before.and_then(|a| self.elastic_ips.get_mut(&a.allocation)) {
            before.leads_to = None;
        }
        if let Some(address) = self.elastic_ips.get_mut(id) {
            address.leads_to = Some(to.clone());
        }
        if let Some(interface) = self.interface_mut(to) {
            let public_ip = address.public_ip;
            interface.fact.association = Some(Association { allocation: id.clone(), public_ip });
        }
        self.showing(&shown.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn disassociate_address(&mut self, id: &AllocationId, from: &InterfaceId) -> Answer {
        self.known_address(id)?;
        if let Some(address) = self.elastic_ips.get_mut(id)
            && address.leads_to.as_ref() == Some(from)
        {
            address.leads_to = None;
            if let Some(interface) = self.interface_mut(from) {
                interface.fact.association = None;
            }
        }
        self.showing(&[from.as_str()])
    }
}

fn fact_association(world: &World, id: &InterfaceId) -> Option<Association> {
    world.interfaces.get(id).and_then(|i| i.fact.association.clone())
}
