//! Elastic IPs: an address of the VPC that is routed to a node. They are allocated and released by
//! people, as at EC2; nodes only have them lead somewhere.

use crate::host::{Inner, LocalCloud};
use crate::ids::new_id;
use crate::lookup;
use crate::network::first_free;
use crate::refusal::{LocalError, conflict, error, not_found, refused};
use crate::requests::Answer;
use crate::rows::{InstanceRow, InterfaceRow};
use holdfast_model::facts::{Association, InstanceState};
use holdfast_model::{AllocationId, CloudError, ErrorClass, InstanceId, InterfaceId};
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// An Elastic IP of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalAddress {
    /// What a spec names in `compute.elasticIp`.
    pub allocation_id: AllocationId,
    /// The address.
    pub public_ip: String,
    /// The interface that it leads to.
    pub network_interface_id: Option<InterfaceId>,
    /// The instance that holds the interface.
    pub instance_id: Option<InstanceId>,
}

impl LocalCloud {
    /// Allocates an Elastic IP, as AllocateAddress does. Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`] if none is left.
    pub fn allocate_address(&self) -> Result<LocalAddress, LocalError> {
        let public = self.inner.layout.public();
        let new = self.inner.state.change(|table| {
            let labelled = table.labels().addresses();
            let known = table.addresses()?.into_iter().map(|(_, ip)| ip).chain(labelled);
            let used: BTreeSet<Ipv4Addr> = known.filter_map(|ip| ip.parse().ok()).collect();
            let address = public.and_then(|subnet| first_free(subnet, &used)).ok_or_else(|| {
                let message = "every Elastic IP of this host is allocated; release one first";
                error(ErrorClass::Quota, "AddressLimitExceeded", message)
            })?;
            let id = new_id("eipalloc")?;
            table.put_address(&id, &address.to_string())?;
            Ok::<_, CloudError>((id, address))
        })?;
        Ok(LocalAddress {
            allocation_id: AllocationId(new.0),
            public_ip: new.1.to_string(),
            network_interface_id: None,
            instance_id: None,
        })
    }

    /// Every Elastic IP, by allocation. Blocks.
    ///
    /// # Errors
    /// [`LocalError::State`].
    pub fn addresses(&self) -> Result<Vec<LocalAddress>, LocalError> {
        Ok(self.inner.state.look(|table| {
            let interfaces: Vec<InterfaceRow> = table.all()?;
            let shown = table.addresses()?.into_iter().map(|(id, public_ip)| {
                let allocation_id = AllocationId(id);
                let fact = interfaces.iter().map(|row| &row.fact).find(|fact| {
                    fact.association.as_ref().is_some_and(|a| a.allocation == allocation_id)
                });
                LocalAddress {
                    allocation_id,
                    public_ip,
                    network_interface_id: fact.map(|f| f.id.clone()),
                    instance_id: fact.and_then(|f| f.attached_to.clone()),
                }
            });
            Ok::<_, crate::state::StateError>(shown.collect())
        })?)
    }

    /// Releases an Elastic IP, as ReleaseAddress does. Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`] if there is no such one, or it leads somewhere.
    pub fn release_address(&self, id: &AllocationId) -> Result<(), LocalError> {
        Ok(self.inner.state.change(|table| {
            if table.address(id.as_str())?.is_none() {
                return Err(not_found("InvalidAllocationID.NotFound", id.as_str()));
            }
            let interfaces: Vec<InterfaceRow> = table.all()?;
            if let Some(row) = interfaces.iter().find(|row| leads_to(row, id)) {
                let message = format!("{id} leads to {}; give it up there first", row.fact.id);
                return Err(refused("InvalidIPAddress.InUse", message));
            }
            Ok::<_, CloudError>(table.delete_address(id.as_str())?)
        })?)
    }
}

fn leads_to(row: &InterfaceRow, id: &AllocationId) -> bool {
    row.fact.association.as_ref().is_some_and(|a| &a.allocation == id)
}

impl Inner {
    pub(crate) fn associate_address(
        &self,
        id: &AllocationId,
        to: &InterfaceId,
        allow_reassociation: bool,
    ) -> Answer {
        let (before, row) = self.state.change(|table| {
            let public_ip = table.address(id.as_str())?;
            let public_ip =
                public_ip.ok_or_else(|| not_found("InvalidAllocationID.NotFound", id.as_str()))?;
            let mut row = lookup::interface(table, to)?;
            if let Some(holder) = &row.fact.attached_to
                && let Some(instance) = table.get::<InstanceRow>(holder.as_str())?
                && instance.fact.state == InstanceState::Pending
            {
                let message = format!("{to} is attached to {holder}, which does not run yet");
                return Err(conflict("IncorrectInstanceState", message));
            }
            let interfaces: Vec<InterfaceRow> = table.all()?;
            let other = interfaces.into_iter().find(|r| leads_to(r, id) && &r.fact.id != to);
            if let Some(mut other) = other.clone() {
                if !allow_reassociation {
                    let message =
                        format!("{id} leads to {}; disassociate it there first", other.fact.id);
                    return Err(refused("Resource.AlreadyAssociated", message));
                }
                other.fact.association = None;
                table.put(&other)?;
            }
            // EC2 API reference, AssociateAddress: what led to the interface before leads nowhere.
            let new = Association { allocation: id.clone(), public_ip };
            let replaced = row.fact.association.replace(new).filter(|a| &a.allocation != id);
            table.put(&row)?;
            let holder = row.fact.attached_to.clone();
            let mut before: Vec<(Association, Option<InstanceId>)> = Vec::new();
            before.extend(replaced.map(|a| (a, holder)));
            before.extend(other.and_then(|o| Some((o.fact.association?, o.fact.attached_to))));
            Ok::<_, CloudError>((before, row))
        })?;
        for (association, holder) in before {
            self.lead_nowhere(&association.public_ip, holder.as_ref())?;
        }
        if let Some(instance) = &row.fact.attached_to {
            self.lead_here(instance, &row)?;
        }
        self.facts_of(&[to.as_str()])
    }

    pub(crate) fn disassociate_address(&self, id: &AllocationId, from: &InterfaceId) -> Answer {
        let before = self.state.change(|table| {
            let mut row = lookup::interface(table, from)?;
            if !leads_to(&row, id) {
                return Ok(None);
            }
            let association = row.fact.association.take();
            table.put(&row)?;
            Ok::<_, CloudError>(association.map(|a| (a, row.fact.attached_to)))
        })?;
        if let Some((association, holder)) = before {
            self.lead_nowhere(&association.public_ip, holder.as_ref())?;
        }
        self.facts_of(&[from.as_str()])
    }

    /// Leads an interface's Elastic IP, if it has one, to the instance that holds it.
    pub(crate) fn lead_here(
        &self,
        instance: &InstanceId,
        row: &InterfaceRow,
    ) -> Result<(), LocalError> {
        let Some(association) = &row.fact.association else { return Ok(()) };
        let broken = |_| {
            let message = format!("{} has addresses that cannot be read", row.fact.id);
            refused("InvalidParameterValue", message)
        };
        let public_ip = association.public_ip.parse().map_err(broken)?;
        let private_ip = row.fact.private_ip.parse().map_err(broken)?;
        Ok(self.fabric.lead_address(instance.as_str(), public_ip, private_ip)?)
    }

    /// Leads an Elastic IP nowhere, and takes it from the instance that had it.
    pub(crate) fn lead_nowhere(
        &self,
        public_ip: &str,
        from: Option<&InstanceId>,
    ) -> Result<(), LocalError> {
        let address: Ipv4Addr = public_ip
            .parse()
            .map_err(|_| refused("InvalidParameterValue", format!("{public_ip} is no address")))?;
        Ok(self.fabric.withdraw_address(from.map(InstanceId::as_str), address)?)
    }
}
