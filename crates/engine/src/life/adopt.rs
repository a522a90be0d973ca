//! Adoption: a record is brought up to what the cloud shows, by tags and facts, on a person's word.
//!
//! Only what is certain is taken for certain: an instance that lives holds the newest content;
//! without one, a part of the node of which there is exactly one candidate. Everything else is a
//! question that names its candidates, and a person answers it. What is not chosen is neither
//! deleted nor forgotten: it is shown as unaccounted for.

/// The node's interfaces.
mod interfaces;
/// Its root, its volumes and what is kept of them.
mod parts;
/// A record that is being put together.
mod work;

use crate::context::scene::Scene;
use crate::observed::marks::{epoch, generation};
use crate::parts::retention::supersede;
use crate::parts::standing_by;
use holdfast_model::adoption::{Candidate, Heads, Question};
use holdfast_model::facts::{Fact, Health, InstanceFact, InstanceState};
use holdfast_model::record::{Goal, RootHead, ServingInstance, SnapshotSet, Upkeep};
use holdfast_model::{Epoch, Event, EventCode, Market, NodeId, Record, SubnetId, tags};
use work::Work;

/// Numbers of replacements are advanced by this much beyond the newest that is known, so that no
/// token is ever derived twice.
const NUMBERS_APART: u64 = 100;

/// A record as it would be after the adoption.
#[derive(Debug, Clone, PartialEq)]
pub struct Adopted {
    /// The record.
    pub record: Record,
    /// What was found, as a sentence.
    pub found: String,
}

/// The newest epoch that anything of a node was made in.
#[must_use]
pub fn newest_epoch(node: &NodeId, scene: &Scene<'_>) -> Option<Epoch> {
    scene.world.ours(node, scene.installation).filter_map(epoch).max_by_key(|e| e.count)
}

/// Brings a record up to what the cloud shows of its node.
///
/// # Errors
/// The questions that only a person can answer; then nothing is to be changed.
pub fn adopt(record: &Record, heads: &Heads, scene: &Scene<'_>) -> Result<Adopted, Vec<Question>> {
    let refuse = |part: &str, why: String| {
        Err(vec![Question { part: part.to_owned(), why, candidates: Vec::new() }])
    };
    if record.lifecycle.goal() == Goal::Deleted {
        return refuse("node", "it has been given up; nothing of it is taken up".to_owned());
    }
    if !scene.world.is_settled() {
        let why = "the cloud has not been looked at for long enough; try again in half a minute";
        return refuse("node", why.to_owned());
    }
    let spec = match record.document.spec() {
        Ok(spec) => spec,
        Err(errors) => {
            let why = errors.first().map(ToString::to_string).unwrap_or_default();
            return refuse("spec", why);
        }
    };
    let facts: Vec<&Fact> = scene.world.ours(&record.id, scene.installation).collect();
    if facts.is_empty() && record.revision.is_none() {
        let ours = scene.installation;
        return refuse("node", format!("the cloud shows nothing of it that is of {ours}"));
    }
    let mut work =
        Work { record: record.clone(), spec, facts, heads, scene, questions: Vec::new() };
    let known: Vec<String> = parts::names(&work);
    for part in heads.keys().filter(|part| !known.contains(part)) {
        work.questions.push(Question {
            part: part.clone(),
            why: format!("the node has no such part; it has {}", known.join(", ")),
            candidates: Vec::new(),
        });
    }
    begin_anew(&mut work);
    let holder = holder(&mut work);
    parts::root(&mut work, holder);
    parts::data(&mut work, holder);
    interfaces::interfaces(&mut work, holder);
    parts::finals(&mut work, holder);
    if !work.questions.is_empty() {
        return Err(work.questions);
    }
    let found = match holder {
        Some(instance) => {
            take_over(&mut work, instance);
            format!("{} of generation {} goes on", instance.id, work.record.generations.number())
        }
        None => format!("no instance lives; its {}", parts::told(&work.record)),
    };
    Ok(Adopted { record: work.record, found })
}

/// The event that goes with an adoption.
#[must_use]
pub fn event(adopted: &Adopted, scene: &Scene<'_>) -> Event {
    let message = format!("adopted on a person's word: {}", adopted.found);
    Event::new(scene.now, adopted.record.id.clone(), EventCode::Adopted, message)
}

/// What an older record had under way is over, and nothing that it meant to delete is deleted.
fn begin_anew(work: &mut Work<'_>) {
    let newest = work.facts.iter().filter_map(|f| generation(f)).max().filter(|g| *g > 0);
    let numbers = work.facts.iter().filter_map(|f| number(f)).max().unwrap_or_default();
    let record = &mut work.record;
    record.generations.at_least(newest);
    record.memory.replacements = record.memory.replacements.max(numbers) + NUMBERS_APART;
    record.work = None;
    record.kept.pending_deletion.clear();
    let shown = |set: &SnapshotSet| {
        set.snapshots.values().all(|s| work.facts.iter().any(|f| f.id() == s.as_str()))
    };
    let sets = record.upkeep.sets.iter().filter(|set| shown(set)).cloned().collect();
    record.upkeep = Upkeep { sets, last_at: work.scene.now, ..Upkeep::default() }.into();
    record.blocked.goes_on();
    record.blocked.note_adopted();
    record.lifecycle.set_recycle(false);
    record.identity.rollback = None;
    record.instance = None;
}

/// The number of the replacement that made a resource, as its token tells.
fn number(fact: &Fact) -> Option<u64> {
    let token = fact.tags().get(tags::TOKEN)?;
    token.rsplit('-').nth(1)?.parse().ok()
}

/// The instance that lives, if one does.
fn holder<'a>(work: &mut Work<'a>) -> Option<&'a InstanceFact> {
    let lives = |f: &&'a Fact| match *f {
        Fact::Instance(i) if i.state != InstanceState::Terminated => Some(&**i),
        _ => None,
    };
    let mut alive: Vec<&InstanceFact> = work.facts.iter().filter_map(lives).collect();
    set_standbys_aside(work, &mut alive);
    let (instance, others) = alive.split_first()?;
    let told = |i: &InstanceFact| {
        let generation = i.tags.get(tags::GENERATION).map_or("?", String::as_str);
        let what = format!("{:?}, generation {generation}", i.state).to_lowercase();
        Candidate { id: i.id.0.clone(), what }
    };
    if !others.is_empty() {
        let why = "several instances live, and each may have written; terminate all but one \
                   yourself, then adopt again";
        work.ask("instance", why.to_owned(), alive.iter().map(|i| told(i)).collect());
        return None;
    }
    let passing = matches!(
        instance.state,
        InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Stopping
    );
    if passing {
        let why = "an instance is on its way up or down; adopt again when it is there or gone";
        work.ask("instance", why.to_owned(), vec![told(instance)]);
        return None;
    }
    let of = instance.tags.get(tags::GENERATION).and_then(|g| g.parse::<u64>().ok());
    let is_of_standby = |f: &&Fact| parts::role(f.tags()) == standing_by::ROLE;
    let newer = work.facts.iter().copied().find(|f| generation(f) > of && !is_of_standby(f));
    if let Some(newer) = newer
        && work.head("instance").as_deref() != Some(instance.id.as_str())
    {
        let why = format!(
            "{} is of a later generation than the instance that lives; say --head instance={} if \
             the instance holds the newest content",
            newer.id(),
            instance.id
        );
        work.ask("instance", why, vec![told(instance)]);
        return None;
    }
    work.record.instance = Some(ServingInstance {
        id: instance.id.clone(),
        market: market(work, instance),
        why: String::new(),
        launched_at: instance.launched_at,
        impaired_since: None,
    });
    Some(instance)
}

/// An instance that stands by for another holds nothing of the node, and goes.
fn set_standbys_aside(work: &mut Work<'_>, alive: &mut Vec<&InstanceFact>) {
    let stands_by = |i: &InstanceFact| {
        let only_its_root = i.attachments.iter().all(|a| a.device == i.root_device);
        let kept = |f: &&Fact| match f {
            Fact::Interface(held) => {
                held.attached_to.as_ref() == Some(&i.id)
                    && parts::role(&held.tags) != standing_by::ROLE
            }
            _ => false,
        };
        parts::role(&i.tags) == standing_by::ROLE && only_its_root && !work.facts.iter().any(kept)
    };
    let (aside, others): (Vec<&InstanceFact>, Vec<&InstanceFact>) =
        alive.iter().partition(|i| stands_by(i));
    if others.is_empty() {
        return;
    }
    for instance in aside {
        supersede(&mut work.record, instance.id.as_str(), "it stood by for another", 0);
    }
    *alive = others;
}

/// The market that an instance runs in.
fn market(work: &Work<'_>, instance: &InstanceFact) -> Market {
    let interface = work.facts.iter().find_map(|f| match f {
        Fact::Interface(i) if Some(&i.id) == instance.interface.as_ref() => Some(i.subnet.clone()),
        _ => None,
    });
    let of_zone = || {
        let catalogue = work.scene.catalogue;
        let in_zone = |s: &&SubnetId| catalogue.subnet(s).is_some_and(|s| s.zone == instance.zone);
        work.spec.subnets.iter().find(in_zone).cloned()
    };
    Market {
        instance_type: instance.instance_type.clone(),
        zone: instance.zone.clone(),
        subnet: interface.or_else(of_zone).unwrap_or_else(|| SubnetId::from("")),
        lifecycle: instance.lifecycle,
    }
}

/// An instance that lives goes on without an interruption, if it has all that it needs.
fn take_over(work: &mut Work<'_>, instance: &InstanceFact) {
    work.record.lifecycle.run();
    let whole = work.spec.data.iter().all(|wanted| {
        let head =
            work.record.identity.data.iter().find(|d| d.device == wanted.device).map(|d| &d.head);
        instance.attachments.iter().any(|a| {
            a.device == wanted.device
                && matches!(head, Some(holdfast_model::record::DataHead::Volume { id, .. })
                    if id == &a.volume)
        })
    });
    // Its launch was not finished by whoever made it: the next instance is made in full.
    let serves =
        instance.state == InstanceState::Running && instance.health != Health::Initializing;
    work.record.lifecycle.set_recycle(!(whole && serves));
    if let RootHead::Live { volume: None, .. } = work.record.identity.root {
        work.record.lifecycle.set_recycle(true);
    }
}
