//! What a test can do to calls: a script of single faults, and random ones by probability.

use crate::rng::SplitMix64;
use holdfast_model::{Command, ErrorClass};
use std::collections::BTreeMap;
use std::sync::Arc;

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

/// Every fault of a simulation. Chances are per million calls.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Single faults.
    pub script: Vec<Scripted>,
    /// Chance that a deed is done and its answer lost.
    pub lost_reply: u32,
    /// Chance that a request is lost.
    pub lost_request: u32,
    /// Chance that a call is throttled.
    pub throttled: u32,
    /// Chance that a launch is refused for capacity.
    pub no_capacity: u32,
    /// Chance that a Describe gets no answer.
    pub lost_describe: u32,
    /// Chance that the notice of an interruption never arrives.
    pub lost_notice: u32,
    rng: SplitMix64,
    calls: u64,
    of_action: BTreeMap<&'static str, u64>,
}

impl Faults {
    /// None yet; `seed` decides the random ones.
    #[must_use]
    pub fn new(seed: u64) -> Faults {
        Faults {
            script: Vec::new(),
            lost_reply: 0,
            lost_request: 0,
            throttled: 0,
            no_capacity: 0,
            lost_describe: 0,
            lost_notice: 0,
            rng: SplitMix64::new(seed),
            calls: 0,
            of_action: BTreeMap::new(),
        }
    }

    /// Adds a fault to the script.
    pub fn add(&mut self, when: When, fault: Fault) {
        self.script.push(Scripted { when, fault });
    }

    /// Forgets the script and every chance: from now on nothing fails.
    pub fn stop(&mut self) {
        let Faults { rng, calls, of_action, .. } = self.clone();
        *self = Faults { rng, calls, of_action, ..Faults::new(0) };
    }

    /// What happens to this call.
    pub(crate) fn judge(&mut self, command: &Command) -> Option<Fault> {
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
                return Some(scripted.fault.clone());
            }
        }
        // Each is drawn whatever the others say, so that one chance changes no other's course.
        let lost_reply = self.rng.chance(self.lost_reply);
        let lost_request = self.rng.chance(self.lost_request);
        let throttled = self.rng.chance(self.throttled);
        let no_capacity = self.rng.chance(self.no_capacity);
        match command {
            _ if lost_reply => Some(Fault::LostReply),
            _ if lost_request => Some(Fault::LostRequest),
            _ if throttled => Some(Fault::Throttled),
            Command::RunInstances(_) if no_capacity => Some(Fault::Error {
                class: ErrorClass::Capacity,
                code: "InsufficientInstanceCapacity".to_owned(),
            }),
            _ => None,
        }
    }

    pub(crate) fn loses_describe(&mut self) -> bool {
        self.rng.chance(self.lost_describe)
    }

    pub(crate) fn loses_notice(&mut self) -> bool {
        self.rng.chance(self.lost_notice)
    }
}
