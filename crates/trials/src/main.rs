//! What puts Holdfast to the test: real nodes on this host that are used and hurt, and the simulated
//! EC2 in virtual time. It uses the binary `holdfast` as a user would, by its commands. Each of these names
//! only what stands below it (`tests/it/floors.rs`):
//!
//! ```text
//! arguments   the command line
//! trials      demo  soak  sim  bench
//! blackout    the one benchmark on this host
//! trial       what those on this host share
//! ```

mod arguments;
mod bench;
mod blackout;
mod demo;
mod sim;
mod soak;
mod trial;

use std::process::ExitCode;

fn main() -> ExitCode {
    arguments::run()
}
