//! What can go wrong, and when: a script of single faults, and classes of faults by chance. This
//! is the one place from which the cloud and its driver draw them.

mod aftermath;
mod class;

pub use class::Class;

use crate::rng::SplitMix64;
use holdfast_model::{Command, ErrorClass, NodeId, Time, tags};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most hits that wait to be taken; of later ones only the count is kept.
const MAX_HITS: usize = 10_000;

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this error, and nothing is done.
    Error {
        /// Its class.
        class: ErrorClass,
        /// EC2's error code.
        code: String,
    },
    /// The deed is done, but its answer is lost: the outcome is unknown.
    LostReply,
    /// The request is lost, nothing is done: the outcome is unknown.
    LostRequest,
    /// `RequestLimitExceeded`, and nothing is done.
    Throttled,
    /// It is done; what it makes or changes is shown late.
    ShownLate,
    /// It is done; what it sets going is stuck for twenty minutes.
    Stuck,
    /// It is done; the snapshots or the image that it makes fail.
    Fails,
}

impl Fault {
    /// A refusal for want of capacity.
    #[must_use]
    pub fn capacity() -> Fault {
        let code = "InsufficientInstanceCapacity".to_owned();
        Fault::Error { class: ErrorClass::Capacity, code }
    }

    /// A definite refusal.
    #[must_use]
    pub fn refused() -> Fault {
        Fault::Error { class: ErrorClass::Refused, code: "InvalidParameterValue".to_owned() }
    }

    /// A state that passes.
    #[must_use]
    pub fn conflict() -> Fault {
        Fault::Error { class: ErrorClass::Conflict, code: "IncorrectState".to_owned() }
    }
}

/// Which calls a scripted fault meets.
#[derive(Clone)]
pub enum When {
    /// The nth call of all, from 1.
    Call(u64),
    /// The nth call of one action, from 1.
    Nth(&'static str, u64),
    /// The next so many calls that pass the test.
    Matches(Arc<dyn Fn(&Command) -> bool + Send + Sync>, u32),
}

impl std::fmt::Debug for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            When::Call(n) => write!(f, "call {n}"),
            When::Nth(action, n) => write!(f, "{action} {n}"),
            When::Matches(_, left) => write!(f, "matching, {left} more"),
        }
    }
}

impl When {
    /// The next call of an action.
    #[must_use]
    pub fn next(action: &'static str) -> When {
        When::Matches(Arc::new(move |command| command.action() == action), 1)
    }
}

/// One fault of the script. The first that meets a call has it.
#[derive(Debug, Clone)]
pub struct Scripted {
    /// Which calls.
    pub when: When,
    /// What happens to them.
    pub fault: Fault,
}

/// A fault that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// When.
    pub at: Time,
    /// Of which class.
    pub class: Class,
    /// To which resource, or which action; empty where it is the whole fleet's.
    pub to: String,
    /// To which node, where the cloud can tell.
    pub node: Option<NodeId>,
}

/// Every fault of a simulation.
#[derive(Debug, Clone)]
pub struct Faults {
    script: Vec<Scripted>,
    /// Chances per million, and where each class draws from.
    chances: [(u32, SplitMix64); Class::ALL.len()],
    /// Calls that are refused until faults stop.
    permanent: BTreeSet<String>,
    hits: Vec<Hit>,
    calls: u64,
    of_action: BTreeMap<&'static str, u64>,
    aftermath: aftermath::Aftermath,
}

impl Faults {
    /// None yet; `seed` decides the random ones.
    #[must_use]
    pub fn new(seed: u64) -> Faults {
        let mut seeds = SplitMix64::new(seed);
        Faults {
            script: Vec::new(),
            chances: Class::ALL.map(|_| (0, SplitMix64::new(seeds.draw()))),
            permanent: BTreeSet::new(),
            hits: Vec::new(),
            calls: 0,
            of_action: BTreeMap::new(),
            aftermath: <_>::default(),
        }
    }

    /// Adds a fault to the script.
    pub fn add(&mut self, when: When, fault: Fault) {
        self.script.push(Scripted { when, fault });
    }

    /// Sets the chance of a class, per million of what it can happen to.
    pub fn set(&mut self, class: Class, per_million: u32) {
        self.chances[class as usize].0 = per_million;
    }

    /// Forgets the script and every chance: from now on nothing fails.
    pub fn stop(&mut self) {
        self.script.clear();
        self.permanent.clear();
        for (chance, _) in &mut self.chances {
            *chance = 0;
        }
    }

    /// Whether a fault of this class happens now. A class that is off draws nothing.
    pub fn draw(&mut self, class: Class) -> bool {
        let (chance, rng) = &mut self.chances[class as usize];
        rng.chance(*chance)
    }

    /// A number of `least..=most`, from the class's own stream.
    pub fn between(&mut self, class: Class, least: u64, most: u64) -> u64 {
        self.chances[class as usize].1.between(least, most)
    }

    /// Notes that a fault has happened.
    pub fn hit(&mut self, at: Time, class: Class, to: &str, node: Option<NodeId>) {
        if self.hits.len() < MAX_HITS {
            self.hits.push(Hit { at, class, to: to.to_owned(), node });
        }
    }

    /// What has happened since this was last asked.
    pub fn take_hits(&mut self) -> Vec<Hit> {
        std::mem::take(&mut self.hits)
    }

    /// How long something takes that takes `usually`, if a fault of this class makes it slow:
    /// mostly some times as long, sometimes until somebody would call it stuck (EC2: a busy detach
    /// can hang for half an hour).
    pub(crate) fn slow(&mut self, class: Class, usually: u64) -> Option<u64> {
        use holdfast_model::time::MINUTE;
        if let Some(stuck) = self.stuck() {
            return Some(stuck);
        }
        if !self.draw(class) {
            return None;
        }
        let stuck = self.between(class, 1, 8) == 1;
        Some(if stuck {
            self.between(class, 5 * MINUTE, 40 * MINUTE)
        } else {
            usually.saturating_mul(self.between(class, 2, 8))
        })
    }

    /// What happens to this call; with the class, if it was drawn and not scripted.
    pub(crate) fn judge(&mut self, command: &Command, now: Time) -> Option<(Fault, Option<Class>)> {
        self.calls += 1;
        let nth = self.of_action.entry(command.action()).or_default();
        *nth += 1;
        for scripted in &mut self.script {
            let meets = match &mut scripted.when {
                When::Call(n) => *n == self.calls,
                When::Nth(action, n) => *action == command.action() && n == nth,
                When::Matches(_, 0) => false,
                When::Matches(test, left) => {
                    let meets = test(command);
                    *left -= u32::from(meets);
                    meets
                }
            };
            if meets {
                return Some((scripted.fault.clone(), None));
            }
        }
        let (class, fault) = self.drawn(command)?;
        self.hit(now, class, command.action(), None);
        Some((fault, Some(class)))
    }

    /// Each class is drawn whatever the others say, so that one changes no other's course.
    fn drawn(&mut self, command: &Command) -> Option<(Class, Fault)> {
        let is_launch = matches!(command, Command::RunInstances(_));
        let mut first = None;
        let classes = [
            (Class::LostReply, Fault::LostReply),
            (Class::LostRequest, Fault::LostRequest),
            (Class::Throttled, Fault::Throttled),
            (Class::Refused, Fault::refused()),
            (Class::Permanent, Fault::refused()),
            (Class::Conflict, Fault::conflict()),
            (Class::Capacity, Fault::capacity()),
        ];
        for (class, fault) in classes {
            if class == Class::Capacity && !is_launch {
                continue;
            }
            if self.draw(class) && first.is_none() {
                if class == Class::Permanent {
                    self.permanent.insert(kind_of_call(command));
                }
                first = Some((class, fault));
            }
        }
        if first.is_none()
            && !self.permanent.is_empty()
            && self.permanent.contains(&kind_of_call(command))
        {
            return Some((Class::Permanent, Fault::refused()));
        }
        first
    }
}

/// What stays refused: the action on that resource; where it makes something, for that role of
/// that node.
fn kind_of_call(command: &Command) -> String {
    let about = command.touches().first().map(|id| (*id).to_owned());
    let made_for = |tags: &holdfast_model::tags::Tags| {
        let of = |tag: &str| tags.get(tag).cloned().unwrap_or_default();
        format!("{} {}", of(tags::NODE), of(tags::ROLE))
    };
    let about = match command {
        Command::RunInstances(launch) => made_for(&launch.tags),
        Command::CreateVolume { tags, .. }
        | Command::CreateSnapshot { tags, .. }
        | Command::CreateSnapshots { tags, .. }
        | Command::RegisterImage { tags, .. }
        | Command::CreateNetworkInterface { tags, .. } => made_for(tags),
        _ => about.unwrap_or_default(),
    };
    format!("{} {about}", command.action())
}
