//! What the cloud shows, as it goes over the wire.

use holdfast_model::adoption::Stray;
use holdfast_model::facts::{
    Fact, ImageFact, InstanceFact, InterfaceFact, SnapshotFact, VolumeFact,
};
use holdfast_wire as wire;
use serde::Serialize;

/// An enum's word.
pub fn word<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or("unknown").to_owned()
}

/// Spot or on-demand.
#[must_use]
pub fn lifecycle(of: holdfast_model::Lifecycle) -> wire::Lifecycle {
    match of {
        holdfast_model::Lifecycle::Spot => wire::Lifecycle::Spot,
        holdfast_model::Lifecycle::OnDemand => wire::Lifecycle::OnDemand,
    }
}

pub(crate) fn market(market: &holdfast_model::Market) -> wire::Market {
    wire::Market {
        instance_type: market.instance_type.clone(),
        zone: market.zone.0.clone(),
        subnet: market.subnet.0.clone(),
        lifecycle: lifecycle(market.lifecycle),
    }
}

pub(crate) fn instance(fact: &InstanceFact) -> wire::Instance {
    let attachments = fact.attachments.iter().map(|a| wire::Attachment {
        device: a.device.clone(),
        volume: a.volume.0.clone(),
        delete_on_termination: a.delete_on_termination,
    });
    wire::Instance {
        id: fact.id.0.clone(),
        state: word(&fact.state),
        reason: fact.reason.clone(),
        instance_type: fact.instance_type.clone(),
        zone: fact.zone.0.clone(),
        lifecycle: lifecycle(fact.lifecycle),
        image: fact.image.0.clone(),
        launched_at: fact.launched_at.0,
        private_ip: fact.private_ip.clone(),
        interface: fact.interface.as_ref().map(|i| i.0.clone()),
        root_device: fact.root_device.clone(),
        attachments: attachments.collect(),
        health: word(&fact.health),
        health_why: fact.health_why.clone(),
        no_successor: fact.no_successor.clone(),
        interruption_at: fact.interruption_at.map(|t| t.0),
        drained: fact.drained,
        tags: (*fact.tags).clone(),
    }
}

pub(crate) fn volume(fact: &VolumeFact) -> wire::Volume {
    let holder = fact.attached_to.as_ref();
    wire::Volume {
        id: fact.id.0.clone(),
        state: word(&fact.state),
        zone: fact.zone.0.clone(),
        size_gib: fact.size_gib,
        attached_to: holder.map(|(instance, device)| (instance.0.clone(), device.clone())),
        attachment_settled: fact.attachment_settled,
        snapshot: fact.snapshot.as_ref().map(|s| s.0.clone()),
        fs_uuid: fact.fs_uuid.clone(),
        tags: (*fact.tags).clone(),
    }
}

fn snapshot(fact: &SnapshotFact) -> wire::Snapshot {
    wire::Snapshot {
        id: fact.id.0.clone(),
        state: word(&fact.state),
        volume: fact.volume.0.clone(),
        started_at: fact.started_at.0,
        tags: (*fact.tags).clone(),
    }
}

pub(crate) fn image(fact: &ImageFact) -> wire::Image {
    wire::Image {
        id: fact.id.0.clone(),
        state: word(&fact.state),
        name: fact.name.clone(),
        snapshot: fact.snapshot.as_ref().map(|s| s.0.clone()),
        architecture: fact.architecture.clone(),
        root_device: fact.root_device.clone(),
        tags: (*fact.tags).clone(),
    }
}

pub(crate) fn interface(fact: &InterfaceFact) -> wire::Interface {
    let association = fact.association.as_ref().map(|a| wire::Association {
        allocation: a.allocation.0.clone(),
        public_ip: a.public_ip.clone(),
    });
    wire::Interface {
        id: fact.id.0.clone(),
        state: word(&fact.state),
        subnet: fact.subnet.0.clone(),
        zone: fact.zone.0.clone(),
        private_ip: fact.private_ip.clone(),
        mac: fact.mac.clone(),
        attached_to: fact.attached_to.as_ref().map(|i| i.0.clone()),
        device_index: fact.device_index,
        attachment_settled: fact.attachment_settled,
        association,
        tags: (*fact.tags).clone(),
    }
}

fn resource(fact: &Fact) -> wire::Resource {
    match fact {
        Fact::Instance(f) => wire::Resource::Instance(instance(f)),
        Fact::Volume(f) => wire::Resource::Volume(volume(f)),
        Fact::Snapshot(f) => wire::Resource::Snapshot(snapshot(f)),
        Fact::Image(f) => wire::Resource::Image(image(f)),
        Fact::Interface(f) => wire::Resource::Interface(interface(f)),
    }
}

pub(crate) fn unaccounted(stray: Stray) -> wire::Unaccounted {
    let question = |q: holdfast_model::adoption::Question| {
        let candidates = q.candidates.into_iter();
        wire::Question {
            part: q.part,
            why: q.why,
            candidates: candidates.map(|c| wire::Candidate { id: c.id, what: c.what }).collect(),
        }
    };
    wire::Unaccounted {
        installation: stray.installation,
        node: stray.node,
        ours: stray.ours,
        recorded: stray.recorded,
        why: stray.why,
        found: stray.found,
        questions: stray.questions.into_iter().map(question).collect(),
        resources: stray.resources.iter().map(resource).collect(),
    }
}
