//! Checks of further interfaces and Elastic IPs.

use super::Subject;
use super::checks::{interface, interface_is, launch, run_instance, terminate};
use holdfast_model::facts::{Fact, InterfaceState};
use holdfast_model::{AllocationId, Command, InstanceId, InterfaceId};

pub(super) async fn all(s: &Subject) {
    eprintln!("a further interface moves between running instances of its zone");
    a_further_interface_moves_between_running_instances(s).await;
    eprintln!("an elastic ip leads to one interface and is never taken unasked");
    an_elastic_ip_leads_to_one_interface(s).await;
    eprintln!("an elastic ip stays with a kept interface and goes with one that dies");
    an_elastic_ip_stays_with_a_kept_interface(s).await;
}

fn attach(interface: &InterfaceId, instance: &InstanceId, device_index: u32) -> Command {
    let (interface, instance) = (interface.clone(), instance.clone());
    Command::AttachNetworkInterface { interface, instance, device_index }
}

fn detach(interface: &InterfaceId, instance: &InstanceId) -> Command {
    let (interface, instance) = (interface.clone(), instance.clone());
    Command::DetachNetworkInterface { interface, instance }
}

fn associate(allocation: &AllocationId, interface: &InterfaceId, allow: bool) -> Command {
    Command::AssociateAddress {
        allocation: allocation.clone(),
        interface: interface.clone(),
        allow_reassociation: allow,
    }
}

async fn attached(s: &Subject, id: &InterfaceId, to: &InstanceId) {
    s.until(id.as_str(), "attached at index 1", |f| {
        matches!(f, Some(Fact::Interface(i)) if i.attachment_settled
            && i.attached_to.as_ref() == Some(to) && i.device_index == Some(1))
    })
    .await;
}

async fn leads(s: &Subject, id: &InterfaceId, allocation: Option<&AllocationId>) {
    s.until(id.as_str(), "where the address leads", |f| {
        matches!(f, Some(Fact::Interface(i))
            if i.association.as_ref().map(|a| &a.allocation) == allocation)
    })
    .await;
}

async fn delete(s: &Subject, interface: InterfaceId) {
    s.must(Command::DeleteNetworkInterface { interface }).await;
}

/// The primary interface of a running instance.
async fn primary(s: &Subject, id: &InstanceId) -> InterfaceId {
    match s.look(id.as_str()).await {
        Some(Fact::Instance(i)) => match i.interface.clone() {
            Some(interface) => interface,
            None => panic!("{id} shows no interface"),
        },
        other => panic!("{id} is {other:?}"),
    }
}

async fn a_further_interface_moves_between_running_instances(s: &Subject) {
    let id = interface(s, "c-sec", &s.market).await;
    let first = run_instance(s, launch(s, "c-sec-1", &s.market)).await;
    let second = run_instance(s, launch(s, "c-sec-2", &s.market)).await;
    let far = run_instance(s, launch(s, "c-sec-3", &s.elsewhere)).await;
    let refused = s.one(attach(&id, &far, 1)).await;
    assert!(refused.is_err(), "an interface was attached in another zone");
    terminate(s, &far).await;
    let refused = s.one(attach(&id, &first, 0)).await;
    assert!(refused.is_err(), "an instance took a second primary interface");
    s.must(attach(&id, &first, 1)).await;
    attached(s, &id, &first).await;
    s.must(attach(&id, &first, 1)).await;
    assert!(s.one(attach(&id, &second, 1)).await.is_err(), "two instances hold one interface");
    let other = interface(s, "c-sec-other", &s.market).await;
    assert!(s.one(attach(&other, &first, 1)).await.is_err(), "one index has two interfaces");
    delete(s, other).await;
    let refused = s.one(detach(&primary(s, &first).await, &first)).await;
    assert!(refused.is_err(), "a primary interface was detached");
    s.must(detach(&id, &first)).await;
    interface_is(s, &id, InterfaceState::Available).await;
    s.must(detach(&id, &first)).await;
    s.must(attach(&id, &second, 1)).await;
    attached(s, &id, &second).await;
    terminate(s, &first).await;
    terminate(s, &second).await;
    interface_is(s, &id, InterfaceState::Available).await;
    let refused = s.one(attach(&id, &second, 1)).await;
    assert!(refused.is_err(), "a terminated instance took an interface");
    delete(s, id).await;
}

async fn an_elastic_ip_leads_to_one_interface(s: &Subject) {
    let address = (s.allocate_address)().await;
    let (a, b) =
        (interface(s, "c-eip-a", &s.market).await, interface(s, "c-eip-b", &s.market).await);
    let nowhere = AllocationId::from("eipalloc-00000000000000000");
    assert!(s.one(associate(&nowhere, &a, true)).await.is_err(), "an address that is not there");
    s.must(associate(&address, &a, false)).await;
    leads(s, &a, Some(&address)).await;
    s.must(associate(&address, &a, false)).await;
    assert!(s.one(associate(&address, &b, false)).await.is_err(), "it was taken unasked");
    s.must(associate(&address, &b, true)).await;
    leads(s, &b, Some(&address)).await;
    leads(s, &a, None).await;
    let from = |interface: &InterfaceId| Command::DisassociateAddress {
        allocation: address.clone(),
        interface: interface.clone(),
    };
    s.must(from(&a)).await;
    leads(s, &b, Some(&address)).await;
    s.must(from(&b)).await;
    s.must(from(&b)).await;
    leads(s, &b, None).await;
    // An address leads to where an interface is; a deleted one holds none.
    s.must(associate(&address, &a, false)).await;
    delete(s, a).await;
    s.must(associate(&address, &b, false)).await;
    delete(s, b).await;
}

async fn an_elastic_ip_stays_with_a_kept_interface(s: &Subject) {
    let address = (s.allocate_address)().await;
    let kept = interface(s, "c-eip-kept", &s.market).await;
    let mut request = launch(s, "c-eip-1", &s.market);
    request.interface = Some(kept.clone());
    let first = run_instance(s, request).await;
    s.must(associate(&address, &kept, false)).await;
    terminate(s, &first).await;
    interface_is(s, &kept, InterfaceState::Available).await;
    leads(s, &kept, Some(&address)).await;
    delete(s, kept).await;
    let second = run_instance(s, launch(s, "c-eip-2", &s.market)).await;
    let own = primary(s, &second).await;
    s.must(associate(&address, &own, false)).await;
    terminate(s, &second).await;
    s.until(own.as_str(), "deleted with its instance", |f| f.is_none()).await;
    let free = interface(s, "c-eip-free", &s.market).await;
    s.must(associate(&address, &free, false)).await;
    delete(s, free).await;
}
