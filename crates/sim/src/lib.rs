//! The simulation: the real fleet, the memory store and a simulated EC2, on one thread, in virtual
//! time. The same seed gives the same history, bit for bit.
//!
//! [`Simulation`] is the second driver of the fleet; [`crash`] says where the controller dies.

pub mod crash;
pub mod digest;
pub mod shape;
pub mod simulation;
pub mod tally;
pub mod watch;

pub use crash::{Crash, Side};
pub use shape::Shape;
pub use simulation::{Brain, Simulation, Stuck};
pub use tally::Tally;
