//! `holdfast local address`: Elastic IPs of this host.

use super::client::printable;
use super::exit::{Code, Failure};
use super::options::ServerOptions;
use super::{print, print_line_of_json, tables};
use clap::{Args, Subcommand};
use holdfast_wire::local::Address;

/// `holdfast local address`.
#[derive(Debug, Args)]
pub struct AddressCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: AddressVerb,
}

/// What to do with Elastic IPs.
#[derive(Debug, Subcommand)]
pub enum AddressVerb {
    /// Allocate one, and print its allocation id and the address
    #[command(after_help = "Examples:
  holdfast local address allocate
  holdfast local address allocate --json | jq -r .allocationId

A spec names the allocation id in compute.elasticIp.")]
    Allocate,
    /// Show them, and where they lead
    #[command(after_help = "Examples:
  holdfast local address list")]
    List,
    /// Release one that leads nowhere
    #[command(after_help = "Examples:
  holdfast local address release eipalloc-0123456789abcdef0")]
    Release {
        /// The allocation id
        allocation: String,
    },
}

fn path() -> String {
    format!("{}/addresses", holdfast_api::LOCAL)
}

/// Does what the command line says.
pub fn run(command: &AddressCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    match &command.verb {
        AddressVerb::Allocate => {
            let address = client.ask::<Address>("POST", &path(), None::<&()>)?.item;
            if command.json {
                return print_line_of_json(&address);
            }
            print(&format!(
                "{}  {}\n",
                printable(&address.allocation_id),
                printable(&address.public_ip)
            ))
        }
        AddressVerb::List => {
            let addresses: Vec<Address> = client.items(&path())?;
            if command.json {
                return print_line_of_json(&addresses);
            }
            print(&tables::addresses(&addresses))
        }
        AddressVerb::Release { allocation } => {
            let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if allocation.is_empty() || !allocation.chars().all(known) {
                let why = format!("{} is no allocation id", printable(allocation));
                return Err(Failure::new(Code::Usage, why));
            }
            client.order("DELETE", &format!("{}/{allocation}", path()))?;
            print(&format!("Released {allocation}.\n"))
        }
    }
}
