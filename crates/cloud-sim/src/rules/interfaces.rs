//! Network interfaces and their addresses. Each zone's subnet is a /16.

use super::{Answer, gone};
use crate::config::{ZONES, zone_index};
use crate::refusal::{conflict, error, refused};
use crate::resources::Interface;
use crate::world::World;
use holdfast_model::facts::{InterfaceFact, InterfaceState};
use holdfast_model::tags::Tags;
use holdfast_model::{CloudError, Command, ErrorClass, InstanceId, InterfaceId, SubnetId, Zone};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The first four addresses of a subnet are the cloud's own (VPC user guide, "Subnet sizing").
const FIRST: u16 = 4;
/// The last one is its broadcast address.
const LAST: u16 = u16::MAX - 1;

/// Which addresses are taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addresses {
    taken: BTreeSet<(u8, u16)>,
    tried: [u16; ZONES.len()],
}

impl Addresses {
    /// The next free address of a zone's subnet; a freed one is not taken again soon.
    fn next(&mut self, zone: u8) -> Option<u16> {
        let tried = self.tried.get_mut(usize::from(zone))?;
        for _ in FIRST..=LAST {
            *tried = if *tried < FIRST || *tried >= LAST { FIRST } else { *tried + 1 };
            if self.taken.insert((zone, *tried)) {
                return Some(*tried);
            }
        }
        None
    }

    fn take(&mut self, zone: u8, host: u16) -> bool {
        self.taken.insert((zone, host))
    }
}

fn address(zone: u8, host: u16) -> String {
    let [high, low] = host.to_be_bytes();
    Ipv4Addr::new(10, zone, high, low).to_string()
}

/// The place of an address in its subnet, if it lies in there and is free for use.
fn host_of(zone: u8, text: &str) -> Option<u16> {
    let [ten, second, high, low] = text.parse::<Ipv4Addr>().ok()?.octets();
    let host = u16::from_be_bytes([high, low]);
    (ten == 10 && second == zone && (FIRST..=LAST).contains(&host)).then_some(host)
}

impl World {
    pub(crate) fn create_interface(&mut self, command: &Command) -> Answer {
        let Command::CreateNetworkInterface { token, subnet, private_ip, tags, .. } = command
        else {
            return Err(refused("InvalidAction", "not an interface's creation"));
        };
        if let Some(id) = self.same_request(command, token)? {
            return self.showing(&[&id]);
        }
        let id = self.make_interface(subnet, private_ip.as_deref(), tags.clone())?;
        self.remember(command, token, id.as_str());
        self.showing(&[id.as_str()])
    }

    pub(crate) fn make_interface(
        &mut self,
        subnet: &SubnetId,
        private_ip: Option<&str>,
        tags: Tags,
    ) -> Result<InterfaceId, CloudError> {
        let Some(zone) = zone_index(subnet) else {
            return Err(refused("InvalidSubnetID.NotFound", format!("there is no {subnet}")));
        };
        let host = match private_ip {
            Some(wanted) => {
                let Some(host) = host_of(zone, wanted) else {
                    let message = format!("{wanted} is no address of {subnet} (10.{zone}.0.0/16)");
                    return Err(refused("InvalidParameterValue", message));
                };
                if !self.addresses.take(zone, host) {
                    let message = format!("{wanted} is in use; choose another address");
                    return Err(refused("InvalidIPAddress.InUse", message));
                }
                host
            }
            None => self.addresses.next(zone).ok_or_else(|| {
                let message = format!("{subnet} has no free address; delete unused interfaces");
                error(ErrorClass::Quota, "InsufficientFreeAddressesInSubnet", message)
            })?,
        };
        let id = InterfaceId(self.new_id("eni"));
        let unique: String = id.as_str().chars().rev().take(10).collect();
        let mac = unique
            .as_bytes()
            .chunks(2)
            .fold("02".to_owned(), |mac, pair| format!("{mac}:{}", String::from_utf8_lossy(pair)));
        let fact = InterfaceFact {
            id: id.clone(),
            state: InterfaceState::Available,
            subnet: subnet.clone(),
            zone: Zone::from(ZONES[usize::from(zone)]),
            private_ip: address(zone, host),
            mac,
            attached_to: None,
            device_index: None,
            attachment_settled: true,
            association: None,
            tags,
        };
        self.interfaces.insert(id.clone(), Interface { fact: fact.into() });
        self.born(id.as_str());
        Ok(id)
    }

    pub(crate) fn delete_interface(&mut self, id: &InterfaceId) -> Answer {
        if self.veil.hides(id.as_str(), self.now) {
            self.check_known(id.as_str(), true, "InvalidNetworkInterfaceID.NotFound")?;
        }
        let holder = |i: &Interface| i.fact.attached_to.clone();
        let holder: Option<InstanceId> = self.interfaces.get(id).and_then(holder);
        if let Some(holder) = holder {
            let message = format!("{id} is in use by {holder}; terminate that first");
            return Err(conflict("InvalidNetworkInterface.InUse", message));
        }
        self.remove_interface(id);
        gone(id.as_str())
    }

    pub(crate) fn remove_interface(&mut self, id: &InterfaceId) {
        self.interface_mut(id);
        let Some(interface) = self.interfaces.remove(id) else { return };
        if let Some(association) = &interface.fact.association
            && let Some(address) = self.elastic_ips.get_mut(&association.allocation)
        {
            address.leads_to = None;
        }
        if let Some(zone) = zone_index(&interface.fact.subnet)
            && let Some(host) = host_of(zone, &interface.fact.private_ip)
        {
            self.addresses.taken.remove(&(zone, host));
        }
    }
}
