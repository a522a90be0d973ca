//! EC2's rules, a file for each kind of resource.

pub(crate) mod capacity;
mod gate;
mod images;
mod instances;
pub(crate) mod interfaces;
mod launch;
pub(crate) mod network;
mod snapshots;
mod tags;
pub(crate) mod throttle;
mod volumes;

use crate::refusal::refused;
use crate::world::World;
use holdfast_cloud::request;
use holdfast_model::{CloudError, Command, Reply, Time, Token};

/// What a call comes to.
pub(crate) type Answer = Result<Reply, CloudError>;

impl World {
    /// Carries out a command now. The second value is when the answer comes at the earliest, if
    /// the call itself takes time.
    pub(crate) fn carry_out(&mut self, command: &Command) -> (Answer, Option<Time>) {
        if let Err(wrong) = request::check(command) {
            return (Err(wrong), None);
        }
        let answer = match command {
            Command::Drain { instance, timeout_ms } => return self.drain(instance, *timeout_ms),
            Command::RunInstances(launch) => self.run_instances(command, launch),
            Command::Probe { market, .. } => self.probe(market),
            Command::TerminateInstances { instance } => self.terminate(instance),
            Command::SetDeleteOnTermination { instance, devices, value } => {
                self.set_delete_on_termination(instance, devices, *value)
            }
            Command::CreateVolume { .. } => self.create_volume(command),
            Command::DeleteVolume { volume } => self.delete_volume(volume),
            Command::AttachVolume { volume, instance, device } => {
                self.attach_volume(volume, instance, device)
            }
            Command::DetachVolume { volume, instance } => self.detach_volume(volume, instance),
            Command::CreateSnapshot { volume, tags } => self.create_snapshot(volume, tags),
            Command::CreateSnapshots { instance, exclude_boot, exclude, tags } => {
                self.create_snapshots(instance, *exclude_boot, exclude, tags)
            }
            Command::DeleteSnapshot { snapshot } => self.delete_snapshot(snapshot),
            Command::RegisterImage { name, snapshot, like, root_device, tags } => {
                self.register_image(name, snapshot, like, root_device, tags)
            }
            Command::DeregisterImage { image } => self.deregister_image(image),
            Command::CreateNetworkInterface { .. } => self.create_interface(command),
            Command::DeleteNetworkInterface { interface } => self.delete_interface(interface),
            Command::AttachNetworkInterface { interface, instance, device_index } => {
                self.attach_interface(interface, instance, *device_index)
            }
            Command::DetachNetworkInterface { interface, instance } => {
                self.detach_interface(interface, instance)
            }
            Command::AssociateAddress { allocation, interface, allow_reassociation } => {
                self.associate_address(allocation, interface, *allow_reassociation)
            }
            Command::DisassociateAddress { allocation, interface } => {
                self.disassociate_address(allocation, interface)
            }
            Command::CreateTags { resource, tags } => self.create_tags(resource, tags),
            Command::DeleteTags { resource, keys } => self.delete_tags(resource, keys),
            Command::OpenGate { instance, manifest, interface } => {
                self.open_gate(instance, manifest, interface.as_ref())
            }
        };
        (answer, None)
    }

    /// What an earlier call with this token made, if it was the same request (EC2 API reference,
    /// "Ensuring idempotency"). The zone is not compared: with another one the answer is what the
    /// token made before, where it lies.
    ///
    /// # Errors
    /// IdempotentParameterMismatch if it was another request.
    pub(crate) fn same_request(
        &self,
        command: &Command,
        token: &Token,
    ) -> Result<Option<String>, CloudError> {
        match self.tokens.get(&(command.action(), token.clone())) {
            None => Ok(None),
            Some((before, id)) if is_same(before, command) => Ok(Some(id.clone())),
            Some((_, id)) => {
                let message = format!(
                    "the token {token} made {id} by another request; use a new token for a new \
                     request"
                );
                Err(refused("IdempotentParameterMismatch", message))
            }
        }
    }

    /// Whether exactly this request has been carried out before.
    pub(crate) fn has_made(&self, command: &Command) -> bool {
        let token = match command {
            Command::RunInstances(launch) => &launch.token,
            Command::CreateVolume { token, .. } | Command::CreateNetworkInterface { token, .. } => {
                token
            }
            _ => return false,
        };
        matches!(self.same_request(command, token), Ok(Some(_)))
    }

    /// Remembers what a token made.
    pub(crate) fn remember(&mut self, command: &Command, token: &Token, id: &str) {
        let key = (command.action(), token.clone());
        self.tokens.insert(key, (command.clone(), id.to_owned()));
    }

    /// A success that shows these resources as they are now.
    pub(crate) fn showing(&self, ids: &[&str]) -> Answer {
        let facts = ids.iter().filter_map(|id| self.truly(id)).collect();
        Ok(Reply { facts, gone: Vec::new() })
    }
}

/// A success that says that something is gone.
pub(crate) fn gone(id: &str) -> Answer {
    Ok(Reply { facts: Vec::new(), gone: vec![id.to_owned()] })
}

/// Whether EC2 takes two requests with one token for the same: not every parameter is compared, and
/// the zone is none of those that are.
fn is_same(before: &Command, now: &Command) -> bool {
    match (before, now) {
        (Command::RunInstances(before), Command::RunInstances(now)) => {
            let mut there = now.clone();
            there.market.zone = before.market.zone.clone();
            there.market.subnet = before.market.subnet.clone();
            there == *before
        }
        (Command::CreateVolume { zone, .. }, Command::CreateVolume { .. }) => {
            let mut there = now.clone();
            if let Command::CreateVolume { zone: other, .. } = &mut there {
                *other = zone.clone();
            }
            there == *before
        }
        _ => before == now,
    }
}
