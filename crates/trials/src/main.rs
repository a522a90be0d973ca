//! What puts Holdfast to the test: real nodes on this host that are used and hurt, and the simulated
//! EC2 in virtual time. It uses the binary `holdfast` as a user would, by its commands.

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
