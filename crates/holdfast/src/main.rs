//! Holdfast: stateful machines on capacity that can be taken away. One binary: the server, the
//! commands for people and programs, and (hidden) what runs inside nodes.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all, before threads and files: this process may be a node's shim or init.
    match holdfast_agent::dispatch() {
        Some(code) => code,
        None => cli::run(),
    }
}
