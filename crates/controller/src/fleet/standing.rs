//! What concerns the fleet as a whole: whether anything may be changed at all, and for whom it
//! decides.

use super::{Belief, Effect, Fleet, brake::Brake};
use holdfast_engine::Scene;
use holdfast_engine::invariants::{self, Broken};
use holdfast_engine::parts::retention;
use holdfast_model::facts::ResourceKind;
use holdfast_model::record::{DataHead, Goal, RootHead};
use holdfast_model::standing::{Cause, Freeze, Standing};
use holdfast_model::{Command, Event, EventCode, NodeId, Record, Time, tags};

/// If at least this many resources vanish at once, and they are most of them, something is wrong
/// with the view and not with the resources.
const VANISHED_AT_ONCE: usize = 4;
/// The most ids of vanished resources that are remembered.
const MAX_VANISHED: usize = 100_000;
/// Events of the fleet as a whole are told under this name in place of a node's.
pub const FLEET: &str = "fleet";

impl Fleet {
    /// What the fleet as a whole must not forget: to be stored whenever it has changed, before the
    /// effects are carried out.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Why nothing is changed at the moment, if so.
    #[must_use]
    pub fn frozen(&self) -> Option<&str> {
        self.standing.frozen().map(|freeze| freeze.reason.as_str())
    }

    /// What is believed of the cloud's buckets for calls, and how many calls wait for each; empty
    /// where the cloud has no limits.
    #[must_use]
    pub fn beliefs(&self, now: Time) -> Vec<Belief> {
        let mut beliefs = self.queue.buckets.beliefs(now);
        for belief in &mut beliefs {
            belief.waiting = self.queue.waiting(belief.action);
        }
        beliefs
    }

    /// How many calls could leave, and wait for a bucket or for others to be answered, by action.
    pub fn waiting_calls(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.queue.lengths()
    }

    /// How many calls wait for a time, to be said again.
    #[must_use]
    pub fn later_calls(&self) -> usize {
        self.queue.later()
    }

    /// How many replacements were begun by the fleet's own choice.
    #[must_use]
    pub fn brake(&self) -> &Brake {
        &self.brake
    }

    /// What keeps every node from being worked on, if anything does. Before the first whole look
    /// nothing is decided: a store that was restored may know less than the cloud shows.
    pub(super) fn held(&self) -> Option<&'static str> {
        if self.standing.frozen().is_some() {
            return Some("the freeze to be lifted");
        }
        (!self.world.is_swept()).then_some("a whole look at the cloud")
    }

    /// What a plan is made from, besides the record.
    pub(super) fn scene(&self, now: Time) -> Scene<'_> {
        Scene {
            world: &self.world,
            catalogue: &self.catalogue,
            installation: &self.config.installation,
            epoch: self.standing.epoch,
            survival: &self.survival,
            tuning: &self.config.tuning,
            snapshot_volumes: self.snapshot_volumes,
            choice_from: self.brake.next(now),
            now,
        }
    }

    /// The last question before a call leaves.
    pub(super) fn may_leave(
        &self,
        record: &Record,
        command: &Command,
        now: Time,
    ) -> Result<(), Broken> {
        invariants::may_leave(record, command, &self.scene(now))
    }

    /// Stops changing anything.
    pub(super) fn freeze(
        &mut self,
        cause: Cause,
        reason: String,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        self.tell(EventCode::Frozen, format!("nothing is changed: {reason}"), now, effects);
        self.standing.freezes.insert(cause, Freeze { since: now, reason, ids: Vec::new() });
        self.dirty.extend(self.runners.keys().cloned());
    }

    /// A person says: go on. Credentials of another account remain a reason.
    pub(super) fn thaw(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.standing.freezes.remove(&Cause::Asked);
        if let Some(vanished) = self.standing.freezes.remove(&Cause::Vanished) {
            self.looked = true;
            // A person knows that it is gone: that is no reason any more, also after a restart.
            self.standing.gone.extend(vanished.ids);
        }
        let left = match self.standing.frozen() {
            None => "a person lifted the freeze".to_owned(),
            Some(freeze) => format!("still frozen: {}", freeze.reason),
        };
        self.tell(EventCode::Thawed, left, now, effects);
        self.dirty.extend(self.runners.keys().cloned());
    }

    /// Tells of the fleet as a whole.
    fn tell(&mut self, code: EventCode, message: String, now: Time, effects: &mut Vec<Effect>) {
        let node = NodeId::from(FLEET);
        let event = Event::new(now, node.clone(), code, message);
        // Nobody waits for this commit, and no record goes with it.
        let id = self.id();
        effects.push(Effect::Commit { id, node, expected: 0, record: None, events: vec![event] });
    }

    /// If most of what the nodes need vanishes, in one sweep or while nobody looked, the view is
    /// wrong and not the resources: nothing is changed until they show again, or a person says so.
    pub(super) fn mind_vanished(
        &mut self,
        vanished: &[String],
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(freeze) = self.standing.freezes.get(&Cause::Vanished) {
            let shown = freeze.ids.iter().filter(|id| self.world.shows(id)).count();
            if shown * 2 <= freeze.ids.len() {
                self.view_back = None;
            } else if self.is_whole_again(now) {
                self.view_back = None;
                self.standing.freezes.remove(&Cause::Vanished);
                let message = "what had vanished shows again".to_owned();
                self.tell(EventCode::Thawed, message, now, effects);
                self.dirty.extend(self.runners.keys().cloned());
            }
            return;
        }
        let (missed, shown) = if self.looked {
            self.missed_of(vanished)
        } else {
            self.looked = self.world.is_settled();
            self.missed_at_start()
        };
        let gone = missed.iter().filter(|id| self.looked || self.world.is_gone(id)).count();
        if gone < VANISHED_AT_ONCE || gone <= shown {
            return;
        }
        let reason = format!(
            "{} resources that nodes need vanished at once, {shown} still show: credentials, \
             region or account may be wrong, or the store is of another time; it is lifted when \
             they show again, or by \"holdfast thaw\"",
            missed.len()
        );
        self.freeze(Cause::Vanished, reason, now, effects);
        if let Some(freeze) = self.standing.freezes.get_mut(&Cause::Vanished) {
            freeze.ids = missed;
            freeze.ids.truncate(MAX_VANISHED);
        }
    }

    /// Whether everything has been looked at since the view came back, and shows: until then some of
    /// what the nodes need is only known as it was while nothing was seen.
    fn is_whole_again(&mut self, now: Time) -> bool {
        let back = match self.view_back {
            Some(back) => back,
            None => {
                self.view_back = Some(now);
                self.reads.sweep_soon(now);
                now
            }
        };
        let looked = |kind| self.world.swept(kind).is_some_and(|asked| asked >= back);
        if !ResourceKind::ALL.into_iter().all(looked) {
            return false;
        }
        let (missed, _) = self.missed_at_start();
        let records = self.runners.values().filter_map(|r| r.record.as_ref());
        let needed: Vec<&str> = records.flat_map(|r| identity(r)).collect();
        ResourceKind::ALL.into_iter().all(|kind| {
            let of_kind = |id: &str| ResourceKind::of_id(id) == Some(kind);
            let all = needed.iter().filter(|id| of_kind(id)).count();
            let missed = missed.iter().filter(|id| of_kind(id)).count();
            missed < VANISHED_AT_ONCE || missed * 2 <= all
        })
    }

    /// What of these the nodes need, and how much else of their kind is shown.
    fn missed_of(&self, vanished: &[String]) -> (Vec<String>, usize) {
        if vanished.len() < VANISHED_AT_ONCE {
            return (Vec::new(), 0);
        }
        let is_needed = |id: &str| {
            let node = self.world.last_seen(id).and_then(|fact| fact.tags().get(tags::NODE));
            let runner = node.and_then(|node| self.runners.get(&NodeId(node.clone())));
            let record = runner.and_then(|runner| runner.record.as_ref());
            record.is_some_and(|record| retention::is_needed(record, id))
        };
        let missed: Vec<String> = vanished.iter().filter(|id| is_needed(id)).cloned().collect();
        let kind = vanished.first().and_then(|id| ResourceKind::of_id(id));
        let shown = self
            .world
            .all()
            .filter(|f| Some(f.kind()) == kind)
            .filter(|f| is_needed(f.id()))
            .count();
        (missed, shown)
    }

    /// What the records that were loaded need: what of it does not show, and how much does.
    fn missed_at_start(&self) -> (Vec<String>, usize) {
        let records = self.runners.values().filter_map(|r| r.record.as_ref());
        let mut missed = Vec::new();
        let mut shown = 0;
        for id in records.flat_map(|r| identity(r)) {
            if self.world.shows(id) {
                shown += 1;
            } else if !self.standing.gone.contains(id) {
                missed.push(id.to_owned());
            }
        }
        (missed, shown)
    }
}

/// What a node is made of now.
fn identity(record: &Record) -> Vec<&str> {
    if record.lifecycle.goal() == Goal::Deleted {
        return Vec::new();
    }
    let mut ids: Vec<&str> = record.instance.iter().map(|h| h.id.as_str()).collect();
    ids.extend(record.identity.interface.iter().map(|i| i.id.as_str()));
    match &record.identity.root {
        RootHead::Live { volume: Some(volume), .. } => ids.push(volume.as_str()),
        RootHead::Captured { snapshot, image, .. } => {
            ids.extend([snapshot.as_str(), image.as_str()]);
        }
        RootHead::Live { volume: None, .. } | RootHead::Fresh => {}
    }
    for data in &record.identity.data {
        if let DataHead::Volume { id, .. } = &data.head {
            ids.push(id.as_str());
        }
    }
    ids
}
