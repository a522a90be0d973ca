//! The command line.
//!
//! ```text
//! arguments.rs   every command with its help            exit.rs     exit codes and failures
//! serve.rs       holdfast serve                         local.rs    holdfast local reset
//! nodes.rs       holdfast node …                        exec.rs     a command in a node
//! client.rs      speaks to the server                   spec.rs     reads spec files
//! wait.rs        long waits and their progress          tables.rs   what people read
//! events.rs      a node's events                        routes.rs   the server's routes for this host
//! sim.rs         holdfast sim                          deallocation.rs  undelete, node volume
//! duration.rs    120s, 2m                               options.rs  which server, which token
//! bench.rs       holdfast bench …                      fleet.rs    holdfast status, freeze, thaw, adopt
//! market.rs      holdfast local market …                market_routes.rs   its server side
//! addresses.rs   holdfast local address                 address_routes.rs  its routes
//! pool.rs        holdfast local pool
//! user_volumes.rs  holdfast local volume                volume_routes.rs   its routes
//! unaccounted.rs   holdfast local unaccounted, rebuild  unaccounted_routes.rs  their routes
//! backup.rs      holdfast backup, rolling copies
//! log_lines.rs   the server's log                       memory.rs   its memory
//! ```

mod address_routes;
mod addresses;
mod arguments;
mod backup;
mod bench;
mod client;
mod deallocation;
pub(crate) mod duration;
mod events;
mod exec;
mod exit;
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
mod pairs;
mod pool;
mod routes;
mod serve;
mod sim;
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
use exit::{Code, Failure};
use holdfast_model::text;
use std::io::{ErrorKind, Write};
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
        Command::Bench(bench) => bench::run(&bench).map(|()| ExitCode::SUCCESS),
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
        Command::Soak(options) => match crate::soak::run(&options) {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Ok(Code::Failed.into()),
            Err(why) => Err(Failure::new(Code::Failed, why)),
        },
        Command::Sim(options) => sim::run(&options),
        Command::Demo(options) => match crate::demo::run(&options) {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Ok(Code::Failed.into()),
            Err(why) => Err(Failure::new(Code::Failed, why)),
        },
    };
    done.unwrap_or_else(|failure| {
        complain(&failure.to_string());
        failure.code.into()
    })
}

/// Prints lines to standard output, with nothing in them that controls a terminal. A reader who has
/// gone away is no failure (`holdfast … | head`).
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let text = text::lines(text);
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Err(Failure::silent(Code::Failed)),
        Err(e) => Err(Failure::new(Code::Failed, format!("standard output: {e}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints JSON for programs.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Failure::new(Code::Failed, e.to_string()))?;
    print(&(text::json(&text).into_owned() + "\n"))
}

/// Prints a value as JSON in one line.
pub(crate) fn print_line_of_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string(value).map_err(|e| Failure::new(Code::Failed, e.to_string()))?;
    print(&(text::json(&text).into_owned() + "\n"))
}

/// Prints to standard error, as far as that can be done.
pub(crate) fn complain(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr(), "{}", text::lines(text));
    }
}

/// Asks a person; only `y` and `yes` are a yes.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        let why = format!("{question} Say so with --yes: there is no terminal to ask at.");
        return Err(Failure::new(Code::Usage, why));
    }
    let _ = write!(std::io::stderr(), "{} [y/N] ", text::lines(question));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Failure::new(Code::Failed, format!("standard input: {e}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
