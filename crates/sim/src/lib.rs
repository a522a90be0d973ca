//! The simulation: the real fleet, the memory store and a simulated EC2, on one thread, in virtual
//! time. The same seed gives the same history.
//!
//! [`Simulation`] is the second driver of the fleet; [`crash`] says where the controller dies.

pub mod crash;
pub mod simulation;

pub use crash::{Crash, Fault, Side};
pub use simulation::{Brain, Simulation, Stuck};
