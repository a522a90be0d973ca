//! What the demonstration, the benchmarks and the soak share: real servers in nodes, writers outside
//! them that remember what was acknowledged, and the commands by which a user would do the same.

pub mod commands;
pub mod control;
pub mod evidence;
pub mod journal;
pub mod node;
pub mod patience;
mod progress;
mod spread;
pub mod workload;
pub mod writer;

pub use progress::say;
pub use spread::Spread;
