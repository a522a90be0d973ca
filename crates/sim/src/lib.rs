//! The simulation: the real fleet, the memory store and a simulated EC2, on one thread, in virtual
//! time. The same seed gives the same history, bit for bit.
//!
//! [`Simulation`] is the second driver of the fleet. [`run::run`] is one run: a seed draws nodes,
//! faults and actions ([`scenario`]); everything goes wrong for a while, then nothing does, and
//! every node must be well. What may never happen is checked by the simulated cloud's ground truth
//! and by [`watch`]; [`tally`] and [`cells`] count which fault hit which row; [`shrink`] and
//! [`timeline`] make a failure readable; [`campaign`] adds runs up.

mod accepted;
pub mod campaign;
pub mod cells;
pub mod crash;
pub mod digest;
pub mod exhaustive;
pub mod lines;
pub mod people;
pub mod run;
pub mod scenario;
pub mod shape;
pub mod shrink;
pub mod simulation;
mod table;
pub mod tally;
pub mod timeline;
pub mod upset;
pub mod watch;

pub use crash::{Crash, Side};
pub use holdfast_cloud_sim::Class;
pub use shape::Shape;
pub use simulation::{Brain, Simulation, Stuck};
pub use tally::Tally;
