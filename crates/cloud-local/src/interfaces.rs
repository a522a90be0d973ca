//! CreateNetworkInterface, DeleteNetworkInterface, AttachNetworkInterface, DetachNetworkInterface,
//! and the links of an instance.

use crate::clock::now;
use crate::host::Inner;
use crate::ids::new_id;
use crate::lookup;
use crate::lookup::running;
use crate::network::{Interface, MAX_DEVICE_INDEX, MacAddress, Subnet, VpcLayout, first_free};
use crate::refusal::{LocalError, conflict, error, not_found, refused};
use crate::region;
use crate::requests::{Answer, request_hash, same_request};
use crate::rows::{InstanceRow, InterfaceRow, Row};
use crate::state::Table;
use crate::types::ATTACHMENT_LIMIT;
use holdfast_model::command::Launch;
use holdfast_model::facts::{InterfaceFact, InterfaceState};
use holdfast_model::tags::Tags;
use holdfast_model::{
    CloudError, Command, ErrorClass, InstanceId, InterfaceId, Market, Reply, SubnetId, Token, Zone,
};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;

impl Inner {
    pub(crate) fn create_interface(
        &self,
        command: &Command,
        token: &Token,
        subnet: &SubnetId,
        private_ip: Option<&str>,
        tags: &Tags,
    ) -> Answer {
        let request = request_hash(command)?;
        self.state.change(|table| {
            let row = match same_request(table, token, &request)? {
                Some(id) => {
                    let row: Option<InterfaceRow> = table.get(&id)?;
                    row.ok_or_else(|| not_found("InvalidNetworkInterfaceID.NotFound", &id))?
                }
                None => {
                    let zone = region::zone_of(subnet)
                        .ok_or_else(|| not_found("InvalidSubnetID.NotFound", subnet.as_str()))?;
                    let row = new_interface(table, &self.layout, &zone, private_ip, tags)?;
                    table.put_token(token.as_str(), &request, row.id(), now())?;
                    table.put(&row)?;
                    row
                }
            };
            Ok::<_, CloudError>(Reply { facts: vec![row.fact()], gone: Vec::new() })
        })
    }

    pub(crate) fn delete_interface(&self, id: &InterfaceId) -> Answer {
        self.strangers.check_free(id.as_str())?;
        let led = self.state.change(|table| {
            let row = table.get::<InterfaceRow>(id.as_str())?;
            if let Some(holder) = row.as_ref().and_then(|r| r.fact.attached_to.as_ref()) {
                let message = format!("{id} is attached to {holder}; terminate that first");
                return Err(conflict("InvalidParameterValue", message));
            }
            table.delete::<InterfaceRow>(id.as_str())?;
            Ok::<_, CloudError>(row.and_then(|r| r.fact.association))
        })?;
        if let Some(association) = led {
            self.lead_nowhere(&association.public_ip, None)?;
        }
        Ok(Reply { facts: Vec::new(), gone: vec![id.to_string()] })
    }

    /// Gives an instance's node its network; the path of its namespace.
    pub(crate) fn plug(
        &self,
        instance: &InstanceId,
        row: &InterfaceRow,
    ) -> Result<PathBuf, LocalError> {
        let path = self.fabric.plug(instance.as_str(), &self.link(row)?)?.path().to_owned();
        self.lead_here(instance, row)?;
        Ok(path)
    }

    /// An interface as the fabric makes it.
    pub(crate) fn link(&self, row: &InterfaceRow) -> Result<Interface, LocalError> {
        let subnet = subnet(&self.layout, &row.fact.zone)?;
        let broken = || {
            let message = format!(
                "{} has the address {} and the MAC {}, which cannot be read",
                row.fact.id, row.fact.private_ip, row.fact.mac
            );
            refused("InvalidParameterValue", message)
        };
        Ok(Interface {
            mac: row.fact.mac.parse().map_err(|_| broken())?,
            private_ip: row.fact.private_ip.parse().map_err(|_| broken())?,
            prefix: subnet.prefix(),
            gateway: subnet.gateway(),
        })
    }

    pub(crate) fn attach_interface(
        &self,
        id: &InterfaceId,
        instance: &InstanceId,
        device_index: u32,
    ) -> Answer {
        let _busy = self.busy(instance);
        self.strangers.check_free(id.as_str())?;
        let row = self.state.change(|table| begin(table, id, instance, device_index))?;
        if !row.fact.attachment_settled {
            let linked = self.link(&row).and_then(|link| {
                self.fabric.add_interface(instance.as_str(), device_index, &link)?;
                self.lead_here(instance, &row)
            });
            self.state.change(|table| {
                let Some(mut row) = table.get::<InterfaceRow>(id.as_str())? else { return Ok(()) };
                match &linked {
                    Ok(()) => row.fact.attachment_settled = true,
                    Err(_) => row.free(),
                }
                table.put(&row)
            })?;
            linked?;
        }
        self.facts_of(&[id.as_str()])
    }

    pub(crate) fn detach_interface(&self, id: &InterfaceId, instance: &InstanceId) -> Answer {
        let _busy = self.busy(instance);
        let held = self.state.change(|table| {
            let mut row = lookup::interface(table, id)?;
            let Some(holder) = &row.fact.attached_to else { return Ok(None) };
            if holder != instance {
                let message = format!("{id} is attached to {holder}, not to {instance}");
                return Err(refused("InvalidAttachmentID.NotFound", message));
            }
            let Some(index) = row.fact.device_index.filter(|index| *index > 0) else {
                let message =
                    format!("{id} is the primary interface of {instance}; terminate that instead");
                return Err(refused("OperationNotPermitted", message));
            };
            row.fact.attachment_settled = false;
            table.put(&row)?;
            Ok::<_, CloudError>(Some((index, row.fact.association)))
        })?;
        if let Some((index, association)) = held {
            self.fabric.remove_interface(instance.as_str(), index).map_err(LocalError::from)?;
            if let Some(association) = association {
                self.lead_nowhere(&association.public_ip, Some(instance))?;
            }
            self.state.change(|table| {
                let Some(mut row) = table.get::<InterfaceRow>(id.as_str())? else { return Ok(()) };
                row.free();
                table.put(&row)?;
                table.relabel_instance(instance.as_str())
            })?;
        }
        self.facts_of(&[id.as_str()])
    }

    /// Takes an instance's network away.
    pub(crate) fn unplug(&self, row: &InstanceRow) -> Result<(), LocalError> {
        Ok(self.fabric.unplug(row.fact.id.as_str())?)
    }

    /// Cuts an instance off.
    pub(crate) fn link_down(&self, row: &InstanceRow) -> Result<(), LocalError> {
        self.fabric.link_down(row.fact.id.as_str())?;
        Ok(())
    }
}

/// An interface for a launch, which dies with its instance.
pub(crate) fn make(
    table: &Table<'_>,
    layout: &VpcLayout,
    launch: &Launch,
    instance: &InstanceId,
) -> Result<InterfaceRow, CloudError> {
    let mut row =
        new_interface(table, layout, &launch.market.zone, None, launch.own_interface_tags())?;
    hold(&mut row, instance, 0);
    Ok(row)
}

/// A kept interface for a launch: it must be free and in the market's zone.
pub(crate) fn take(
    table: &Table<'_>,
    id: &InterfaceId,
    market: &Market,
    instance: &InstanceId,
) -> Result<InterfaceRow, CloudError> {
    let mut row = lookup::interface(table, id)?;
    if let Some(holder) = &row.fact.attached_to {
        let message = format!("{id} is attached to {holder}; terminate that first");
        return Err(conflict("InvalidNetworkInterface.InUse", message));
    }
    if row.fact.zone != market.zone {
        let message = format!(
            "{id} lies in {}, the launch asks for {}; launch in that zone, or with another \
             interface",
            row.fact.zone, market.zone
        );
        return Err(refused("InvalidParameterCombination", message));
    }
    hold(&mut row, instance, 0);
    Ok(row)
}

/// An interface for a running instance; settled if it is there already.
fn begin(
    table: &Table<'_>,
    id: &InterfaceId,
    instance: &InstanceId,
    device_index: u32,
) -> Result<InterfaceRow, CloudError> {
    let mut row = lookup::interface(table, id)?;
    let holder = running(table, instance)?;
    if let Some(other) = &row.fact.attached_to {
        if other == instance && row.fact.device_index == Some(device_index) {
            return Ok(row);
        }
        let message = format!("{id} is attached to {other}; detach it first");
        return Err(conflict("InvalidNetworkInterface.InUse", message));
    }
    if row.fact.zone != holder.fact.zone {
        let message = format!(
            "{id} lies in {}, {instance} in {}; use an interface of that zone",
            row.fact.zone, holder.fact.zone
        );
        return Err(refused("InvalidParameterCombination", message));
    }
    let others = table.interfaces_of(instance)?;
    let taken = others.iter().any(|i| i.fact.device_index == Some(device_index));
    if taken || !(1..=MAX_DEVICE_INDEX).contains(&device_index) {
        let message = format!(
            "the device index {device_index} of {instance} is taken, or not 1 to {MAX_DEVICE_INDEX}"
        );
        return Err(refused("InvalidParameterValue", message));
    }
    if holder.fact.attachments.len() + others.len() >= ATTACHMENT_LIMIT as usize {
        let message = format!("{instance} takes no more than {ATTACHMENT_LIMIT} attachments");
        return Err(refused("AttachmentLimitExceeded", message));
    }
    hold(&mut row, instance, device_index);
    row.fact.attachment_settled = false;
    table.put(&row)?;
    Ok(row)
}

fn hold(row: &mut InterfaceRow, instance: &InstanceId, device_index: u32) {
    row.fact.state = InterfaceState::InUse;
    row.fact.attached_to = Some(instance.clone());
    row.fact.device_index = Some(device_index);
}

fn subnet(layout: &VpcLayout, zone: &Zone) -> Result<Subnet, CloudError> {
    layout.subnet_of(zone.as_str()).ok_or_else(|| {
        refused("InvalidSubnetID.NotFound", format!("the zone {zone} has no subnet"))
    })
}

fn new_interface(
    table: &Table<'_>,
    layout: &VpcLayout,
    zone: &Zone,
    private_ip: Option<&str>,
    tags: &Tags,
) -> Result<InterfaceRow, CloudError> {
    let subnet = subnet(layout, zone)?;
    // An interface without a row keeps its address for when it is taken up again.
    let labelled = table.labels().addresses();
    let rows = table.all::<InterfaceRow>()?.into_iter().map(|row| row.fact.private_ip);
    let used: BTreeSet<Ipv4Addr> = rows.chain(labelled).filter_map(|ip| ip.parse().ok()).collect();
    let address = match private_ip {
        Some(text) => chosen(text, subnet, &used)?,
        None => first_free(subnet, &used).ok_or_else(|| {
            let message = format!("every address of {subnet} in {zone} is in use");
            error(ErrorClass::Quota, "InsufficientFreeAddressesInSubnet", message)
        })?,
    };
    let id = new_id("eni")?;
    Ok(InterfaceRow {
        fact: InterfaceFact {
            // By its address: whoever has talked to an earlier holder of the address finds it.
            mac: MacAddress::for_id(&address.to_string()).to_string(),
            id: InterfaceId(id),
            state: InterfaceState::Available,
            subnet: region::subnet_of(zone.as_str()),
            zone: zone.clone(),
            private_ip: address.to_string(),
            attached_to: None,
            device_index: None,
            attachment_settled: true,
            association: None,
            tags: tags.clone(),
        },
    })
}

/// An address that the request names.
fn chosen(text: &str, subnet: Subnet, used: &BTreeSet<Ipv4Addr>) -> Result<Ipv4Addr, CloudError> {
    let address: Ipv4Addr = text.parse().map_err(|_| {
        let message = format!("{text:?} is not an IPv4 address, such as 10.77.1.20");
        refused("InvalidParameterValue", message)
    })?;
    if !subnet.is_assignable(address) {
        let message = format!(
            "{address} cannot be had in {subnet} (the first four and the last are reserved)"
        );
        return Err(refused("InvalidParameterValue", message));
    }
    if used.contains(&address) {
        let message = format!("{address} is in use; choose another, or none");
        return Err(refused("InvalidIPAddress.InUse", message));
    }
    Ok(address)
}

/// EC2 user guide, "Instance hostname types": the IP-based name.
pub(crate) fn host_name(private_ip: Ipv4Addr) -> String {
    let [a, b, c, d] = private_ip.octets();
    format!("ip-{a}-{b}-{c}-{d}")
}
