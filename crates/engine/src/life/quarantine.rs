//! What another controller has made. A store that was restored from a backup, or copied, knows
//! less than the cloud shows: instances of later generations, copies of which the record never
//! heard. Whatever such a record would decide could be wrong, so nothing is decided: the node is
//! left as it is, shown, and waits until a person has it adopted ([`crate::life::adopt`]).

use crate::context::desk::Desk;
use crate::context::scene::Scene;
use crate::observed::marks::{epoch, generation};
use holdfast_model::facts::Fact;
use holdfast_model::record::{MAX_EVIDENCE, Quarantine};
use holdfast_model::{Epoch, EventCode, NodeId, Record, tags};

/// Whether a resource was made by a controller that knew more than this record.
fn is_beyond(record: &Record, fact: &Fact, scene: &Scene<'_>) -> bool {
    is_later(record, generation(fact), epoch(fact), scene)
}

fn is_later(
    record: &Record,
    generation: Option<u64>,
    epoch: Option<Epoch>,
    scene: &Scene<'_>,
) -> bool {
    generation.is_some_and(|g| g > record.generations.newest())
        || epoch.is_some_and(|e| e.is_beyond(scene.epoch))
}

/// Whether a resource is this node's to change: of our installation, of this node, and not made by
/// a controller that knew more than the record.
#[must_use]
pub fn is_accounted(record: &Record, fact: &Fact, scene: &Scene<'_>) -> bool {
    let NodeId(node) = &record.id;
    fact.tags().get(tags::INSTALLATION) == Some(&scene.installation.0)
        && fact.tags().get(tags::NODE) == Some(node)
        && !is_beyond(record, fact, scene)
}

/// Whether the node is to be left as it is. The first time, that is noted; a person lifts it.
pub(crate) fn holds(desk: &mut Desk<'_>) -> bool {
    if desk.record.blocked.quarantine().is_none()
        && let Some(found) = evidence(desk)
    {
        desk.tell(EventCode::Quarantined, found.why.clone());
        desk.record.blocked.hold(found);
    }
    if let Some(quarantine) = desk.record.blocked.quarantine() {
        desk.waits_for = Some(quarantine.why.clone());
    }
    desk.record.blocked.quarantine().is_some()
}

/// What shows that somebody knew more.
fn evidence(desk: &Desk<'_>) -> Option<Quarantine> {
    let (record, scene) = (&desk.record, desk.scene);
    let beyond: Vec<&Fact> = scene
        .world
        .shown(&record.id)
        .iter()
        .filter(|shown| is_later(record, shown.generation, shown.epoch, scene))
        .map(|shown| &shown.fact)
        // What another installation made for a node of the same id is none of our business.
        .filter(|fact| fact.tags().get(tags::INSTALLATION) == Some(&scene.installation.0))
        .collect();
    let first = beyond.first()?;
    let newest = beyond.iter().filter_map(|f| generation(f)).max().unwrap_or_default();
    let mut what = format!("{} of generation {newest}", first.id());
    if newest <= record.generations.newest()
        && let Some(epoch) = beyond.iter().filter_map(|f| epoch(f)).max_by_key(|e| e.count)
    {
        let own = scene.epoch.count;
        what =
            format!("{} of the controller's epoch {}, and this is {own}", first.id(), epoch.count);
    }
    let others = match beyond.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    Some(Quarantine {
        since: scene.now,
        why: format!(
            "the cloud shows {what}{others}, but the record ends at generation {}: the store is \
             an older copy, or a second server uses a copy of it; nothing is done with this node \
             until \"holdfast adopt {}\" (make sure first that no other server runs)",
            record.generations.newest(),
            record.id
        ),
        ids: beyond.iter().take(MAX_EVIDENCE).map(|f| f.id().to_owned()).collect(),
    })
}
