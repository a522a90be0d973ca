//! CreateNetworkInterface, DeleteNetworkInterface, and an instance's link.

use crate::cloud::{Inner, new_id, now};
use crate::network::{Interface, MacAddress, Subnet, VpcLayout, first_free};
use crate::refusal::{LocalError, conflict, error, not_found, refused};
use crate::region;
use crate::rows::{InstanceRow, InterfaceRow, Row};
use crate::state::Table;
use crate::volumes::{Answer, request_text, same_request};
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
        let request = request_text(command)?;
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
        self.state.change(|table| {
            if let Some(row) = table.get::<InterfaceRow>(id.as_str())?
                && let Some(holder) = row.fact.attached_to
            {
                let message = format!("{id} is attached to {holder}; terminate that first");
                return Err(conflict("InvalidParameterValue", message));
            }
            table.delete::<InterfaceRow>(id.as_str())?;
            Ok::<_, CloudError>(())
        })?;
        Ok(Reply { facts: Vec::new(), gone: vec![id.to_string()] })
    }

    /// Gives an instance's node its network; the path of its namespace.
    pub(crate) fn plug(
        &self,
        instance: &InstanceId,
        row: &InterfaceRow,
    ) -> Result<PathBuf, LocalError> {
        let subnet = subnet(&self.layout, &row.fact.zone)?;
        let broken = || {
            let message = format!(
                "{} has the address {} and the MAC {}, which cannot be read",
                row.fact.id, row.fact.private_ip, row.fact.mac
            );
            refused("InvalidParameterValue", message)
        };
        let interface = Interface {
            mac: row.fact.mac.parse().map_err(|_| broken())?,
            private_ip: row.fact.private_ip.parse().map_err(|_| broken())?,
            prefix: subnet.prefix(),
            gateway: subnet.gateway(),
        };
        Ok(self.fabric.plug(instance.as_str(), &interface)?.path().to_owned())
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
    let mut row = new_interface(table, layout, &launch.market.zone, None, &launch.tags)?;
    row.fact.state = InterfaceState::InUse;
    row.fact.attached_to = Some(instance.clone());
    Ok(row)
}

/// A kept interface for a launch: it must be free and in the market's zone.
pub(crate) fn take(
    table: &Table<'_>,
    id: &InterfaceId,
    market: &Market,
    instance: &InstanceId,
) -> Result<InterfaceRow, CloudError> {
    let row: Option<InterfaceRow> = table.get(id.as_str())?;
    let mut row =
        row.ok_or_else(|| not_found("InvalidNetworkInterfaceID.NotFound", id.as_str()))?;
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
    row.fact.state = InterfaceState::InUse;
    row.fact.attached_to = Some(instance.clone());
    Ok(row)
}

pub(crate) fn free(row: &mut InterfaceRow) {
    row.fact.state = InterfaceState::Available;
    row.fact.attached_to = None;
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
    let used: BTreeSet<Ipv4Addr> = table
        .all::<InterfaceRow>()?
        .iter()
        .filter_map(|row| row.fact.private_ip.parse().ok())
        .collect();
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
            mac: MacAddress::for_id(&id).to_string(),
            id: InterfaceId(id),
            state: InterfaceState::Available,
            subnet: region::subnet_of(zone.as_str()),
            zone: zone.clone(),
            private_ip: address.to_string(),
            attached_to: None,
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
