//! A living instance that its user keeps when the node is given up: it runs on, with every volume and
//! interface that it holds, and nothing of it is touched any more. So that nothing ever will be, all
//! that was the node's is marked as released and our own tags come off.

use crate::context::desk::{Asked, Desk, pause};
use holdfast_model::facts::Fact;
use holdfast_model::record::{DataHead, RootHead};
use holdfast_model::tags::{self, Tags};
use holdfast_model::{Command, EventCode, Known, Row};
use std::collections::BTreeSet;

/// How often it is asked at most that our tags come off something. The pauses grow to two minutes at
/// EC2, so that it is asked for some eight minutes.
const MOST_ATTEMPTS: u32 = 10;

/// Whether it is positively known how the instance is, and so what it holds.
pub(crate) fn is_seen(desk: &mut Desk<'_>) -> bool {
    let Some(id) = desk.record.instance.as_ref().map(|h| h.id.clone()) else { return true };
    if let Known::Unknown = desk.scene.world.instance(id.as_str()) {
        desk.watch(id.as_str(), format!("a look at {id}, which is let go"));
        return false;
    }
    true
}

/// What is left to the user with the instance.
pub(crate) fn left_to_the_user(desk: &Desk<'_>) -> Vec<String> {
    let record = &desk.record;
    let mut ids: BTreeSet<String> = BTreeSet::new();
    if let Some(holder) = &record.instance {
        ids.insert(holder.id.0.clone());
        if let Some(Fact::Instance(instance)) = desk.scene.world.last_seen(holder.id.as_str()) {
            ids.extend(instance.attachments.iter().map(|a| a.volume.0.clone()));
            ids.extend(instance.interface.iter().map(|i| i.0.clone()));
        }
    }
    if let RootHead::Live { volume: Some(volume), .. } = &record.identity.root {
        ids.insert(volume.0.clone());
    }
    for data in &record.identity.data {
        if let DataHead::Volume { id, .. } = &data.head {
            ids.insert(id.0.clone());
        }
    }
    ids.extend(record.identity.interfaces().map(|i| i.id.0.clone()));
    for fact in desk.scene.world.ours(&record.id, desk.scene.installation) {
        if matches!(fact, Fact::Volume(_) | Fact::Interface(_)) {
            ids.insert(fact.id().to_owned());
        }
    }
    // What was to go before goes.
    let going = |id: &String| record.kept.pending_deletion.iter().any(|s| &s.id == id);
    ids.into_iter().filter(|id| !going(id)).collect()
}

/// Marks what is released and takes our tags off. True once nothing has any.
pub(crate) fn untag(desk: &mut Desk<'_>) -> bool {
    for id in desk.record.lifecycle.untag().to_vec() {
        match desk.scene.world.known(&id) {
            Known::Present(fact) if is_ours(desk, fact) => {}
            Known::Present(_) | Known::Absent => {
                desk.record.lifecycle.note_untagged(&id);
                continue;
            }
            Known::Unknown => {}
        }
        desk.watch(&id, format!("{id} to carry the node's tags no more"));
        let (mark, release) = (format!("mark:{id}"), format!("release:{id}"));
        match desk.standing(Row::Retire, &mark) {
            None => {
                let (resource, node) = (id.clone(), desk.record.id.0.clone());
                let tags = Tags::from([(tags::RELEASED.to_owned(), node)]);
                desk.start(Row::Retire, &mark, |_, _| Command::CreateTags { resource, tags });
                continue;
            }
            Some(Asked::Waiting) => continue,
            // The mark is for people: a resource that is full of its user's tags goes without.
            Some(Asked::Done(_) | Asked::Refused { .. }) => {}
        }
        match desk.standing(Row::Retire, &release) {
            None => ask_for_release(desk, &id, &release),
            Some(Asked::Waiting | Asked::Done(_)) => {}
            // If its user has deleted it, it shows as absent soon. Otherwise the tags are still on it.
            Some(Asked::Refused { error, at, attempt }) if attempt < MOST_ATTEMPTS => {
                let next = at.plus(pause(desk.scene.tuning.retry_base, attempt));
                if desk.scene.now >= next {
                    ask_for_release(desk, &id, &release);
                } else {
                    desk.wake_at(next);
                    desk.wait(format!("the node's tags to come off {id}: {error}"));
                }
            }
            Some(Asked::Refused { error, .. }) => {
                let message = format!(
                    "{id} is let go and keeps Holdfast's tags, which could not be taken off \
                     ({error}); nothing of it is touched any more"
                );
                desk.tell(EventCode::NotUntagged, message);
                desk.record.lifecycle.note_untagged(&id);
            }
        }
    }
    desk.record.lifecycle.untag().is_empty()
}

fn ask_for_release(desk: &mut Desk<'_>, id: &str, name: &str) {
    let (resource, keys) = (id.to_owned(), tags::OURS.map(str::to_owned).to_vec());
    desk.start(Row::Retire, name, |_, _| Command::DeleteTags { resource, keys });
}

fn is_ours(desk: &Desk<'_>, fact: &Fact) -> bool {
    fact.tags().get(tags::INSTALLATION) == Some(&desk.scene.installation.0)
        && fact.tags().get(tags::NODE) == Some(&desk.record.id.0)
}
