//! `holdfast local address`: Elastic IPs of this host.

use super::arguments::{AddressCommand, AddressVerb};
use super::client::printable;
use super::tables;
use holdfast_terminal::{Code, Failure, print, print_line_of_json};
use holdfast_wire::local::Address;

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
