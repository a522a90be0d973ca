//! Nodes as clients see them: the one place where a record is read for the wire.
//!
//! What was set is echoed and nothing else: a default or a live fact in the document would be a
//! difference that Terraform wants to undo. Live facts stand in the status.

use crate::shown::{image, instance, interface, market, volume};
use crate::time::rfc3339;
use holdfast_controller::NodeView;
use holdfast_model::record::{self, Record};
use holdfast_model::replacement::{self, RowState};
use holdfast_model::{Document, InstanceId, NodeId, Row, SnapshotId, Time, user};
use holdfast_wire as wire;
use holdfast_wire::ManagedInstance;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Objects that must not be shown empty: Terraform makes a block of them.
const NEVER_EMPTY: [&str; 4] =
    ["revertToSpot", "metadataOptions", "resourceTagSpecification", "resourceRequirements"];

/// A node's name.
#[must_use]
pub fn name(record: &Record) -> &str {
    record.document.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The instance that holds a node's identity, if one does.
#[must_use]
pub fn holder(record: &Record) -> Option<&InstanceId> {
    record.instance.as_ref().map(|holder| &holder.id)
}

/// A node's state, in the words of Spot's interface.
#[must_use]
pub fn state(record: &Record) -> &'static str {
    record.status()
}

/// The document, as it was set.
pub(crate) fn document(record: &Record) -> &Document {
    &record.document
}

/// Whether the user has given the node up.
pub(crate) fn is_given_up(record: &Record) -> bool {
    record.lifecycle.goal() == record::Goal::Deleted
}

/// Whether the node waits to be adopted.
pub(crate) fn is_quarantined(record: &Record) -> bool {
    record.blocked.quarantine().is_some()
}

/// Markets that the node leaves alone, and until when.
pub(crate) fn cooled(record: &Record, now: Time) -> impl Iterator<Item = (&str, Time)> {
    let cooled =
        record.memory.market_backoff.iter().map(|(market, until)| (market.as_str(), *until));
    cooled.filter(move |(_, until)| *until > now)
}

/// The document as it is echoed.
fn echo(record: &Record) -> ManagedInstance {
    let mut document = (*record.document).clone();
    remove_empty(&mut document);
    let mut members = match document {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    // The Terraform provider reads these without looking whether they are there.
    let mut at = &mut members;
    for name in ["compute", "launchSpecification", "instanceTypes"] {
        let slot = at.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        let Value::Object(next) = slot else { return ManagedInstance(members) };
        at = next;
    }
    ManagedInstance(members)
}

fn remove_empty(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for member in members.values_mut() {
                remove_empty(member);
            }
            members.retain(|name, member| {
                let empty = member.as_object().is_some_and(Map::is_empty);
                !(empty && NEVER_EMPTY.contains(&name.as_str()))
            });
        }
        Value::Array(items) => items.iter_mut().for_each(remove_empty),
        _ => {}
    }
}

/// One node.
pub(crate) fn node(record: &Record) -> wire::Node {
    wire::Node {
        document: echo(record),
        id: text(&record.id),
        created_at: rfc3339(record.created_at),
        updated_at: rfc3339(record.updated_at),
    }
}

/// One node in a list: published clients read it flat or under `config`, so it has both.
pub(crate) fn listed(record: &Record) -> wire::ListedNode {
    let node = node(record);
    wire::ListedNode { config: node.document.clone(), node }
}

/// How a node is.
pub(crate) fn status(view: &NodeView) -> wire::NodeStatus {
    let record = &view.record;
    let holder = record.instance.as_ref();
    // The Elastic IP that leads to the node.
    let association = view.interfaces.iter().find_map(|i| i.association.as_ref());
    wire::NodeStatus {
        id: text(&record.id),
        name: name(record).to_owned(),
        status: state(record).to_owned(),
        instance_id: holder.map(|h| text(&h.id)),
        instance_type: holder.map(|h| h.market.instance_type.clone()),
        image_id: view.instance.as_ref().map(|i| text(&i.image)),
        private_ip: private_ip(view),
        public_ip: association.map(|a| a.public_ip.clone()),
        created_at: rfc3339(record.created_at),
        launched_at: holder.map(|h| rfc3339(h.launched_at)),
    }
}

/// The address that is kept, or else the instance's. An instance that stood by has one of its own
/// besides, by which nobody knows the node.
fn private_ip(view: &NodeView) -> Option<String> {
    let kept = view.record.identity.interface.as_ref().map(|i| &i.private_ip);
    kept.or_else(|| view.instance.as_ref()?.private_ip.as_ref()).cloned()
}

/// A node in short.
pub(crate) fn summary(view: &NodeView) -> wire::NodeSummary {
    let record = &view.record;
    let holder = record.instance.as_ref();
    wire::NodeSummary {
        id: text(&record.id),
        name: name(record).to_owned(),
        status: state(record).to_owned(),
        market: holder.map(|h| market(&h.market)),
        instance_id: holder.map(|h| text(&h.id)),
        private_ip: private_ip(view),
        generation: Some(record.generations.number()),
        replacements: Some(record.memory.replacements),
        snapshot_interval_ms: Some(record.upkeep.interval_ms).filter(|ms| *ms > 0),
        created_at: Some(rfc3339(record.created_at)),
        waits_for: view.waits_for.clone(),
        given_up: is_given_up(record),
    }
}

/// A node whose record cannot be used, in short.
pub(crate) fn stopped(id: &NodeId, why: &str) -> wire::NodeSummary {
    wire::NodeSummary {
        id: text(id),
        status: "ERROR".to_owned(),
        waits_for: Some(why.to_owned()),
        ..wire::NodeSummary::default()
    }
}

/// A node with all that is known of it.
pub(crate) fn whole(view: &NodeView) -> wire::WholeNode {
    wire::WholeNode {
        summary: summary(view),
        record: record(&view.record),
        instance: view.instance.as_ref().map(|fact| instance(fact)),
        volumes: view.volumes.iter().map(|fact| volume(fact)).collect(),
        interfaces: view.interfaces.iter().map(|fact| interface(fact)).collect(),
        image: view.image.as_ref().map(|fact| image(fact)),
    }
}

fn text(id: &impl AsRef<str>) -> String {
    id.as_ref().to_owned()
}

fn texts<T: AsRef<str>>(ids: &BTreeMap<String, T>) -> BTreeMap<String, String> {
    ids.iter().map(|(of, id)| (of.clone(), text(id))).collect()
}

/// What was decided.
fn record(record: &Record) -> wire::record::NodeRecord {
    let document = match &*record.document {
        Value::Object(members) => members.clone(),
        _ => Map::new(),
    };
    let superseded = record.kept.pending_deletion.iter().map(|s| wire::record::Superseded {
        id: s.id.clone(),
        reason: s.reason.clone(),
        grace_ms: s.due.grace_left().unwrap_or_default(),
    });
    let quarantine = record.blocked.quarantine().map(|q| wire::record::Quarantine {
        since: q.since.0,
        why: q.why.clone(),
        ids: q.ids.clone(),
    });
    wire::record::NodeRecord {
        id: text(&record.id),
        document: ManagedInstance(document),
        spec_revision: record.spec_revision,
        created_at: record.created_at.0,
        updated_at: record.updated_at.0,
        goal: match record.lifecycle.goal() {
            record::Goal::Running => wire::record::Goal::Running,
            record::Goal::Paused => wire::record::Goal::Paused,
            record::Goal::Deleted => wire::record::Goal::Deleted,
        },
        recycle_wanted: record.lifecycle.wants_recycle(),
        rollback: record.identity.rollback.as_ref().map(rollback),
        generation: record.generations.number(),
        ready_generation: record.generations.ready(),
        holder: record.instance.as_ref().map(|h| wire::record::Holder {
            id: text(&h.id),
            market: market(&h.market),
            why: h.why.clone(),
            launched_at: h.launched_at.0,
            impaired_since: h.impaired_since.map(|t| t.0),
        }),
        root: root(&record.identity.root),
        data: record.identity.data.iter().map(data).collect(),
        interface: record.identity.interface.as_ref().map(held),
        secondary: record.identity.secondary.iter().map(held).collect(),
        elastic_ip: record.identity.elastic_ip.as_ref().map(text),
        replacement: record.work.as_ref().map(in_flight),
        history: record.memory.history.iter().map(finished).collect(),
        replacements: record.memory.replacements,
        finals: record.kept.final_snapshots.iter().map(kept_final).collect(),
        upkeep: wire::record::Upkeep {
            pending: record.upkeep.pending.as_ref().map(set),
            sets: record.upkeep.sets.iter().map(set).collect(),
            last_at: record.upkeep.last_at.0,
            interval_ms: record.upkeep.interval_ms,
            failing: record.upkeep.failing,
        },
        superseded: superseded.collect(),
        cooled: record
            .memory
            .market_backoff
            .iter()
            .map(|(market, until)| (market.clone(), until.0))
            .collect(),
        revert_after: record.memory.revert_after.map(|t| t.0),
        stuck: record.blocked.decision().map(stuck),
        deallocation: record.lifecycle.deallocation().map(deallocation),
        deallocated: record.lifecycle.is_deleted(),
        let_go: record.lifecycle.is_handed_over(),
        quarantine,
    }
}

fn root(head: &record::RootHead) -> wire::record::RootHead {
    match head {
        record::RootHead::Fresh => wire::record::RootHead::Fresh,
        record::RootHead::Captured { snapshot, image, root_device } => {
            wire::record::RootHead::Captured {
                snapshot: text(snapshot),
                image: text(image),
                root_device: root_device.clone(),
            }
        }
        record::RootHead::Live { volume, generation, root_device, kept, .. } => {
            wire::record::RootHead::Live {
                volume: volume.as_ref().map(text),
                generation: *generation,
                root_device: root_device.clone(),
                kept: *kept,
            }
        }
    }
}

fn data(volume: &record::DataVolume) -> wire::record::DataVolume {
    wire::record::DataVolume {
        device: volume.device.clone(),
        head: match &volume.head {
            record::DataHead::Fresh => wire::record::DataHead::Fresh,
            record::DataHead::Volume { id, zone } => {
                wire::record::DataHead::Volume { id: text(id), zone: text(zone) }
            }
        },
        fs_uuid: volume.fs_uuid.clone(),
        joined: volume.user_attached.as_ref().map(|j| wire::record::Joined {
            size_gib: j.size_gib,
            mount: j.mount.clone(),
            since: j.since.0,
        }),
        restore: volume.restore.as_ref().map(text),
    }
}

fn held(interface: &record::HeldInterface) -> wire::record::HeldInterface {
    wire::record::HeldInterface {
        id: text(&interface.id),
        subnet: text(&interface.subnet),
        zone: text(&interface.zone),
        private_ip: interface.private_ip.clone(),
        mac: interface.mac.clone(),
        device_index: interface.device_index,
    }
}

fn in_flight(r: &replacement::Replacement) -> wire::record::Replacement {
    let row = |(row, state): (&Row, &RowState)| {
        let (started_at, done_at) = (state.started_at.map(|t| t.0), state.done_at.map(|t| t.0));
        (row.name().to_owned(), wire::record::RowState { started_at, done_at })
    };
    wire::record::Replacement {
        number: r.number,
        kind: r.kind.name().to_owned(),
        reason: r.reason.clone(),
        started_at: r.started_at.0,
        deadline: r.deadline.map(|t| t.0),
        from_generation: r.from_generation.unwrap_or_default(),
        spec_revision: r.spec_revision,
        market: r.market.as_ref().map(market),
        market_why: r.market_why.clone(),
        rows: r.rows.iter().map(row).collect(),
        without_market_since: r.without_market_since.map(|t| t.0),
        markets_refused: r.markets_refused,
    }
}

fn finished(f: &replacement::Finished) -> wire::record::Finished {
    let rows = f.rows.iter();
    wire::record::Finished {
        number: f.number,
        kind: f.kind.name().to_owned(),
        reason: f.reason.clone(),
        started_at: f.started_at.0,
        finished_at: f.finished_at.0,
        from_generation: f.from_generation.unwrap_or_default(),
        to_generation: f.to_generation.unwrap_or_default(),
        market: f.market.as_ref().map(market),
        rows: rows
            .map(|(row, from, to)| (row.name().to_owned(), from.0, to.map(|t| t.0)))
            .collect(),
        completed: f.completed,
        lost_again: f.lost_again,
    }
}

fn rollback(to: &record::Rollback) -> wire::record::Rollback {
    wire::record::Rollback {
        generation: to.generation,
        root: to.root.as_ref().map(|point| text(&point.snapshot)),
        data: texts(&to.data),
        reason: to.reason.clone(),
    }
}

fn kept_final(last: &record::FinalSnapshot) -> wire::record::FinalSnapshot {
    wire::record::FinalSnapshot {
        generation: last.generation,
        of: last.of.clone(),
        snapshot: text(&last.snapshot),
        image: last.image.as_ref().map(text),
        taken_at: last.taken_at.0,
        size_gib: last.size_gib,
        ready: last.ready,
        set_aside: last.set_aside,
    }
}

fn set(set: &record::SnapshotSet) -> wire::record::SnapshotSet {
    wire::record::SnapshotSet {
        generation: set.generation,
        begun_at: set.begun_at.0,
        volumes: texts(&set.volumes),
        snapshots: texts(&set.snapshots),
    }
}

fn stuck(stuck: &record::NeedsDecision) -> wire::record::NeedsDecision {
    let choice = |choice: &user::Choice| match choice {
        user::Choice::Wait => wire::Choice::Wait,
        user::Choice::Retry => wire::Choice::Retry,
        user::Choice::Restore => wire::Choice::Restore,
    };
    wire::record::NeedsDecision {
        row: stuck.row.name().to_owned(),
        since: stuck.since.0,
        why: stuck.why.clone(),
        choices: stuck.choices().iter().map(choice).collect(),
        restore: texts(&stuck.restore()),
    }
}

fn deallocation(chosen: user::Deallocation) -> wire::Deallocation {
    wire::Deallocation {
        should_terminate_instance: Some(chosen.should_terminate_instance),
        should_delete_images: Some(chosen.should_delete_images),
        should_delete_network_interfaces: Some(chosen.should_delete_network_interfaces),
        should_delete_volumes: Some(chosen.should_delete_volumes),
        should_delete_snapshots: Some(chosen.should_delete_snapshots),
    }
}

/// Everything that is kept of each generation, oldest first.
pub(crate) fn generations(record: &Record) -> Vec<wire::Generation> {
    let mut found: BTreeMap<u64, wire::Generation> = BTreeMap::new();
    for last in &record.kept.final_snapshots {
        let known = found.entry(last.generation).or_insert_with(|| wire::Generation {
            generation: last.generation,
            kind: "final".to_owned(),
            taken_at: (last.taken_at > Time(0)).then(|| rfc3339(last.taken_at)),
            ready: last.ready,
            set_aside: false,
            volumes: Vec::new(),
        });
        known.set_aside |= last.set_aside;
        known.volumes.push(wire::KeptVolume {
            of: last.of.clone(),
            snapshot_id: text(&last.snapshot),
            image_id: last.image.as_ref().map(text),
            size_gib: last.size_gib,
        });
    }
    let mut all: Vec<wire::Generation> = found.into_values().collect();
    for set in &record.upkeep.sets {
        let volume = |(of, snapshot): (&String, &SnapshotId)| wire::KeptVolume {
            of: of.clone(),
            snapshot_id: text(snapshot),
            image_id: None,
            size_gib: None,
        };
        all.push(wire::Generation {
            generation: set.generation,
            kind: "periodic".to_owned(),
            taken_at: Some(rfc3339(set.begun_at)),
            ready: true,
            set_aside: false,
            volumes: set.snapshots.iter().map(volume).collect(),
        });
    }
    // A final snapshot is the last of its generation.
    all.sort_by_key(|g| (g.generation, g.kind == "final"));
    all
}
