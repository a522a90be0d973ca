//! The interfaces whose addresses are the node's, and where its Elastic IP leads.

use super::parts::role;
use super::work::Work;
use crate::parts::network::interface_role;
use holdfast_model::Shared;
use holdfast_model::adoption::{Candidate, FRESH};
use holdfast_model::facts::{Fact, InstanceFact, InterfaceFact};
use holdfast_model::record::HeldInterface;

/// Every interface that the spec keeps.
pub(super) fn interfaces(work: &mut Work<'_>, holder: Option<&InstanceFact>) {
    let mut before: Vec<HeldInterface> =
        work.record.identity.interface.take().into_iter().collect();
    before.append(&mut work.record.identity.secondary);
    let primary = work.spec.persistence.private_ip.then_some(0);
    for index in primary.into_iter().chain(work.spec.secondary.clone()) {
        let known = before.iter().find(|held| held.device_index == index);
        let Some(kept) = interface(work, holder, index, known) else { continue };
        if index == 0 {
            work.record.identity.interface = Some(kept);
        } else {
            work.record.identity.secondary.push(kept);
        }
    }
    elastic_ip(work);
}

/// The interface with a device index, unless a person must be asked.
fn interface(
    work: &mut Work<'_>,
    holder: Option<&InstanceFact>,
    device_index: u32,
    before: Option<&HeldInterface>,
) -> Option<HeldInterface> {
    let part = interface_role(device_index);
    let pick = |f: &&Fact| match *f {
        Fact::Interface(i) if role(&i.tags) == part => Some(i.clone()),
        _ => None,
    };
    let candidates: Vec<Shared<InterfaceFact>> = work.facts.iter().filter_map(pick).collect();
    let told: Vec<Candidate> = candidates
        .iter()
        .map(|i| Candidate { id: i.id.0.clone(), what: format!("{} in {}", i.private_ip, i.zone) })
        .collect();
    let by_id = |id: &str| candidates.iter().find(|i| i.id.as_str() == id);
    let held = candidates.iter().find(|i| i.attached_to.as_ref() == holder.map(|h| &h.id));
    let held = held.filter(|_| holder.is_some());
    let known = before.and_then(|b| by_id(b.id.as_str()));
    let found = match work.head(&part).as_deref() {
        Some(FRESH) => return None,
        Some(id) => match by_id(id) {
            Some(found) => Some(found),
            None => {
                work.ask(&part, format!("{id} is none of its candidates"), told);
                return None;
            }
        },
        None => match (held.or(known), candidates.as_slice()) {
            (Some(found), _) => Some(found),
            (None, [only]) => Some(only),
            (None, _) => None,
        },
    };
    if let Some(i) = found {
        return Some(before.filter(|b| b.id == i.id).cloned().unwrap_or_else(|| HeldInterface {
            id: i.id.clone(),
            subnet: i.subnet.clone(),
            zone: i.zone.clone(),
            private_ip: i.private_ip.clone(),
            mac: i.mac.clone(),
            device_index,
        }));
    }
    // A further interface may have been asked for and not made yet.
    let never_made = before.is_none() && (work.record.generations.is_first() || device_index > 0);
    if !(candidates.is_empty() && never_made) {
        let why = if candidates.is_empty() {
            format!("none is left; --head {part}=fresh gives the node another address")
        } else {
            format!("choose with --head {part}=ID")
        };
        work.ask(&part, why, told);
    }
    None
}

/// The Elastic IP counts as the node's where it leads to something of the node's.
fn elastic_ip(work: &mut Work<'_>) {
    let Some(wanted) = work.spec.elastic_ip.clone() else { return };
    let leads_here = work.facts.iter().any(|fact| match fact {
        Fact::Interface(i) => i.association.as_ref().is_some_and(|a| a.allocation == wanted),
        _ => false,
    });
    if leads_here {
        work.record.identity.elastic_ip = Some(wanted);
    }
}
