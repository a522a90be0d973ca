//! `holdfast local address`: Elastic IPs of this host.

use super::arguments::{AddressCommand, AddressVerb};
use super::client::printable;
use super::tables;
use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{print, print_line_of_json};
use serde_json::Value;

fn path() -> String {
    format!("{}/addresses", holdfast_api::LOCAL)
}

/// Does what the command line says.
pub fn run(command: &AddressCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    match &command.verb {
        AddressVerb::Allocate => {
            let answer = client.send("POST", &path(), None)?;
            let address = answer.pointer("/items/0").cloned().unwrap_or_default();
            if command.json {
                return print_line_of_json(&address);
            }
            let text = |name: &str| address[name].as_str().map(printable).unwrap_or_default();
            print(&format!("{}  {}\n", text("allocationId"), text("publicIp")))
        }
        AddressVerb::List => {
            let answer = client.get(&path())?;
            let addresses = answer.get("items").and_then(Value::as_array).cloned();
            let addresses = addresses.unwrap_or_default();
            if command.json {
                return print_line_of_json(&Value::Array(addresses));
            }
            print(&tables::addresses(&addresses))
        }
        AddressVerb::Release { allocation } => {
            let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if allocation.is_empty() || !allocation.chars().all(known) {
                let why = format!("{} is no allocation id", printable(allocation));
                return Err(Failure::new(Code::Usage, why));
            }
            client.send("DELETE", &format!("{}/{allocation}", path()), None)?;
            print(&format!("Released {allocation}.\n"))
        }
    }
}
