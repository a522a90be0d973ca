//! The command line. No file names one of a floor above its own (`tests/it/floors.rs`):
//!
//! ```text
//! commands    serve  backup  fleet (status, freeze, thaw, adopt)  nodes (node …, with events, exec,
//!             generations, deallocation, spec)  local (reset)  and `local …`: market  addresses
//!             user_volumes  instances  pool  unaccounted (and rebuild)
//! server      routes, which are in *_routes; host, what they share; log_lines and memory of the process
//! read        tables  local_tables  whereabouts  wait (progress)
//! arguments   every command with its options, its help and its examples
//! ground      options (which server, which token)  client (speaks to it)  sample (for tests)
//! ```

mod address_routes;
mod addresses;
mod arguments;
mod backup;
mod client;
mod deallocation;
mod events;
mod exec;
mod fleet;
mod generations;
mod host;
mod instance_routes;
mod instances;
mod local;
mod local_tables;
mod log_lines;
mod market;
mod market_routes;
mod memory;
mod nodes;
mod options;
mod pool;
mod pool_routes;
mod routes;
#[cfg(test)]
mod sample;
mod serve;
mod spec;
mod tables;
mod unaccounted;
mod unaccounted_routes;
mod user_volumes;
mod volume_routes;
mod wait;
mod whereabouts;

use arguments::{Arguments, Command, LocalCommand};
use clap::Parser;
use holdfast_terminal::end;
use std::process::ExitCode;

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    // Prints help and mistakes itself, the latter with exit code 2.
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Serve(options) => serve::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Node(node) => nodes::run(&node),
        Command::Local(LocalCommand::Reset(options)) => {
            local::reset(&options).map(|()| ExitCode::SUCCESS)
        }
        Command::Local(LocalCommand::Rebuild(options)) => {
            unaccounted::rebuild(&options).map(|()| ExitCode::SUCCESS)
        }
        Command::Local(LocalCommand::Unaccounted(command)) => {
            unaccounted::run(&command).map(|()| ExitCode::SUCCESS)
        }
        Command::Backup(options) => backup::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Status(command) => fleet::status(&command).map(|()| ExitCode::SUCCESS),
        Command::Freeze(command) => fleet::freeze(&command).map(|()| ExitCode::SUCCESS),
        Command::Thaw(command) => fleet::thaw(&command).map(|()| ExitCode::SUCCESS),
        Command::Adopt(command) => fleet::adopt(&command).map(|()| ExitCode::SUCCESS),
        Command::Local(LocalCommand::Market(command)) => {
            market::run(&command).map(|()| ExitCode::SUCCESS)
        }
        Command::Local(LocalCommand::Pool(command)) => {
            pool::run(&command).map(|()| ExitCode::SUCCESS)
        }
        Command::Local(LocalCommand::Instance(command)) => {
            instances::run(&command).map(|()| ExitCode::SUCCESS)
        }
        Command::Local(LocalCommand::Volume(command)) => {
            user_volumes::run(&command).map(|()| ExitCode::SUCCESS)
        }
        Command::Local(LocalCommand::Address(options)) => {
            addresses::run(&options).map(|()| ExitCode::SUCCESS)
        }
    };
    end("holdfast", done)
}
