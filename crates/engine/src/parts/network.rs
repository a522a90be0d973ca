//! A node's network identity: the interfaces that it keeps, and its Elastic IP.
//!
//! The primary interface is kept where the private IP is; further ones always are: an interface of
//! its own is asked for because of its address. A kept interface lies in one zone, and so does its
//! node from the first launch on. An Elastic IP leads to the primary interface: where that is kept,
//! a replacement needs no call for it; elsewhere it is associated again, once the instance runs
//! (EC2 refuses the interface of a pending one).

use crate::context::desk::{Asked, Desk};
use crate::parts::retention::supersede;
use holdfast_model::facts::{Fact, InterfaceFact};
use holdfast_model::record::{HeldInterface, ServingInstance};
use holdfast_model::spec::{MAX_DEVICE_INDEX, Spec};
use holdfast_model::{Command, EventCode, InterfaceId, Known, Market, Row, SubnetId, Token};

/// How what needs an interface that is not there is refused (EC2 API reference, error codes).
pub(crate) const NO_INTERFACE: &str = "InvalidNetworkInterfaceID.NotFound";

/// Makes an interface that is to be kept, unless there is one. True once the record holds it.
pub(crate) fn keep(desk: &mut Desk<'_>, market: &Market, device_index: u32) -> bool {
    let held = desk.record.identity.interfaces().find(|i| i.device_index == device_index).cloned();
    if let Some(held) = held {
        return again(desk, &held);
    }
    let subnet = market.subnet.clone();
    let chosen = desk.spec.private_ip.clone().filter(|_| device_index == 0);
    // The zone may have changed since an earlier attempt, or the chosen address: then it is another
    // call.
    let mut name = format!("interface:{}", market.zone);
    if device_index > 0 {
        name = format!("interface:{device_index}:{}", market.zone);
    }
    if let Some(address) = &chosen {
        name = format!("{name}:{address}");
    }
    let Some(fact) = made(desk, &name, device_index, subnet, chosen) else { return false };
    let held = HeldInterface {
        id: fact.id.clone(),
        subnet: fact.subnet.clone(),
        zone: fact.zone.clone(),
        private_ip: fact.private_ip.clone(),
        mac: fact.mac.clone(),
        device_index,
    };
    let what = if device_index == 0 {
        "the private IP".to_owned()
    } else {
        format!("the private IP of interface {device_index}")
    };
    let address = format!("{what} is {} for good, in {}", held.private_ip, held.zone);
    if device_index == 0 {
        desk.record.identity.interface = Some(held);
    } else {
        desk.record.identity.secondary.push(held);
        desk.record.identity.secondary.sort_by_key(|i| i.device_index);
    }
    desk.tell(EventCode::AddressKept, address);
    true
}

/// Makes an interface that was deleted from outside again, with its address: what counts is that,
/// and the cloud refuses it for as long as anything else has it. Only one that is positively gone is
/// made again. True unless there is something to wait for.
fn again(desk: &mut Desk<'_>, held: &HeldInterface) -> bool {
    match desk.scene.world.interface(held.id.as_str()) {
        Known::Present(_) => return true,
        Known::Unknown => {
            // Nothing waits for it, but should it be gone, it is made while the instance boots.
            desk.watch.push(held.id.0.clone());
            return true;
        }
        Known::Absent => {}
    }
    let name = format!("again:{}", held.id);
    let (subnet, address) = (held.subnet.clone(), Some(held.private_ip.clone()));
    let Some(fact) = made(desk, &name, held.device_index, subnet, address) else { return false };
    let mut all =
        desk.record.identity.interface.iter_mut().chain(&mut desk.record.identity.secondary);
    if let Some(kept) = all.find(|kept| kept.id == held.id) {
        kept.id = fact.id.clone();
        kept.mac.clone_from(&fact.mac);
    }
    let message = format!(
        "{} was deleted from outside; {} has its address {} now, and another MAC address",
        held.id, fact.id, held.private_ip
    );
    desk.tell(EventCode::InterfaceAgain, message);
    true
}

/// An interface that is to be kept, once it is made and seen.
fn made(
    desk: &mut Desk<'_>,
    name: &str,
    device_index: u32,
    subnet: SubnetId,
    private_ip: Option<String>,
) -> Option<InterfaceFact> {
    let role = interface_role(device_index);
    let make = move |desk: &Desk<'_>, token: Token| Command::CreateNetworkInterface {
        subnet,
        private_ip,
        groups: desk.spec.security_groups.clone(),
        tags: desk.tags(&role, &token),
        token,
    };
    let Asked::Done(Some(id)) = desk.ask(Row::Launch, name, make.clone()) else { return None };
    match desk.scene.world.interface(&id) {
        Known::Present(fact) => Some(fact.clone()),
        Known::Absent => {
            // Nobody knows its address yet: another is as good.
            let message =
                format!("{id} was deleted from outside before it was used; another is made");
            desk.tell(EventCode::InterfaceLost, message);
            desk.start(Row::Launch, name, make);
            None
        }
        Known::Unknown => {
            desk.watch(&id, format!("the interface {id} to be visible"));
            None
        }
    }
}

/// The role in the tag of an interface that is kept.
pub(crate) fn interface_role(device_index: u32) -> String {
    if device_index == 0 { "interface".to_owned() } else { format!("interface:{device_index}") }
}

/// Gives back what the spec keeps no longer: from here on the zone is free again. The old instance
/// may hold it still; it is deleted when that is gone.
pub(crate) fn give_back(desk: &mut Desk<'_>) {
    let spec = &desk.spec;
    let keeps = |held: &HeldInterface| match held.device_index {
        0 => {
            let another = spec.private_ip.as_ref().is_some_and(|ip| ip != &held.private_ip);
            spec.persistence.private_ip && !another
        }
        index => spec.secondary.contains(&index),
    };
    let mut going: Vec<HeldInterface> = Vec::new();
    going.extend(desk.record.identity.interface.take_if(|held| !keeps(held)));
    going.extend(desk.record.identity.secondary.extract_if(.., |held| !keeps(held)));
    for held in going {
        let why = "the spec keeps it no longer";
        supersede(&mut desk.record, held.id.as_str(), why, 0);
        let message = format!("{} with {} is given back: {why}", held.id, held.private_ip);
        desk.tell(EventCode::AddressGivenBack, message);
    }
}

/// Forgets interfaces that were made for a zone in which the node has never run.
pub(crate) fn leave_unused(desk: &mut Desk<'_>, market: &Market) {
    if !desk.record.generations.is_first() {
        return;
    }
    let elsewhere = |held: &mut HeldInterface| held.zone != market.zone;
    let mut unused: Vec<HeldInterface> = Vec::new();
    unused.extend(desk.record.identity.interface.take_if(elsewhere));
    unused.extend(desk.record.identity.secondary.extract_if(.., elsewhere));
    for held in unused {
        let why = "it was made for a zone that had no capacity";
        supersede(&mut desk.record, held.id.as_str(), why, 0);
    }
}

/// A device index that no interface of the spec has: the kept first interface gets it at an
/// instance that has another primary one.
pub(crate) fn spare_index(spec: &Spec) -> Option<u32> {
    (1..=MAX_DEVICE_INDEX).find(|index| !spec.secondary.contains(index))
}

/// Whether an instance has another primary interface than the kept one, which then is beside it:
/// it was launched while its predecessor still had that. The primary interface never changes, so
/// that any sighting tells; `None` until there is one, and then nothing may be concluded.
pub(crate) fn is_beside(
    desk: &Desk<'_>,
    holder: &ServingInstance,
    kept: &InterfaceId,
) -> Option<bool> {
    match desk.scene.world.last_seen(holder.id.as_str()) {
        Some(Fact::Instance(i)) => i.interface.as_ref().map(|primary| primary != kept),
        _ => None,
    }
}

/// Waits until it is known which interface of an instance is its primary one.
pub(crate) fn watch_primary(desk: &mut Desk<'_>, holder: &ServingInstance) {
    desk.watch(holder.id.as_str(), format!("the primary interface of {}", holder.id));
}

/// Attaches the further interfaces, and the kept first one where it is not the primary one, side
/// by side. True once all are.
pub(crate) fn attach(desk: &mut Desk<'_>, holder: &ServingInstance) -> bool {
    let mut complete = true;
    let held = |desk: &Desk<'_>, index| {
        let held = desk.record.identity.secondary.iter().find(|i| i.device_index == index);
        (index, held.cloned())
    };
    let mut wanted: Vec<(u32, Option<HeldInterface>)> =
        desk.spec.secondary.iter().map(|index| held(desk, *index)).collect();
    if let Some(kept) = desk.record.identity.interface.clone() {
        match is_beside(desk, holder, &kept.id) {
            Some(true) => {
                wanted.extend(spare_index(&desk.spec).map(|index| (index, Some(kept))));
            }
            Some(false) => {}
            None => {
                watch_primary(desk, holder);
                complete = false;
            }
        }
    }
    for (index, held) in wanted {
        let Some(held) = held else {
            desk.wait(format!("interface {index}"));
            complete = false;
            continue;
        };
        if !again(desk, &held) {
            complete = false;
            continue;
        }
        let kept = desk.record.identity.interfaces().find(|i| i.device_index == held.device_index);
        let id = kept.map_or(held.id, |kept| kept.id.clone());
        if let Known::Present(fact) = desk.scene.world.interface(id.as_str()) {
            let here = fact.attached_to.as_ref() == Some(&holder.id);
            if here && fact.device_index == Some(index) && fact.attachment_settled {
                continue;
            }
            if let (false, Some(other)) = (here, fact.attached_to.clone()) {
                desk.ask_whose(id.as_str(), other.as_str());
                complete = false;
                continue;
            }
        }
        complete = false;
        let is_missing = matches!(
            desk.standing(Row::Attach, &format!("interface:{index}")),
            Some(Asked::Refused { error, .. }) if error.code == NO_INTERFACE
        );
        let seen = matches!(desk.scene.world.interface(id.as_str()), Known::Present(_));
        if is_missing && !seen {
            // Once it is known to be gone, it is made again: nobody has to decide that.
            desk.watch(id.as_str(), format!("a look at the interface {id}"));
            continue;
        }
        let (interface, instance) = (id.clone(), holder.id.clone());
        desk.ask(Row::Attach, &format!("interface:{index}"), |_, _| {
            Command::AttachNetworkInterface { interface, instance, device_index: index }
        });
        desk.watch(id.as_str(), format!("{id} to be attached as interface {index}"));
    }
    complete
}

/// Lets the Elastic IP lead to the instance, or leads it away if the spec has none any more. True
/// once it is so.
pub(crate) fn associate(desk: &mut Desk<'_>, holder: &ServingInstance) -> bool {
    let (wanted, had) = (desk.spec.elastic_ip.clone(), desk.record.identity.elastic_ip.clone());
    if wanted.is_none() && had.is_none() {
        return true;
    }
    let kept = desk.record.identity.interface.as_ref().map(|i| i.id.clone());
    let primary = kept.or_else(|| match desk.scene.world.instance(holder.id.as_str()) {
        Known::Present(instance) => instance.interface.clone(),
        Known::Absent | Known::Unknown => None,
    });
    let Some(interface) = primary else {
        watch_primary(desk, holder);
        return false;
    };
    let Known::Present(fact) = desk.scene.world.interface(interface.as_str()) else {
        desk.watch(interface.as_str(), format!("the interface {interface} to be visible"));
        return false;
    };
    let leads_here = fact.association.clone();
    let is = |allocation| leads_here.as_ref().is_some_and(|a| &a.allocation == allocation);
    if let Some(old) = had.as_ref().filter(|had| wanted.as_ref() != Some(*had)) {
        if is(old) {
            lead_away(desk, Row::Attach, old, &interface);
            return false;
        }
        desk.record.identity.elastic_ip = None;
    }
    let Some(wanted) = wanted else { return true };
    if let Some(association) = leads_here.as_ref().filter(|a| a.allocation == wanted) {
        if had.as_ref() != Some(&wanted) {
            let message = format!("the Elastic IP {} leads to the node", association.public_ip);
            desk.tell(EventCode::ElasticIp, message);
            desk.record.identity.elastic_ip = Some(wanted);
        }
        return true;
    }
    let (allocation, to) = (wanted.clone(), interface.clone());
    // An address that never led to this node is not taken from whoever has it.
    let allow_reassociation = had.as_ref() == Some(&wanted);
    desk.ask(Row::Attach, &format!("associate:{wanted}"), |_, _| Command::AssociateAddress {
        allocation,
        interface: to,
        allow_reassociation,
    });
    desk.watch(interface.as_str(), format!("{wanted} to lead to {interface}"));
    false
}

/// Leads the Elastic IP of a node that is given up away from the interface that outlives it. True
/// once nothing of the node has it.
pub(crate) fn let_address_go(desk: &mut Desk<'_>) -> bool {
    let Some(allocation) = desk.record.identity.elastic_ip.clone() else { return true };
    if let Some(interface) = desk.record.identity.interface.as_ref().map(|i| i.id.clone()) {
        match desk.scene.world.interface(interface.as_str()) {
            Known::Present(fact) => {
                if fact.association.as_ref().is_some_and(|a| a.allocation == allocation) {
                    lead_away(desk, Row::Retire, &allocation, &interface);
                    return false;
                }
            }
            Known::Absent => {}
            Known::Unknown => {
                desk.watch(interface.as_str(), format!("the interface {interface} to be visible"));
                return false;
            }
        }
    }
    desk.record.identity.elastic_ip = None;
    true
}

fn lead_away(
    desk: &mut Desk<'_>,
    row: Row,
    allocation: &holdfast_model::AllocationId,
    interface: &InterfaceId,
) {
    let (from, which) = (interface.clone(), allocation.clone());
    desk.ask(row, &format!("disassociate:{allocation}"), |_, _| Command::DisassociateAddress {
        allocation: which,
        interface: from,
    });
    desk.watch(interface.as_str(), format!("{allocation} to lead no longer to {interface}"));
}
