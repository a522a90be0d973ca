//! `holdfast local instance`: instances of this host, and the end of those that were let go.

use super::client::printable;
use super::exit::{Code, Failure};
use super::options::ServerOptions;
use super::{confirm, local_tables, print, print_line_of_json};
use clap::{Args, Subcommand};
use holdfast_wire::local::LocalInstance;

/// `holdfast local instance`.
#[derive(Debug, Args)]
pub struct InstanceCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: InstanceVerb,
}

/// What to do with instances.
#[derive(Debug, Subcommand)]
pub enum InstanceVerb {
    /// Show every instance of this host: nodes' own, and those that were let go
    #[command(after_help = "Examples:
  holdfast local instance list")]
    List,
    /// End one that was let go; its volumes stay, and are yours
    #[command(after_help = "Examples:
  holdfast local instance terminate i-0123456789abcdef0 --yes")]
    Terminate {
        /// The instance
        instance: String,
        /// Do not ask
        #[arg(short = 'y', long)]
        yes: bool,
    },
}

fn path() -> String {
    format!("{}/instances", holdfast_api::LOCAL)
}

/// Does what the command line says.
pub fn run(command: &InstanceCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    match &command.verb {
        InstanceVerb::List => {
            let instances: Vec<LocalInstance> = client.items(&path())?;
            if command.json {
                return print_line_of_json(&instances);
            }
            print(&local_tables::local_instances(&instances))
        }
        InstanceVerb::Terminate { instance, yes } => {
            let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if instance.is_empty() || !instance.chars().all(known) {
                let why = format!("{} is no instance's id", printable(instance));
                return Err(Failure::new(Code::Usage, why));
            }
            let question = format!("End {instance} and give back its addresses?");
            if !yes && !confirm(&question)? {
                return Err(Failure::new(Code::Failed, "nothing was ended".to_owned()));
            }
            client.order("DELETE", &format!("{}/{instance}", path()))?;
            print(&format!("Ended {instance}. Its volumes are kept: holdfast local volume list\n"))
        }
    }
}
