//! `holdfast status`, `freeze`, `thaw` and `adopt`: what concerns the fleet as a whole.

use super::arguments::{AdoptCommand, FleetCommand, FreezeCommand};
use super::client::{Client, printable};
use super::tables::{or_dash, table, words};
use super::{pool, spec};
use holdfast_api::rfc3339;
use holdfast_model::{Epoch, Time, tags};
use holdfast_terminal::{Code, Failure, complain, print, print_json};
use holdfast_wire::{
    AdoptRequest, FleetStatus, FreezeRequest, ManagedInstance, Node, Resource, Standing,
    Unaccounted,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// How the fleet is.
pub fn status(command: &FleetCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    let fleet: FleetStatus = client.item("/holdfast/v1/fleet")?;
    if command.json {
        return print_json(&fleet);
    }
    let mut text = show(&fleet);
    // A server that manages another cloud has no pool.
    if let Ok(pool) = pool::look(&client) {
        text.push_str(&format!("promised      {}\n", pool::promised(&pool)));
    }
    print(&text)
}

/// Stops every change.
pub fn freeze(command: &FreezeCommand) -> Result<(), Failure> {
    let client = command.fleet.server.client()?;
    let body = FreezeRequest { reason: Some(command.reason.clone()) };
    let fleet = client.ask::<Standing>("POST", "/holdfast/v1/freeze", Some(&body))?.item;
    if command.fleet.json {
        return print_json(&fleet);
    }
    print("nothing is changed from now on, until: holdfast thaw\n")
}

/// Lifts what a person can lift.
pub fn thaw(command: &FleetCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    let fleet = client.ask::<Standing>("POST", "/holdfast/v1/thaw", None::<&()>)?.item;
    if command.json { print_json(&fleet) } else { print("it goes on\n") }
}

/// Lists what no record accounts for, or has one node adopted.
pub fn adopt(command: &AdoptCommand) -> Result<(), Failure> {
    let client = command.fleet.server.client()?;
    let Some(node) = &command.node else {
        if command.spec.is_some() || !command.heads.is_empty() {
            let why = "say which node is to be adopted: holdfast adopt NODE …";
            return Err(Failure::new(Code::Usage, why));
        }
        return list(&client, command.fleet.json);
    };
    let mut body = AdoptRequest { managed_instance: None, heads: heads(&command.heads)? };
    if let Some(file) = &command.spec {
        let found = spec::read(file)?;
        for remark in &found.remarks {
            complain(&format!("holdfast: {}: {remark}", file.display()));
        }
        if let Value::Object(members) = found.document {
            body.managed_instance = Some(ManagedInstance(members));
        }
    }
    let id = named(&client, node)?;
    client.ask::<Node>("POST", &format!("/holdfast/v1/nodes/{id}/adopt"), Some(&body))?;
    let whole = client.whole(&id)?;
    if command.fleet.json {
        return print_json(&whole);
    }
    let status = &whole.summary.status;
    let generation = whole.record.generation;
    let mut line = format!("{id} is adopted at generation {generation}; it is {status}");
    if status == "PAUSED" {
        line.push_str(&format!("; bring it back with: holdfast node resume {id}"));
    }
    print(&(line + "\n"))
}

/// A node's id: what is not known by name can only be meant by its id.
fn named(client: &Client, node: &str) -> Result<String, Failure> {
    match client.find(node) {
        Ok(found) => Ok(found.id),
        Err(failure) if failure.code == Code::NoSuchNode && node.starts_with("smi-") => {
            Ok(node.to_owned())
        }
        Err(failure) => Err(failure),
    }
}

fn heads(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let read = |text: &String| {
        let (part, id) =
            text.split_once('=').filter(|(part, id)| !part.is_empty() && !id.is_empty())?;
        Some((part.to_owned(), id.to_owned()))
    };
    given
        .iter()
        .map(|text| {
            read(text).ok_or_else(|| {
                let why = format!("--head {text} must be like root=ami-0a1b or /dev/xvdb=vol-0a1b");
                Failure::new(Code::Usage, why)
            })
        })
        .collect()
}

fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let strays: Vec<Unaccounted> = client.items("/holdfast/v1/unaccounted")?;
    if json { print_json(&strays) } else { print(&tell(&strays)) }
}

/// What is not accounted for, for people.
fn tell(strays: &[Unaccounted]) -> String {
    if strays.is_empty() {
        return "Everything in the cloud is accounted for.\n".to_owned();
    }
    let mut text = String::new();
    for stray in strays {
        let node = if stray.node.is_empty() { "no node" } else { &stray.node };
        text.push_str(&format!("{}: {}\n", printable(node), printable(&stray.why)));
        if let Some(found) = &stray.found {
            let found = printable(found);
            text.push_str(&format!("  holdfast adopt {} finds: {found}\n", printable(node)));
        }
        for question in &stray.questions {
            text.push_str(&format!("  to decide: {}\n", printable(&question.to_string())));
        }
        let header = words(&["RESOURCE", "ROLE", "GEN", "STATE", "MADE", "EPOCH"]);
        let rows = stray.resources.iter().map(row).collect();
        for line in table(header, rows).lines() {
            text.push_str(&format!("  {line}\n"));
        }
        text.push('\n');
    }
    text
}

fn row(resource: &Resource) -> Vec<String> {
    let tag = |name: &str| resource.tags().get(name).map(|t| printable(t));
    let epoch = tag(tags::EPOCH).and_then(|e| Epoch::read(&e));
    let made = match resource {
        Resource::Instance(instance) => Some(Time(instance.launched_at)),
        Resource::Snapshot(snapshot) => Some(Time(snapshot.started_at)),
        Resource::Volume(_) | Resource::Image(_) | Resource::Interface(_) => None,
    };
    // Where the cloud does not tell, it is at least not older than its epoch.
    let since = |t: Time| rfc3339(t);
    let made = made.map(since).or_else(|| epoch.map(|e| format!("after {}", since(e.began))));
    vec![
        resource.id().to_owned(),
        or_dash(tag(tags::ROLE)),
        or_dash(tag(tags::GENERATION)),
        resource.state().to_owned(),
        or_dash(made),
        or_dash(epoch.map(|e| e.count.to_string())),
    ]
}

/// How the fleet is, for people.
fn show(fleet: &FleetStatus) -> String {
    let mut lines = Vec::new();
    if fleet.standing.freezes.is_empty() {
        let state = if fleet.ready { "works" } else { "takes its first look at the cloud" };
        lines.push(format!("state         {state}"));
    }
    for freeze in &fleet.standing.freezes {
        let (since, reason) = (printable(&freeze.since), printable(&freeze.reason));
        lines.push(format!("FROZEN        since {since}: {reason}"));
    }
    let states = fleet.nodes.iter();
    let states: Vec<String> =
        states.map(|(state, count)| format!("{count} {}", printable(state))).collect();
    let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
    lines.push(format!("nodes         {states}"));
    if fleet.quarantined > 0 {
        lines.push(format!("to adopt      {} (see: holdfast adopt)", fleet.quarantined));
    }
    for market in &fleet.cooled_markets {
        let nodes = market.nodes;
        let nodes = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
        lines.push(format!(
            "refused       {}, left alone by {nodes} until {}",
            printable(&market.market),
            printable(&market.until)
        ));
    }
    lines.push(format!(
        "own choice    {} replacements begun within the hour, of at most {}",
        fleet.voluntary_begun, fleet.voluntary_per_hour
    ));
    for limit in &fleet.call_limits {
        let (percent, waiting) = (limit.believed_percent, limit.waiting);
        if percent < 100 || waiting > 0 {
            let action = printable(&limit.action);
            lines.push(format!(
                "calls         {action}: {percent} % of the published rate is believed, {waiting} wait"
            ));
        }
    }
    let (installation, region) = (printable(&fleet.installation), printable(&fleet.region));
    lines.push(format!("installation  {installation} in {region}"));
    let (epoch, began) = (fleet.standing.epoch, printable(&fleet.standing.epoch_began));
    lines.push(format!("epoch         {epoch}, since {began}"));
    lines.push(format!(
        "versions      holdfast {}, records {}, store {}",
        printable(&fleet.version),
        fleet.record_version,
        fleet.store_version
    ));
    lines.join("\n") + "\n"
}
