//! What goes wrong in a run: where the controller dies (before or after one of its effects,
//! counted from the start), and what happens to one of its calls.

use holdfast_model::{CloudError, ErrorClass};

/// On which side of the effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The effect has not taken place.
    Before,
    /// The effect has taken place, and nobody heard of it.
    After,
}

/// One death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// Which effect (commits and calls count, from 1).
    pub effect: u64,
    /// On which side of it.
    pub side: Side,
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is definitely refused; nothing is done.
    Refused,
    /// It is refused for want of capacity; nothing is done.
    Capacity,
    /// Too many requests; nothing is done.
    Throttled,
    /// Its reply is lost after the deed.
    ReplyLost,
    /// It is lost before the deed.
    RequestLost,
    /// The resource is in a state that passes.
    Conflict,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 6] = [
        Fault::Refused,
        Fault::Capacity,
        Fault::Throttled,
        Fault::ReplyLost,
        Fault::RequestLost,
        Fault::Conflict,
    ];

    /// Whether the cloud carries out the call all the same.
    #[must_use]
    pub fn is_done_anyway(self) -> bool {
        self == Fault::ReplyLost
    }

    /// What the caller hears.
    #[must_use]
    pub fn error(self) -> CloudError {
        let (class, code) = match self {
            Fault::Refused => (ErrorClass::Refused, "InvalidParameterValue"),
            Fault::Capacity => (ErrorClass::Capacity, "InsufficientInstanceCapacity"),
            Fault::Throttled => (ErrorClass::Throttled, "RequestLimitExceeded"),
            Fault::ReplyLost | Fault::RequestLost => (ErrorClass::OutcomeUnknown, "Timeout"),
            Fault::Conflict => (ErrorClass::Conflict, "IncorrectState"),
        };
        let message = "a fault of the simulation".to_owned();
        CloudError { class, code: code.to_owned(), message }
    }
}
