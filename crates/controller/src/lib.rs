//! The controller: the [`fleet`], a pure state machine over all nodes, and [`serve`], the driver
//! that runs it with a real cloud and a real store. The rest of the server speaks to it through a
//! [`Handle`].
//!
//! **Invariants:** only the controller writes records. The fleet knows no runtime, thread, clock
//! or randomness.

pub mod fleet;
pub mod handle;
pub mod metrics;
pub mod offered;
pub mod orders;
pub mod refusal;
pub mod serve;
pub mod standing;
pub mod tap;
mod trace;
pub mod view;

pub use fleet::{
    Belief, BucketSize, CallLimits, Departure, Effect, Fleet, FleetConfig, Input, Outcome,
    Unreadable,
};
pub use handle::{Ask, Handle};
pub use orders::Order;
pub use refusal::Refusal;
pub use view::{NodeView, View};
