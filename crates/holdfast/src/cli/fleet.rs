//! `holdfast status`, `freeze`, `thaw` and `adopt`: what concerns the fleet as a whole.

use super::arguments::{AdoptCommand, FleetCommand, FreezeCommand};
use super::client::{Client, printable};
use super::tables::{table, words};
use super::{pool, spec};
use holdfast_api::rfc3339;
use holdfast_model::adoption::{Heads, Stray};
use holdfast_model::facts::Fact;
use holdfast_model::{Epoch, Time, tags};
use holdfast_terminal::{Code, Failure};
use holdfast_terminal::{complain, print, print_json};
use serde_json::{Value, json};

/// How the fleet is.
pub fn status(command: &FleetCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    let fleet = item(client.get("/holdfast/v1/fleet")?);
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
    let body = json!({ "reason": command.reason });
    let fleet = item(client.send("POST", "/holdfast/v1/freeze", Some(&body))?);
    if command.fleet.json {
        return print_json(&fleet);
    }
    print("nothing is changed from now on, until: holdfast thaw\n")
}

/// Lifts what a person can lift.
pub fn thaw(command: &FleetCommand) -> Result<(), Failure> {
    let client = command.server.client()?;
    let fleet = item(client.send("POST", "/holdfast/v1/thaw", None)?);
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
    let mut body = json!({ "heads": heads(&command.heads)? });
    if let (Some(file), Value::Object(members)) = (&command.spec, &mut body) {
        let found = spec::read(file)?;
        for remark in &found.remarks {
            complain(&format!("holdfast: {}: {remark}", file.display()));
        }
        members.insert("managedInstance".to_owned(), found.document);
    }
    let id = named(&client, node)?;
    client.send("POST", &format!("/holdfast/v1/nodes/{id}/adopt"), Some(&body))?;
    let (whole, all) = client.whole(&id)?;
    if command.fleet.json {
        return print_json(&all);
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

fn heads(given: &[String]) -> Result<Heads, Failure> {
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

fn item(mut response: Value) -> Value {
    response.pointer_mut("/items/0").map(Value::take).unwrap_or_default()
}

fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let mut response = client.get("/holdfast/v1/unaccounted")?;
    let items = response.get_mut("items").map(Value::take).unwrap_or_default();
    if json {
        return print_json(&items);
    }
    let strays: Vec<Stray> = serde_json::from_value(items).map_err(|e| {
        let why = format!("the server at {} has another version ({e})", client.server());
        Failure::new(Code::Failed, why)
    })?;
    print(&tell(&strays))
}

/// What is not accounted for, for people.
fn tell(strays: &[Stray]) -> String {
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

fn row(fact: &Fact) -> Vec<String> {
    let tag = |name: &str| fact.tags().get(name).map(|t| printable(t));
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let epoch = tag(tags::EPOCH).and_then(|e| Epoch::read(&e));
    let (state, made) = match fact {
        Fact::Instance(i) => (format!("{:?}", i.state), Some(i.launched_at)),
        Fact::Volume(v) => (format!("{:?}", v.state), None),
        Fact::Snapshot(s) => (format!("{:?}", s.state), Some(s.started_at)),
        Fact::Image(i) => (format!("{:?}", i.state), None),
        Fact::Interface(i) => (format!("{:?}", i.state), None),
    };
    // Where the cloud does not tell, it is at least not older than its epoch.
    let since = |t: Time| rfc3339(t);
    let made = made.map(since).or_else(|| epoch.map(|e| format!("after {}", since(e.began))));
    vec![
        fact.id().to_owned(),
        or_dash(tag(tags::ROLE)),
        or_dash(tag(tags::GENERATION)),
        state.to_lowercase(),
        or_dash(made),
        or_dash(epoch.map(|e| e.count.to_string())),
    ]
}

/// How the fleet is, for people.
fn show(fleet: &Value) -> String {
    let text = |member: &str| fleet[member].as_str().map(printable).unwrap_or_default();
    let number = |member: &str| fleet[member].as_u64().unwrap_or_default();
    let mut lines = Vec::new();
    let ready = fleet["ready"].as_bool().unwrap_or_default();
    let freezes = fleet["freezes"].as_array().cloned().unwrap_or_default();
    if freezes.is_empty() {
        let state = if ready { "works" } else { "takes its first look at the cloud" };
        lines.push(format!("state         {state}"));
    }
    for freeze in &freezes {
        let of = |member: &str| freeze[member].as_str().map(printable).unwrap_or_default();
        lines.push(format!("FROZEN        since {}: {}", of("since"), of("reason")));
    }
    let nodes = fleet["nodes"].as_object().cloned().unwrap_or_default();
    let states: Vec<String> = nodes
        .iter()
        .map(|(state, count)| format!("{} {state}", count.as_u64().unwrap_or_default()))
        .collect();
    let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
    lines.push(format!("nodes         {states}"));
    if number("quarantined") > 0 {
        let count = number("quarantined");
        lines.push(format!("to adopt      {count} (see: holdfast adopt)"));
    }
    for market in fleet["cooledMarkets"].as_array().into_iter().flatten() {
        let of = |member: &str| market[member].as_str().map(printable).unwrap_or_default();
        let nodes = market["nodes"].as_u64().unwrap_or_default();
        let nodes = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
        lines.push(format!(
            "refused       {}, left alone by {nodes} until {}",
            of("market"),
            of("until")
        ));
    }
    lines.push(format!(
        "own choice    {} replacements begun within the hour, of at most {}",
        number("voluntaryBegun"),
        number("voluntaryPerHour")
    ));
    for limit in fleet["callLimits"].as_array().into_iter().flatten() {
        let of = |member: &str| limit[member].as_u64().unwrap_or_default();
        let (percent, waiting) = (of("believedPercent"), of("waiting"));
        if percent < 100 || waiting > 0 {
            let action = limit["action"].as_str().map(printable).unwrap_or_default();
            lines.push(format!(
                "calls         {action}: {percent} % of the published rate is believed, {waiting} wait"
            ));
        }
    }
    lines.push(format!("installation  {} in {}", text("installation"), text("region")));
    lines.push(format!("epoch         {}, since {}", number("epoch"), text("epochBegan")));
    let (record, store) = (number("recordVersion"), number("storeVersion"));
    lines.push(format!(
        "versions      holdfast {}, records {record}, store {store}",
        text("version")
    ));
    lines.join("\n") + "\n"
}
