//! What the demonstration, the benchmarks and the soak share: real servers in nodes, writers outside
//! them that remember what was acknowledged, and the commands by which a user would do the same.

pub mod commands;
pub mod evidence;
pub mod node;
mod spread;
pub mod workload;
pub mod writer;

pub use spread::Spread;

use std::io::IsTerminal;

/// One line of progress, on standard error: standard output is for what was found.
pub fn say(what: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("\x1b[2m·\x1b[0m {what}");
    } else {
        eprintln!("· {what}");
    }
}
