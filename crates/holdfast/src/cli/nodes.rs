//! `holdfast node …`.

use super::arguments::{KeepOptions, NodeCommand, NodeVerb, NodeVolumeVerb, WaitOptions};
use super::client::{Client, printable};
use super::wait::{self, Until};
use super::{deallocation, events, exec, generations, spec, tables};
use holdfast_terminal::{Code, Failure, complain, confirm, print, print_json};
use holdfast_wire::local::{Interruption, InterruptionRequest};
use holdfast_wire::{
    Choice, Deallocation, DecisionRequest, Deletion, ManagedInstance, Node, NodeRequest,
    NodeSummary,
};
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const NODES: &str = "/aws/ec2/managedInstance";

/// Does what a node command says.
pub fn run(command: &NodeCommand) -> Result<ExitCode, Failure> {
    let asked = Asked { client: command.server.client()?, json: command.json };
    match &command.verb {
        NodeVerb::Create { file, wait } => asked.create(file, wait)?,
        NodeVerb::List { all } => asked.list(*all)?,
        NodeVerb::Show { name } => asked.show(name)?,
        NodeVerb::Update { name, file } => asked.update(name, file)?,
        NodeVerb::Pause(node) => asked.act(&node.name, "pause", Until::Paused, &node.wait)?,
        NodeVerb::Resume(node) => asked.act(&node.name, "resume", Until::Active, &node.wait)?,
        NodeVerb::Recycle(node) => asked.act(&node.name, "recycle", Until::Active, &node.wait)?,
        NodeVerb::Generations { name } => generations::show(&asked.client, name, asked.json)?,
        NodeVerb::Rollback { name, to, data, no_data, wait } => {
            let data = (*data || *no_data).then_some(*data);
            let id = generations::roll_back(&asked.client, name, to, data, wait)?;
            asked.tell(&id)?;
        }
        NodeVerb::Interrupt { name, notice } => asked.interrupt(name, *notice)?,
        NodeVerb::Delete { name, yes, keep, wait } => asked.delete(name, *yes, *keep, wait)?,
        NodeVerb::Undelete { name, accept_loss } => {
            let id = deallocation::undelete(&asked.client, name, *accept_loss)?;
            asked.tell(&id)?;
        }
        NodeVerb::Volume(NodeVolumeVerb::Delete { name, volume, yes }) => {
            let id = deallocation::delete_volume(&asked.client, name, volume, *yes)?;
            asked.tell(&id)?;
        }
        NodeVerb::Decide { name, choice } => asked.decide(name, choice.meant())?,
        NodeVerb::Events { name, follow, limit } => {
            let node = asked.client.find(name)?;
            events::show(&asked.client, &node.id, *follow, *limit, asked.json)?;
        }
        NodeVerb::Exec { name, tty, before_gate, command } => {
            return exec::run(&asked.client, name, *tty, *before_gate, command);
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct Asked {
    client: Client,
    json: bool,
}

/// Says what the server says beside its answer.
fn remark(remark: Option<String>) {
    if let Some(remark) = remark {
        complain(&printable(&remark));
    }
}

impl Asked {
    fn create(&self, file: &Path, options: &WaitOptions) -> Result<(), Failure> {
        let body = NodeRequest { managed_instance: read_spec(file)? };
        let made = self.client.ask::<Node>("POST", NODES, Some(&body))?;
        let id = made.item.id.as_str();
        if !self.json {
            let name = made.item.document.0.get("name").and_then(Value::as_str);
            complain(&format!("made {} ({id})", name.unwrap_or_default()));
            remark(made.remark);
        }
        if wait::is_wanted(options) {
            wait::wait(&self.client, id, Until::Active, options.timeout)?;
        }
        self.tell(id)
    }

    fn list(&self, all: bool) -> Result<(), Failure> {
        let nodes = self.client.nodes(all)?;
        if self.json { print_json(&nodes) } else { print(&tables::list(&nodes)) }
    }

    fn show(&self, name: &str) -> Result<(), Failure> {
        let found = self.client.find(name)?;
        let node = self.client.whole(&found.id)?;
        if self.json { print_json(&node) } else { print(&tables::show(&node, wait::now())) }
    }

    fn update(&self, name: &str, file: &Path) -> Result<(), Failure> {
        let body = NodeRequest { managed_instance: read_spec(file)? };
        let node = self.client.find(name)?;
        let path = format!("{NODES}/{}", node.id);
        let changed = self.client.ask::<Node>("PUT", &path, Some(&body))?;
        if !self.json {
            complain("changed; it takes effect at the next replacement");
            remark(changed.remark);
        }
        self.tell(&node.id)
    }

    fn act(
        &self,
        name: &str,
        word: &str,
        until: Until,
        options: &WaitOptions,
    ) -> Result<(), Failure> {
        let node = self.client.find(name)?;
        self.client.order("PUT", &format!("{NODES}/{}/{word}", node.id))?;
        if wait::is_wanted(options) {
            wait::wait(&self.client, &node.id, until, options.timeout)?;
        }
        self.tell(&node.id)
    }

    fn interrupt(&self, name: &str, notice: Option<Duration>) -> Result<(), Failure> {
        let node = self.client.find(name)?;
        let millis = notice.map(|n| u64::try_from(n.as_millis()).unwrap_or(u64::MAX));
        let path = format!("{}/nodes/{}/interrupt", holdfast_api::LOCAL, node.id);
        let body = InterruptionRequest { notice_ms: millis };
        self.client.ask::<Interruption>("POST", &path, Some(&body))?;
        if !self.json {
            let how = notice.map_or("its power was cut".to_owned(), |n| {
                format!(
                    "its power will be cut in {}",
                    holdfast_terminal::duration::show(n.as_millis() as u64)
                )
            });
            complain(&format!("{}: {how}", tables::title(&node)));
        }
        self.tell(&node.id)
    }

    fn delete(
        &self,
        name: &str,
        yes: bool,
        keep: KeepOptions,
        options: &WaitOptions,
    ) -> Result<(), Failure> {
        let node = self.client.find(name)?;
        let title = format!("{} ({})", tables::title(&node), node.id);
        if node.given_up {
            let why = format!(
                "{title} has been deleted already; what is left of it goes by itself, and until then: \
                     holdfast node undelete {}",
                node.id
            );
            return Err(Failure::new(Code::NoSuchNode, why));
        }
        if !yes && !confirm(&format!("Delete {title}{}?", what_goes(keep)))? {
            return Err(Failure::new(Code::Failed, "nothing was deleted"));
        }
        let chosen = Deallocation {
            should_terminate_instance: Some(!keep.keep_instance),
            should_delete_volumes: Some(!keep.keep_volumes),
            should_delete_snapshots: Some(!keep.keep_snapshots),
            should_delete_images: Some(!keep.keep_images),
            should_delete_network_interfaces: Some(!keep.keep_interface),
        };
        let body = Deletion { deallocation_config: Some(chosen) };
        self.client.tell("DELETE", &format!("{NODES}/{}", node.id), Some(&body))?;
        if wait::is_wanted(options) {
            wait::wait(&self.client, &node.id, Until::Gone, options.timeout)?;
        }
        match self.tell(&node.id) {
            // Nothing of it waits for anything.
            Err(failure) if failure.code == Code::NoSuchNode => {
                if self.json {
                    let status = "DEALLOCATED".to_owned();
                    let gone = NodeSummary { status, given_up: true, ..node };
                    return print_json(&gone);
                }
                print(&format!("{title} is deleted\n"))
            }
            told => told,
        }
    }

    fn decide(&self, name: &str, choice: Choice) -> Result<(), Failure> {
        let node = self.client.find(name)?;
        let path = format!("/holdfast/v1/nodes/{}/decide", node.id);
        self.client.tell("POST", &path, Some(&DecisionRequest { choice }))?;
        self.tell(&node.id)
    }

    /// Says how a node is now: a line for people, the node in short for programs.
    fn tell(&self, id: &str) -> Result<(), Failure> {
        let node = self.client.whole(id)?.summary;
        if self.json {
            return print_json(&node);
        }
        let mut line = format!("{} ({id}) is {}", tables::title(&node), node.status);
        if let Some(market) = node.market {
            line.push_str(&format!(" on {market}"));
        }
        if let Some(ip) = node.private_ip {
            line.push_str(&format!(", {ip}"));
        }
        print(&(line + "\n"))
    }
}

fn read_spec(file: &Path) -> Result<ManagedInstance, Failure> {
    let found = spec::read(file)?;
    for remark in &found.remarks {
        complain(&format!("holdfast: {}: {remark}", file.display()));
    }
    match found.document {
        Value::Object(members) => Ok(ManagedInstance(members)),
        _ => Err(Failure::new(Code::Usage, format!("{}: is no spec", file.display()))),
    }
}

fn what_goes(keep: KeepOptions) -> String {
    let parts = [
        (keep.keep_instance, "instance"),
        (keep.keep_volumes, "volumes"),
        (keep.keep_snapshots, "snapshots"),
        (keep.keep_images, "images"),
        (keep.keep_interface, "interface"),
    ];
    let named = |kept: bool| -> Vec<&str> {
        parts.iter().filter(|(k, _)| *k == kept).map(|(_, name)| *name).collect()
    };
    match (named(false), named(true)) {
        (_, kept) if kept.is_empty() => " with everything that belongs to it".to_owned(),
        (gone, _) if gone.is_empty() => " and keep everything that belongs to it".to_owned(),
        (gone, kept) => format!(" with its {}, and keep its {}", gone.join(", "), kept.join(", ")),
    }
}
