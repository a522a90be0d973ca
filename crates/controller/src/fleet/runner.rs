//! One node's runner: what waits to be planned, and what is being committed.

use super::hearing::{echo, hear, take_up};
use super::messages::Effect;
use super::unreadable::Unreadable;
use crate::refusal::Refusal;
use holdfast_engine::invariants::Broken;
use holdfast_engine::tables::overtakes::Followed;
use holdfast_engine::words;
use holdfast_engine::{Scene, invariants, joints, plan, replies};
use holdfast_model::facts::ResourceKind;
use holdfast_model::market::Catalogue;
use holdfast_model::time::SECOND;
use holdfast_model::user::UserCommand;
use holdfast_model::{
    CloudError, Event, EventCode, Invariant, NodeId, Record, Reply, Row, Time, Token,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What broken invariants are seen by.
const LOOKED_AT: [ResourceKind; 3] =
    [ResourceKind::Instance, ResourceKind::Volume, ResourceKind::Interface];
/// Where one is seen, how soon it is asked again at most whether a whole look has come in since, in
/// milliseconds.
const LOOK_AGAIN: u64 = 5 * SECOND;

/// A call's definite answer, until it is planned with.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) row: Row,
    pub(super) name: String,
    pub(super) token: Token,
    pub(super) result: Result<Reply, CloudError>,
}

/// What is being committed.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) record: Option<Arc<Record>>,
    pub(super) before: Arc<Record>,
    pub(super) events: Vec<Event>,
    pub(super) words: Vec<u64>,
    pub(super) replies: Vec<Answered>,
    pub(super) overtaken: Vec<Followed>,
}

/// The runner.
#[derive(Debug, Clone, Default)]
pub(super) struct Runner {
    /// As committed; revision 0: not yet. `None`: it cannot be read.
    pub(super) record: Option<Arc<Record>>,
    pub(super) committing: Option<Draft>,
    pub(super) replies: Vec<Answered>,
    pub(super) words: VecDeque<(u64, UserCommand)>,
    pub(super) wake: Option<Time>,
    pub(super) waits_for: Option<String>,
    pub(super) watch: Vec<String>,
    pub(super) stopped: Option<String>,
    /// A damaged record that is stored in this one's place, until this one is committed; without a
    /// record: that is stored, and stops the node.
    pub(super) replaces: Option<Unreadable>,
    /// It was asked to plan while a draft of it was being committed.
    pub(super) again: bool,
    /// The draft that has just been committed is all that there is to say: a plan is made until
    /// nothing changes, so another one would say the same.
    pub(super) settled: bool,
    /// Invariants that seem to be broken, and since when.
    broken: BTreeMap<Invariant, Time>,
}

impl Runner {
    pub(super) fn new(record: Arc<Record>) -> Runner {
        Runner { record: Some(record), ..Runner::default() }
    }

    pub(super) fn stopped(unreadable: Unreadable) -> Runner {
        let stopped = Some(unreadable.why.clone());
        Runner { stopped, replaces: Some(unreadable), ..Runner::default() }
    }

    /// A record that takes the place of one that is damaged.
    pub(super) fn instead(record: Arc<Record>, damaged: Unreadable) -> Runner {
        Runner { replaces: Some(damaged), ..Runner::new(record) }
    }

    /// Whether its stored record is damaged, so that a person may have it replaced.
    pub(super) fn is_damaged(&self) -> bool {
        self.record.is_none() && self.replaces.as_ref().is_some_and(|d| d.damaged.is_some())
    }

    /// The revision that is stored; 0: none is.
    pub(super) fn stored_revision(&self) -> u64 {
        let damaged = || self.replaces.as_ref().and_then(|d| d.damaged).unwrap_or(0);
        match self.record.as_ref().and_then(|r| r.revision).unwrap_or_default() {
            0 => damaged(),
            revision => revision,
        }
    }

    /// Whether only the last look before its record goes is missing.
    pub(super) fn is_over(&self) -> bool {
        self.record
            .as_ref()
            .is_some_and(|r| r.lifecycle.is_deleted() && r.kept.pending_deletion.is_empty())
    }

    /// Whether it never came to be: the word that was to make it was refused.
    pub(super) fn is_unborn(&self) -> bool {
        self.committing.is_none()
            && self.words.is_empty()
            && self.record.as_ref().is_some_and(|r| r.revision.is_none())
    }

    /// Whether nothing but a whole look brings this node on: it waits for no resource by name and
    /// for no answer.
    pub(super) fn awaits_sweep(&self) -> bool {
        let called = |record: &Arc<Record>| {
            let rows = record.work.iter().flat_map(|r| r.rows.values());
            rows.flat_map(|row| row.open_calls()).next().is_some()
        };
        let waits = self.waits_for.is_some()
            && self.watch.is_empty()
            && self.committing.is_none()
            && !self.record.as_ref().is_some_and(called);
        waits || self.is_over()
    }

    /// Nothing more is done with this node.
    pub(super) fn stop(&mut self, why: &str, words: Vec<u64>, effects: &mut Vec<Effect>) {
        self.stopped = Some(why.to_owned());
        self.watch.clear();
        self.wake = None;
        for id in words {
            effects.push(Effect::Answer { id, answer: Err(Refusal::Unavailable(why.to_owned())) });
        }
    }

    /// Plans with everything that has come in. Returns what is to be committed, if anything.
    pub(super) fn plan(
        &mut self,
        scene: &Scene<'_>,
        held: Option<&str>,
        catalogue: &Catalogue,
        effects: &mut Vec<Effect>,
    ) -> Option<Draft> {
        if self.committing.is_some() {
            self.again = true;
            return None;
        }
        if std::mem::take(&mut self.settled) {
            return None;
        }
        self.again = false;
        self.wake = None;
        let Some(before) = self.record.clone().filter(|_| self.stopped.is_none()) else {
            let why = self.stopped.clone().unwrap_or_default();
            for (id, _) in self.words.drain(..) {
                effects.push(Effect::Answer { id, answer: Err(Refusal::Unavailable(why.clone())) });
            }
            return None;
        };
        let mut record = (*before).clone();
        let taken = std::mem::take(&mut self.replies);
        for answered in &taken {
            let Answered { row, name, token, result } = answered;
            replies::absorb(&mut record, *row, name, token, result, scene.now);
        }
        let mut events = Vec::new();
        let mut heard = Vec::new();
        while let Some((id, word)) = self.words.pop_front() {
            let told = if let UserCommand::Adopt { .. } = word {
                take_up(&mut record, &word, scene).map(|event| vec![event])
            } else {
                let lost = words::losses(&record, &word);
                let done = hear(&mut record, &word, catalogue, scene.now);
                done.map(|()| echo(&record, &word, &lost, catalogue, scene.now))
            };
            match told {
                Ok(told) => {
                    heard.push(id);
                    events.extend(told);
                }
                Err(refusal) => effects.push(Effect::Answer { id, answer: Err(refusal) }),
            }
        }
        if before.revision.is_none() && heard.is_empty() {
            return None;
        }
        let mut forget = false;
        let mut overtaken = Vec::new();
        let mut settled = true;
        if let Some(why) = held {
            self.waits_for = Some(why.to_owned());
        } else {
            let planned = plan(record, scene);
            record = planned.record;
            events.extend(planned.events);
            self.wake = planned.wake;
            self.waits_for = planned.waits_for;
            self.watch = planned.watch;
            forget = planned.forget;
            overtaken = planned.overtaken;
            settled = planned.settled;
        }
        if let Some(broken) = wrong_with(&before, &record, settled) {
            return self.give_way(&broken, before, heard, scene.now, effects);
        }
        self.watch_invariants(&record, scene, &mut events);
        if record == *before && !forget && before.revision.is_some() && events.is_empty() {
            for id in heard {
                effects.push(Effect::Answer { id, answer: Ok(Arc::clone(&before)) });
            }
            return None;
        }
        record.revision = Some(self.stored_revision() + 1);
        Some(Draft {
            record: (!forget).then(|| Arc::new(record)),
            before,
            events,
            words: heard,
            replies: taken,
            overtaken,
        })
    }

    /// What was planned would break an invariant: it is not written, and nothing more is done.
    fn give_way(
        &mut self,
        broken: &Broken,
        before: Arc<Record>,
        words: Vec<u64>,
        now: Time,
        effects: &mut Vec<Effect>,
    ) -> Option<Draft> {
        let event = stopped_by(broken, &before.id, now);
        let why = broken.to_string();
        self.waits_for = Some(why.clone());
        self.stop(&why, words, effects);
        let mut record = (*before).clone();
        record.revision = Some(before.revision? + 1);
        Some(Draft {
            record: Some(Arc::new(record)),
            before,
            events: vec![event],
            words: Vec::new(),
            replies: Vec::new(),
            overtaken: Vec::new(),
        })
    }

    /// A broken invariant stops this node, loudly and with its name; the others go on. What a
    /// Describe shows may be behind, so it must last for longer than the cloud may be, and show in
    /// a look of after that: a controller that stood still has seen nothing meanwhile.
    fn watch_invariants(&mut self, record: &Record, scene: &Scene<'_>, events: &mut Vec<Event>) {
        if record.blocked.quarantine().is_some() {
            return;
        }
        let found = invariants::check(record, scene);
        self.broken.retain(|which, _| found.iter().any(|b| b.name == *which));
        let looked = LOOKED_AT.map(|kind| scene.world.swept(kind)).into_iter().min().flatten();
        for b in found {
            let since = *self.broken.entry(b.name).or_insert(scene.now);
            let certain = since.plus(2 * scene.tuning.consistency_window);
            if looked.is_none_or(|asked| asked < certain) {
                let certain = certain.max(scene.now.plus(LOOK_AGAIN));
                self.wake = Some(self.wake.map_or(certain, |wake| wake.min(certain)));
                continue;
            }
            let why = b.to_string();
            events.push(stopped_by(&b, &record.id, scene.now));
            self.waits_for = Some(why.clone());
            self.watch.clear();
            self.stopped = Some(why);
        }
    }
}

/// What is wrong with a record that is to be written, if anything is.
fn wrong_with(before: &Record, after: &Record, settled: bool) -> Option<Broken> {
    let restless = (!settled).then(|| Broken {
        name: Invariant::PlanSettles,
        what: format!("the plan of {} does not come to rest", before.id),
    });
    restless.or_else(|| joints::between(before, after))
}

fn stopped_by(broken: &Broken, node: &NodeId, now: Time) -> Event {
    let message =
        format!("{broken}; nothing more is done with this node until the server is started again");
    Event::new(now, node.clone(), EventCode::InvariantBroken, message)
}
