//! The shim and init of a node as a program of their own: what this crate's tests start nodes with.
//! The server is its own shim.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast_agent::dispatch().unwrap_or_else(|| {
        eprintln!("this program is started by the local cloud only");
        ExitCode::FAILURE
    })
}
