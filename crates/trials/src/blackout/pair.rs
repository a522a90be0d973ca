//! One pair: Holdfast's replacement and a bare restart, one after the other on the same volumes.

use super::bare::{Machine, Recipe};
use super::timeline::Timeline;
use crate::trial::commands::{Commands, Server};
use crate::trial::node::{interrupt, look, now, wait_for_ack, wait_for_generation};
use crate::trial::workload::Workload;
use crate::trial::writer::Writer;
use holdfast_cloud_local::network::in_fabric;
use holdfast_model::tags::MAKE_BEFORE_BREAK;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long the writer writes undisturbed before the machine is lost.
const CALM: Duration = Duration::from_millis(400);
/// How much notice the cloud gives: more than the servers need to shut down.
const NOTICE: &str = "20s";

/// How the machine is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Its power is cut without notice.
    Hard,
    /// The cloud gives notice.
    Notice,
    /// The user asks for another instance.
    Recycle,
}

impl Kind {
    /// As it stands in the report.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Hard => "hard",
            Kind::Notice => "notice",
            Kind::Recycle => "recycle",
        }
    }
}

/// In which order a replacement went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The old instance ends before the next is launched.
    Ordinary,
    /// The next instance is launched before the old one ends; after a loss without notice, while it
    /// ends. It needs a root that is not kept.
    MakeBeforeBreak,
}

impl Order {
    /// As it stands in the report.
    pub fn name(self) -> &'static str {
        match self {
            Order::Ordinary => "ordinary",
            Order::MakeBeforeBreak => "make before break",
        }
    }

    /// What its nodes ask for: the example, and the order; and no kept root where that is in the
    /// way of it.
    pub fn spec(self, workload: Workload) -> Result<Value, String> {
        let mut spec: Value = serde_saphyr::from_str(workload.spec()).map_err(|e| e.to_string())?;
        let node = &mut spec["managedInstance"];
        let tags = node.pointer_mut("/compute/launchSpecification/tags");
        let tags = tags.and_then(Value::as_array_mut).ok_or("the example has no tags")?;
        let on = if self == Order::Ordinary { "off" } else { "on" };
        tags.push(json!({"tagKey": MAKE_BEFORE_BREAK, "tagValue": on}));
        if self == Order::MakeBeforeBreak {
            node["persistence"]["persistRootDevice"] = json!(false);
        }
        Ok(spec)
    }
}

/// One half of a pair.
#[derive(Debug, Clone)]
pub struct Half {
    /// From the last acknowledgement before to the first after.
    pub blackout: Duration,
    /// Where it went: names and lengths, in order.
    pub rows: Vec<(String, Duration)>,
}

/// Both halves.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The replacement.
    pub holdfast: Half,
    /// The bare restart.
    pub bare: Half,
}

/// What a pair needs.
pub struct Stage<'a> {
    /// How commands are given.
    pub commands: &'a Commands,
    /// The server process.
    pub server: &'a Server,
    /// The bare hands.
    pub machine: &'a Machine,
    /// The server in the node.
    pub workload: Workload,
    /// Who writes to it.
    pub writer: &'a Writer,
    /// What the node asks for.
    pub spec: &'a Value,
    /// How many rows are written right before each loss.
    pub rows: u64,
}

impl Stage<'_> {
    /// Plays a pair, in this or the other order: the volumes grow, and neither half shall profit.
    pub fn play(&self, kind: Kind, bare_first: bool) -> Result<Pair, String> {
        if bare_first {
            let bare = self.bare(kind)?;
            let holdfast = self.holdfast(kind)?;
            Ok(Pair { holdfast, bare })
        } else {
            let holdfast = self.holdfast(kind)?;
            let bare = self.bare(kind)?;
            Ok(Pair { holdfast, bare })
        }
    }

    fn holdfast(&self, kind: Kind) -> Result<Half, String> {
        let name = self.workload.name();
        let before = look(self.commands, name)?;
        let timeline = Timeline::start();
        self.calm(&before.ip)?;
        let began = now();
        match kind {
            Kind::Hard => interrupt(self.commands, name, None)?,
            Kind::Notice => interrupt(self.commands, name, Some(NOTICE))?,
            Kind::Recycle => {
                self.commands.node(&["recycle", name, "--no-wait"])?;
            }
        }
        wait_for_generation(self.commands, name, before.generation)?;
        wait_for_ack(self.writer, name, now())?;
        let (last, next) = self.gap(began)?;
        let shown = self.commands.node(&["show", name])?;
        let rows = timeline.rows(&shown, last, next)?;
        Ok(Half { blackout: next - last, rows })
    }

    /// The node's machine is lost while the controller is stopped, and its server is restarted by
    /// hand. Then the controller goes on, and brings the node back as after any loss.
    fn bare(&self, kind: Kind) -> Result<Half, String> {
        let name = self.workload.name();
        let shown = self.commands.node(&["show", name])?;
        let recipe = Recipe::of(self.workload, self.spec, &shown)?;
        let before = look(self.commands, name)?;
        self.calm(&before.ip)?;
        self.server.stop()?;
        let played = self.bare_restart(kind, &recipe);
        self.server.go_on()?;
        let half = played?;
        wait_for_generation(self.commands, name, before.generation)?;
        wait_for_ack(self.writer, name, now())?;
        Ok(half)
    }

    fn bare_restart(&self, kind: Kind, recipe: &Recipe) -> Result<Half, String> {
        let began = now();
        let mut steps = match kind {
            Kind::Hard => self.machine.lose_power(recipe)?,
            Kind::Notice | Kind::Recycle => self.machine.shut_down(recipe)?,
        };
        let restarted = self.machine.restart(recipe, &mut steps)?;
        let up = now();
        wait_for_ack(self.writer, self.workload.name(), up)?;
        let (last, next) = self.gap(began)?;
        // Given to the controller as it would find it after any loss.
        self.machine.give_back(recipe, restarted)?;
        let mut rows = vec![("until".to_owned(), began.saturating_duration_since(last))];
        rows.extend(steps);
        rows.push(("serve".to_owned(), next.saturating_duration_since(up)));
        Ok(Half { blackout: next - last, rows })
    }

    /// A while in which nothing happens to the node, but what it is to leave behind.
    fn calm(&self, address: &str) -> Result<(), String> {
        std::thread::sleep(CALM);
        if self.rows > 0 {
            let address = address.parse().map_err(|_| format!("{address} is no address"))?;
            let (workload, rows) = (self.workload, self.rows);
            let left =
                in_fabric(&self.commands.cloud_dir(), || workload.leave_behind(address, rows));
            left.map_err(|e| e.to_string())??;
        }
        Ok(())
    }

    fn gap(&self, since: Instant) -> Result<(Instant, Instant), String> {
        let gap = self.writer.longest_gap(since);
        gap.ok_or_else(|| format!("{} acknowledged nothing", self.workload.name()))
    }
}
