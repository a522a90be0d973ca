//! What lies on the desk while one node is planned: its record being changed, the frozen spec,
//! the scene around it, and what comes out besides: events, a time to wake, ids to look at.

use crate::context::scene::Scene;
use crate::context::token::token;
use holdfast_model::facts::InstanceState;
use holdfast_model::record::{NeedsDecision, Question, Record};
use holdfast_model::replacement::{Call, CallState, Replacement, RowState};
use holdfast_model::tags::{self, Tags};
use holdfast_model::user::Choice;
use holdfast_model::{
    CloudError, Command, ErrorClass, Event, EventCode, Kind, Known, Market, Row, Spec, Time, Token,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Definite refusals of one call after which a person is asked.
pub const MAX_ATTEMPTS: u32 = 5;
/// How many times the pause between attempts doubles at most.
const MAX_DOUBLINGS: u32 = 6;

/// The desk.
pub struct Desk<'a> {
    /// The record as it becomes.
    pub record: Record,
    /// The spec that the replacement follows.
    pub spec: Arc<Spec>,
    /// What is known and when.
    pub scene: &'a Scene<'a>,
    /// What people are told.
    pub events: Vec<Event>,
    /// When to plan again, if nothing happens before.
    pub wake: Option<Time>,
    /// What is waited for, as a sentence; the last step to say so wins.
    pub waits_for: Option<String>,
    /// Ids whose facts are waited for.
    pub watch: Vec<String>,
}

/// How a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It may have left; no definite answer yet.
    Waiting,
    /// Done, with the id of what it made.
    Done(Option<String>),
    /// Definitely refused, this many times.
    Refused {
        /// How.
        error: CloudError,
        /// When.
        at: Time,
        /// The attempt, from 1.
        attempt: u32,
    },
}

impl<'a> Desk<'a> {
    /// Lays out a record.
    #[must_use]
    pub fn new(record: Record, spec: Arc<Spec>, scene: &'a Scene<'a>) -> Desk<'a> {
        Desk {
            record,
            spec,
            scene,
            events: Vec::new(),
            wake: None,
            waits_for: None,
            watch: Vec::new(),
        }
    }

    /// The replacement in flight. Steps run only while there is one.
    #[must_use]
    pub fn replacement(&self) -> Option<&Replacement> {
        self.record.work.as_ref()
    }

    /// The market that was chosen.
    #[must_use]
    pub fn market(&self) -> Option<Market> {
        self.replacement().and_then(|r| r.market.clone())
    }

    /// The name of the call that launches: each market's launch is a call of its own.
    #[must_use]
    pub fn launch_name(&self) -> String {
        format!("run:{}", self.replacement().map_or(0, |r| r.markets_refused))
    }

    /// The kind of replacement.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.replacement().map(|r| r.kind)
    }

    /// Whether the deallocation leaves the instance to the user: nothing of it is touched.
    #[must_use]
    pub fn lets_instance_go(&self) -> bool {
        if self.kind() != Some(Kind::Delete)
            || self.record.lifecycle.deallocation().is_none_or(|d| d.should_terminate_instance)
        {
            return false;
        }
        if self.record.lifecycle.is_handed_over() {
            return true;
        }
        // Only a living instance can be let go: without one, everything waits for its grace.
        let terminate = self.row(Row::Stop).and_then(|row| row.calls.get("terminate"));
        if terminate.is_some_and(|call| !matches!(call.state, CallState::Refused { .. })) {
            return false;
        }
        self.record.instance.as_ref().is_some_and(|holder| {
            match self.scene.world.instance(holder.id.as_str()) {
                Known::Present(i) => i.state <= InstanceState::Running,
                Known::Absent => false,
                Known::Unknown => true,
            }
        })
    }

    /// The state of a row.
    #[must_use]
    pub fn row(&self, row: Row) -> Option<&RowState> {
        self.record.row(row)
    }

    fn row_mut(&mut self, row: Row) -> Option<&mut RowState> {
        match row {
            Row::Upkeep => Some(&mut self.record.upkeep.row),
            _ => self.record.work.as_mut().map(|r| r.rows.entry(row).or_default()),
        }
    }

    /// Tells people something.
    pub fn tell(&mut self, code: EventCode, message: String) {
        self.events.push(Event::new(self.scene.now, self.record.id.clone(), code, message));
    }

    /// Asks to be planned again at `at` at the latest.
    pub fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |w| w.min(at)));
    }

    /// Says what is waited for.
    pub fn wait(&mut self, what: impl Into<String>) {
        self.waits_for = Some(what.into());
    }

    /// Waits until facts of this id show something.
    pub fn watch(&mut self, id: &str, what: impl Into<String>) {
        self.watch.push(id.to_owned());
        self.wait(what);
    }

    /// The tags of a resource that is made for this node and generation.
    #[must_use]
    pub fn tags(&self, role: &str, token: &Token) -> Tags {
        let mut all = self.spec.tags.clone();
        all.insert(tags::INSTALLATION.to_owned(), self.scene.installation.0.clone());
        all.insert(tags::NODE.to_owned(), self.record.id.0.clone());
        all.insert(tags::GENERATION.to_owned(), self.record.generations.number().to_string());
        all.insert(tags::ROLE.to_owned(), role.to_owned());
        all.insert(tags::TOKEN.to_owned(), token.0.clone());
        if all.len() < tags::MAX_TAGS {
            all.insert(tags::EPOCH.to_owned(), self.scene.epoch.to_string());
        }
        all
    }

    /// A request with the user's tags on what the spec wants to carry them.
    fn tagged(&self, mut command: Command) -> Command {
        let mine = &self.spec.tags;
        let only_ours = |tags: &mut Tags| tags.retain(|key, _| !mine.contains_key(key));
        let tagged = self.spec.tagged;
        match &mut command {
            Command::RunInstances(launch) => {
                let mut bare = launch.tags.clone();
                only_ours(&mut bare);
                launch.volume_tags = (!tagged.volumes).then(|| bare.clone());
                launch.interface_tags = (!tagged.interfaces).then_some(bare);
            }
            Command::CreateVolume { tags, .. } if !tagged.volumes => only_ours(tags),
            Command::CreateSnapshot { tags, .. } | Command::CreateSnapshots { tags, .. }
                if !tagged.snapshots =>
            {
                only_ours(tags);
            }
            Command::RegisterImage { tags, .. } if !tagged.images => only_ours(tags),
            Command::CreateNetworkInterface { tags, .. } if !tagged.interfaces => only_ours(tags),
            _ => {}
        }
        command
    }

    /// How a call of a row stands, if it was ever made.
    #[must_use]
    pub fn standing(&self, row: Row, name: &str) -> Option<Asked> {
        let call = self.row(row)?.calls.get(name)?;
        Some(match &call.state {
            CallState::Started => Asked::Waiting,
            CallState::Done { id } => Asked::Done(id.clone()),
            CallState::Refused { error, at } => {
                Asked::Refused { error: error.clone(), at: *at, attempt: call.attempt }
            }
        })
    }

    /// Makes a call, as the next attempt. It leaves once the record is committed.
    pub fn start(&mut self, row: Row, name: &str, make: impl FnOnce(&Desk<'_>, Token) -> Command) {
        let attempt =
            self.row(row).and_then(|r| r.calls.get(name)).map_or(1, |call| call.attempt + 1);
        let number = self.replacement().map_or(0, |r| r.number);
        let token = token(
            self.scene.installation,
            &self.record.id,
            self.record.generations.number(),
            number,
            row,
            name,
            attempt,
        );
        let command = self.tagged(make(self, token.clone()));
        let at = self.scene.now;
        if let Some(row) = self.row_mut(row) {
            let state = CallState::Started;
            let call = Call { command, token, attempt, at, state, answered_at: None };
            row.calls.insert(name.to_owned(), call.into());
        }
    }

    /// Whether [`Desk::ask`] would make a call now that has no answer on its way and has not been
    /// done: it was never made, or the pause after its refusal is over and nobody has to decide.
    #[must_use]
    pub fn is_due(&self, row: Row, name: &str) -> bool {
        match self.standing(row, name) {
            None => true,
            Some(Asked::Waiting | Asked::Done(_)) => false,
            Some(Asked::Refused { error, at, attempt }) => {
                let decides = error.class != ErrorClass::Storage
                    && attempt.is_multiple_of(MAX_ATTEMPTS)
                    && !self.retry_wanted(row);
                !decides && self.scene.now >= at.plus(pause(self.scene.tuning.retry_base, attempt))
            }
        }
    }

    /// Whether a call makes something.
    fn makes(&self, row: Row, name: &str) -> bool {
        let call = self.row(row).and_then(|r| r.calls.get(name));
        call.is_some_and(|call| call.command.makes().is_some())
    }

    /// Makes a call once and says how it stands; what it made and is gone before it could be used is
    /// made anew; a definite refusal is tried again after a pause
    /// that doubles, and after [`MAX_ATTEMPTS`] a person is asked.
    pub fn ask(
        &mut self,
        row: Row,
        name: &str,
        make: impl FnOnce(&Desk<'_>, Token) -> Command,
    ) -> Asked {
        match self.standing(row, name) {
            None => {
                self.start(row, name, make);
                self.wait(format!("{name} to be answered"));
                Asked::Waiting
            }
            Some(Asked::Waiting) => {
                self.wait(format!("{name} to be answered"));
                Asked::Waiting
            }
            Some(Asked::Done(None)) if self.makes(row, name) => {
                // A repeated request whose first answer was lost says "done", and shows nothing.
                let what = format!("what {name} made was gone before it was used; it is made anew");
                self.tell(EventCode::MadeAnew, what);
                self.start(row, name, make);
                self.wait(format!("{name} to be answered"));
                Asked::Waiting
            }
            Some(Asked::Done(id)) => Asked::Done(id),
            Some(Asked::Refused { error, at, attempt }) => {
                // Room comes back without anybody telling this node: then its patience counts.
                let passes = error.class == ErrorClass::Storage;
                if !passes && attempt.is_multiple_of(MAX_ATTEMPTS) && !self.retry_wanted(row) {
                    let why = format!("{name} was refused {attempt} times: {error}");
                    self.need_decision(row, why.clone());
                    self.wait(why);
                    return Asked::Refused { error, at, attempt };
                }
                let next = at.plus(pause(self.scene.tuning.retry_base, attempt));
                if self.scene.now >= next {
                    if !passes {
                        let what = format!("{name} was refused ({error}); it is tried again");
                        self.tell(EventCode::CallRetried, what);
                    } else if attempt == 1 {
                        self.tell_no_room(&error);
                    }
                    self.start(row, name, make);
                } else {
                    self.wake_at(next);
                    self.wait(format!("{name} to be tried again: {error}"));
                }
                Asked::Waiting
            }
        }
    }

    /// Tells people that there is no room for volumes or snapshots.
    pub fn tell_no_room(&mut self, error: &CloudError) {
        let message = format!("{error}; the node goes on as soon as there is room");
        self.tell(EventCode::NoRoom, message);
    }

    /// Takes up the user's newest spec, where following the old one leads nowhere. Returns whether
    /// there was a newer one.
    pub fn take_up_newer_spec(&mut self) -> bool {
        let newest = self.record.spec_revision;
        let Some(replacement) = self.record.work.as_mut() else { return false };
        if replacement.spec_revision == newest {
            return false;
        }
        let Ok(spec) = self.record.document.spec() else { return false };
        replacement.spec_revision = newest;
        replacement.document = self.record.document.clone();
        self.spec = spec;
        self.record.blocked.goes_on();
        self.tell(EventCode::SpecTakenUp, format!("spec revision {newest} is followed now"));
        true
    }

    /// Whether a person has said that this row be tried again.
    fn retry_wanted(&self, row: Row) -> bool {
        self.record.blocked.answered(row).is_some()
    }

    /// What is the node's is attached to an instance that is not: a person is asked, and it is looked
    /// at until it is free.
    pub fn ask_whose(&mut self, id: &str, other: &str) {
        let what = format!("{id} is attached to {other}, which is not this node's");
        self.need_decision(Row::Attach, what.clone());
        self.watch(id, what);
    }

    /// Asks a person, once per row.
    pub fn need_decision(&mut self, row: Row, why: String) {
        // One question at a time: the first row that is stuck keeps the word.
        if self.record.blocked.decision().is_some() {
            return;
        }
        self.tell(EventCode::NeedsDecision, format!("{} is stuck: {why}", row.name()));
        self.record.blocked.ask(NeedsDecision {
            row,
            since: self.scene.now,
            why,
            question: Question::Asked {
                choices: vec![Choice::Wait, Choice::Retry],
                restore: BTreeMap::new(),
            },
        });
    }
}

/// The pause after a number of refusals, in milliseconds.
#[must_use]
pub fn pause(base: u64, attempt: u32) -> u64 {
    base << attempt.saturating_sub(1).min(MAX_DOUBLINGS)
}
