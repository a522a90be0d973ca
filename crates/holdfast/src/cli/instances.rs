//! `holdfast local instance`: instances of this host, and the end of those that were let go.

use super::arguments::{InstanceCommand, InstanceVerb};
use super::client::printable;
use super::local_tables;
use holdfast_terminal::{Code, Failure, confirm, print, print_line_of_json};
use holdfast_wire::local::LocalInstance;

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
