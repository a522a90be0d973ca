//! What is in the cloud and not accounted for: by node, for people to look at.

use crate::context::scene::Scene;
use crate::life::adopt::adopt;
use holdfast_model::adoption::{Heads, Question, Stray};
use holdfast_model::facts::{Fact, InstanceState, ResourceKind};
use holdfast_model::{NodeId, Record, tags};
use std::collections::{BTreeMap, BTreeSet};

/// The most resources that are shown.
pub const MAX_STRAYS: usize = 10_000;

/// Everything that carries Holdfast's tags and that no record accounts for.
pub fn strays<'a>(records: impl Iterator<Item = &'a Record>, scene: &Scene<'_>) -> Vec<Stray> {
    let records: BTreeMap<&NodeId, &Record> = records.map(|r| (&r.id, r)).collect();
    let accounted: BTreeMap<&NodeId, BTreeSet<String>> =
        records.iter().map(|(id, record)| (*id, names(record, scene))).collect();
    let mut found: BTreeMap<(bool, &str, &str), Vec<&Fact>> = BTreeMap::new();
    for fact in scene.world.all() {
        let over = is_over(fact, scene);
        let tag = |name: &str| fact.tags().get(name).map_or("", String::as_str);
        let (installation, node) = (tag(tags::INSTALLATION), tag(tags::NODE));
        let ours = installation == scene.installation.as_str();
        let id = NodeId::from(node);
        if over || (ours && accounted.get(&id).is_some_and(|known| known.contains(fact.id()))) {
            continue;
        }
        // While a replacement is under way, what it makes is not accounted for yet.
        let busy = |r: &&Record| r.work.is_some() && r.blocked.quarantine().is_none();
        if ours && records.get(&id).is_some_and(busy) {
            continue;
        }
        found.entry((!ours, installation, node)).or_default().push(fact);
    }
    let mut left = MAX_STRAYS;
    let mut strays = Vec::new();
    for ((other, installation, node), facts) in found {
        let record = records.get(&NodeId::from(node)).copied().filter(|_| !other);
        let resources: Vec<Fact> = facts.into_iter().take(left).cloned().collect();
        left -= resources.len();
        let (why, tried) = judge(record, other, installation, scene);
        let (found, questions) = match tried {
            None => (None, Vec::new()),
            Some(Ok(found)) => (Some(found), Vec::new()),
            Some(Err(questions)) => (None, questions),
        };
        strays.push(Stray {
            installation: installation.to_owned(),
            node: node.to_owned(),
            ours: !other,
            recorded: record.map(|r| r.generations.number()),
            why,
            found,
            questions,
            resources,
        });
        if left == 0 {
            break;
        }
    }
    strays
}

/// Whether something has ended, or ends by itself: the interface of an instance that has ended was
/// seen when it still ran, and shows as free at the next look if it is not deleted with it.
fn is_over(fact: &Fact, scene: &Scene<'_>) -> bool {
    let ended = |f: &Fact| matches!(f, Fact::Instance(i) if i.state == InstanceState::Terminated);
    match fact {
        Fact::Interface(i) => {
            let holder = i.attached_to.as_ref();
            holder.and_then(|id| scene.world.last_seen(id.as_str())).is_some_and(ended)
        }
        other => ended(other),
    }
}

type Tried = Option<Result<String, Vec<Question>>>;

fn judge(record: Option<&Record>, other: bool, of: &str, scene: &Scene<'_>) -> (String, Tried) {
    if other {
        let why = format!(
            "of another installation ({of}), left alone; a server of that installation can adopt \
             it (holdfast serve --installation {of})"
        );
        return (why, None);
    }
    let Some(record) = record else {
        let why = "no record; adopt it with --spec, or leave it";
        return (why.to_owned(), None);
    };
    match record.blocked.quarantine() {
        Some(quarantine) => {
            let tried = adopt(record, &Heads::new(), scene).map(|a| a.found);
            (quarantine.why.clone(), Some(tried))
        }
        None => {
            let why = "left over: its node does not need it; delete it yourself once you are sure, \
                       it goes with the node otherwise";
            (why.to_owned(), None)
        }
    }
}

/// Every id that a record names, and what its instance holds.
fn names(record: &Record, scene: &Scene<'_>) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    if record.blocked.quarantine().is_some() {
        return ids;
    }
    if let Ok(value) = serde_json::to_value(record) {
        collect(&value, &mut ids);
    }
    if let Some(holder) = &record.instance
        && let Some(Fact::Instance(i)) = scene.world.last_seen(holder.id.as_str())
    {
        ids.extend(i.attachments.iter().map(|a| a.volume.0.clone()));
        ids.extend(i.interface.iter().map(|e| e.0.clone()));
    }
    ids
}

fn collect(value: &serde_json::Value, ids: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::String(text) if ResourceKind::of_id(text).is_some() => {
            ids.insert(text.clone());
        }
        serde_json::Value::Array(items) => items.iter().for_each(|v| collect(v, ids)),
        serde_json::Value::Object(members) => members.values().for_each(|v| collect(v, ids)),
        _ => {}
    }
}
