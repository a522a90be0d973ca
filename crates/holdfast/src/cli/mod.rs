//! The command line.
//!
//! ```text
//! arguments.rs   every command with its help            serve.rs    holdfast serve
//! nodes.rs       holdfast node …                        local.rs    holdfast local reset
//! client.rs      speaks to the server                   exec.rs     a command in a node
//! wait.rs        long waits and their progress          spec.rs     reads spec files
//! events.rs      a node's events                        tables.rs   what people read
//! deallocation.rs  undelete, node volume                routes.rs   the server's routes for this host
//! fleet.rs       holdfast status, freeze, thaw, adopt   options.rs  which server, which token
//! market.rs      holdfast local market …                market_routes.rs   its server side
//! addresses.rs   holdfast local address                 address_routes.rs  its routes
//! user_volumes.rs  holdfast local volume                volume_routes.rs   its routes
//! unaccounted.rs   holdfast local unaccounted, rebuild  unaccounted_routes.rs  their routes
//! pool.rs        holdfast local pool                    backup.rs   holdfast backup, rolling copies
//! log_lines.rs   the server's log                       memory.rs   its memory
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
mod routes;
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
