//! `holdfast local unaccounted`: what this host's cloud does not account for, taken up or removed; and
//! `holdfast local rebuild`, which makes the memory of that cloud anew.

use super::arguments::{RebuildOptions, UnaccountedCommand, UnaccountedVerb};
use super::client::printable;
use super::local_tables;
use super::options::CLOUD_DIR;
use holdfast_store::sqlite::DirectoryHold;
use holdfast_terminal::{Code, Failure, confirm, print, print_line_of_json};
use holdfast_wire::local::{AdoptionRequest, LocalUnaccounted};
use std::fmt::Write;

fn path() -> String {
    format!("{}/unaccounted", holdfast_api::LOCAL)
}

fn check(id: &str) -> Result<(), Failure> {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if id.is_empty() || !id.chars().all(known) {
        return Err(Failure::new(Code::Usage, format!("{} is no id", printable(id))));
    }
    Ok(())
}

/// Does what the command line says.
pub fn run(command: &UnaccountedCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    match &command.verb {
        UnaccountedVerb::List => {
            let found: Vec<LocalUnaccounted> = client.items(&path())?;
            if command.json {
                return print_line_of_json(&found);
            }
            print(&local_tables::unaccounted(&found))
        }
        UnaccountedVerb::Adopt { id, zone } => {
            check(id)?;
            let body = AdoptionRequest { zone: zone.clone() };
            client.tell("POST", &format!("{}/{id}/adopt", path()), Some(&body))?;
            print(&format!("{id} is accounted for.\n"))
        }
        UnaccountedVerb::Remove { id, yes } => {
            check(id)?;
            if !yes && !confirm(&format!("Remove {id} with all that is on it, for good?"))? {
                return Err(Failure::new(Code::Failed, "nothing was removed".to_owned()));
            }
            client.order("DELETE", &format!("{}/{id}", path()))?;
            print(&format!("Removed {id}.\n"))
        }
    }
}

/// Makes the memory of this host's cloud anew. The server must not be running.
pub fn rebuild(options: &RebuildOptions) -> Result<(), Failure> {
    let failed = |why: String| Failure::new(Code::Failed, why);
    if !rustix::process::geteuid().is_root() {
        return Err(failed(
            "looking into this host's volumes needs root; run it as root".to_owned(),
        ));
    }
    let dir = options.data_dir.join(CLOUD_DIR);
    if !dir.exists() {
        return Err(failed(format!("there is nothing at {}; see --data-dir", dir.display())));
    }
    // Held to the end, so that no server begins in between.
    let _held = DirectoryHold::take(&options.data_dir).map_err(|e| failed(e.to_string()))?;
    let done = holdfast_cloud_local::rebuild(&dir).map_err(|e| failed(e.to_string()))?;
    let mut said = String::new();
    let plural = |kind: &str, n| match n {
        1 => "",
        _ if kind.ends_with('s') => "es",
        _ => "s",
    };
    let counts = done.counts.iter().map(|(kind, n)| format!("{n} {kind}{}", plural(kind, *n)));
    let counts: Vec<String> = counts.collect();
    let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    // Writing to a string cannot fail.
    let _ = match done.changed {
        true => writeln!(said, "cloud.db was made anew. It accounts for: {counts}."),
        false => {
            writeln!(said, "cloud.db accounts for all there is: {counts}. Nothing was changed.")
        }
    };
    if let Some(aside) = &done.aside {
        let _ = writeln!(said, "The file before is kept: {}", aside.display());
    }
    for sentence in &done.left_over {
        let _ = writeln!(said, "Not accounted for: {sentence}.");
    }
    print(&said)
}
