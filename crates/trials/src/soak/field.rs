//! The nodes in use: what they look like, who writes to them, and what was done to them when.

use super::action::Action;
use super::subjects::{Kept, Subject};
use crate::trial::commands::{Commands, Server};
use crate::trial::patience::Patience;
use crate::trial::writer::Writer;
use crate::trial::{node, say};
use holdfast_wire::WholeNode;
use holdfast_wire::record::DataHead;
use serde::Serialize;
use std::fs::File;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a node may take to serve again, whatever was done to it.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// How long a command is repeated while the server is away, or the node is not in a state for it.
const INSIST_FOR: Duration = Duration::from_secs(90);
/// Between two writes of one writer: ten writers must leave the machine some time for the rest.
const PACE: Duration = Duration::from_millis(5);
/// How many nodes are made at the same time.
const MADE_AT_ONCE: usize = 3;
/// So many writes that were lost are told one by one.
const MAX_LOST_TOLD: usize = 20;

/// A node in use.
pub struct InUse {
    /// What it is.
    pub subject: Subject,
    /// Whether something is being done to it.
    pub busy: AtomicBool,
    writer: Mutex<Option<Writer>>,
    first: Look,
}

/// How a node looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Its generation.
    pub generation: u64,
    /// Its status.
    pub status: String,
    /// Its address.
    pub ip: String,
    /// Its zone.
    pub zone: String,
    /// `spot` or `on-demand`.
    pub lifecycle: String,
    /// Its instance.
    pub instance: String,
    /// Its data volume.
    pub volume: String,
    /// What it waits for, and what it asks.
    pub waits_for: String,
    /// Everything.
    pub whole: WholeNode,
}

/// What was done, and how long the node was away.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What.
    pub action: Action,
    /// From the last acknowledgement before to the first after (of a resume and of a decision: from
    /// the command on). `None`: the node was not to be away.
    pub away: Option<Duration>,
}

/// What came of one node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeFigures {
    /// Its name.
    pub name: String,
    /// What ran in it.
    pub server: String,
    /// Writes acknowledged.
    pub acked: usize,
    /// Of these, not there at the end.
    pub lost: usize,
    /// How many instances it has had.
    pub instances: u64,
    /// Whether its address is the same, where it was to be kept.
    pub address_kept: Option<bool>,
}

/// Everything that a soak works with.
pub struct Field {
    /// How commands are given.
    pub commands: Commands,
    /// Held by what changes markets: two droughts at once would undo each other.
    pub markets: Mutex<()>,
    server: Mutex<Option<Server>>,
    nodes: Mutex<Vec<Arc<InUse>>>,
    outcomes: Mutex<Vec<Outcome>>,
    timeline: Mutex<File>,
    began: Instant,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is whole after each step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Field {
    pub fn new(commands: Commands, server: Server, timeline: &Path) -> Result<Field, String> {
        let file = File::create(timeline).map_err(|e| format!("{}: {e}", timeline.display()))?;
        Ok(Field {
            commands,
            markets: Mutex::new(()),
            server: Mutex::new(Some(server)),
            nodes: Mutex::default(),
            outcomes: Mutex::default(),
            timeline: Mutex::new(file),
            began: Instant::now(),
        })
    }

    /// One line of the timeline.
    pub fn say(&self, what: &str) {
        let at = self.began.elapsed().as_secs_f64();
        let line = format!("{at:8.2} s  {what}");
        say(&line);
        let _ = writeln!(lock(&self.timeline), "{line}");
    }

    /// The nodes.
    pub fn nodes(&self) -> Vec<Arc<InUse>> {
        lock(&self.nodes).clone()
    }

    /// What was done.
    pub fn outcomes(&self) -> Vec<Outcome> {
        lock(&self.outcomes).clone()
    }

    /// Writes down what was done.
    pub fn done(&self, action: Action, who: &str, away: Option<Duration>) {
        let away_text = away.map(|a| format!(": away {} ms", a.as_millis())).unwrap_or_default();
        self.say(&format!("{who}: {}{away_text}", action.name()));
        lock(&self.outcomes).push(Outcome { action, away });
    }

    /// Makes the nodes, and begins to write to them.
    pub fn begin(&self, subjects: Vec<Subject>) -> Result<(), String> {
        for some in subjects.chunks(MADE_AT_ONCE) {
            let made: Vec<Result<InUse, String>> = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    some.iter().map(|s| scope.spawn(move || self.make(s.clone()))).collect();
                let failed = |_| Err("a thread panicked".to_owned());
                threads.into_iter().map(|t| t.join().unwrap_or_else(failed)).collect()
            });
            for node in made {
                lock(&self.nodes).push(Arc::new(node?));
            }
        }
        Ok(())
    }

    fn make(&self, subject: Subject) -> Result<InUse, String> {
        let name = subject.name.clone();
        node::create(&self.commands, &name, &subject.spec()?)?;
        let first = self.look(&name)?;
        let address = address(&first)?;
        let dir = self.commands.cloud_dir();
        let writer = Writer::paced(&dir, subject.workload, address, Patience::USUAL, PACE);
        node::wait_for_ack(&writer, &name, self.began)?;
        self.say(&format!("{name}: serves at {} in {}", first.ip, first.zone));
        Ok(InUse { subject, busy: AtomicBool::new(false), writer: Mutex::new(Some(writer)), first })
    }

    /// How a node looks.
    pub fn look(&self, name: &str) -> Result<Look, String> {
        let whole = node::whole(&self.commands, name)?;
        let (summary, record) = (&whole.summary, &whole.record);
        let waits_for = summary.waits_for.clone().unwrap_or_default();
        let waits_for = match &record.stuck {
            None => waits_for,
            Some(stuck) => format!("{waits_for}; {}", stuck.why),
        };
        let market = summary.market.as_ref();
        let volume = record.data.first().and_then(|data| match &data.head {
            DataHead::Volume { id, .. } => Some(id.clone()),
            DataHead::Fresh => None,
        });
        Ok(Look {
            generation: record.generation,
            status: summary.status.clone(),
            ip: summary.private_ip.clone().unwrap_or_default(),
            zone: market.map(|m| m.zone.clone()).unwrap_or_default(),
            lifecycle: market.map(|m| m.lifecycle.to_string()).unwrap_or_default(),
            instance: summary.instance_id.clone().unwrap_or_default(),
            volume: volume.unwrap_or_default(),
            waits_for,
            whole,
        })
    }

    /// The same, however long the server is away.
    pub fn see(&self, name: &str) -> Result<Look, String> {
        self.until(&format!("a look at {name}"), INSIST_FOR, || self.look(name))
    }

    /// Gives a command, again and again while the server is away or the node cannot take it.
    pub fn insist(&self, arguments: &[&str]) -> Result<(), String> {
        self.until(&arguments.join(" "), INSIST_FOR, || self.commands.node(arguments).map(|_| ()))
    }

    /// Sets markets, again and again while the server is away.
    pub fn set_markets(&self, arguments: &[&str]) -> Result<(), String> {
        self.until(&arguments.join(" "), INSIST_FOR, || self.commands.market(arguments))
    }

    /// Waits until something succeeds.
    pub fn until<T>(
        &self,
        what: &str,
        patience: Duration,
        mut attempt: impl FnMut() -> Result<T, String>,
    ) -> Result<T, String> {
        let began = Instant::now();
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(why) if began.elapsed() > patience => {
                    return Err(format!("{what}: not within {} s: {why}", patience.as_secs()));
                }
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Waits until a node is active in a later generation.
    pub fn comes_back(&self, node: &InUse, after: u64) -> Result<Look, String> {
        let name = &node.subject.name;
        let (look, address) = self.until(&format!("{name} comes back"), PATIENCE, || {
            let look = self.look(name)?;
            if look.generation > after && look.status == "ACTIVE" {
                // A server that was just restarted knows the node before it has looked at its
                // instance, which has the address of a node that keeps none.
                let address = address(&look)?;
                return Ok((look, address));
            }
            let Look { status, generation, waits_for, .. } = look;
            Err(format!("it is {status} in generation {generation} and waits for {waits_for}"))
        })?;
        node.writer_goes_to(address);
        Ok(look)
    }

    /// Waits until a write that began after now is acknowledged.
    pub fn serves(&self, node: &InUse) -> Result<(), String> {
        let since = Instant::now();
        self.until(&format!("{} serves", node.subject.name), PATIENCE, || {
            // It may have moved again meanwhile: something else may have been found wrong.
            if let Ok(address) = self.look(&node.subject.name).and_then(|look| address(&look)) {
                node.writer_goes_to(address);
            }
            let writer = lock(&node.writer);
            let Some(writer) = writer.as_ref() else { return Err("nobody writes".to_owned()) };
            match writer.last_ack() {
                Some(at) if at > since => Ok(()),
                _ => Err(writer.last_error().unwrap_or_default()),
            }
        })
    }

    /// Waits until every node serves.
    pub fn everybody_serves(&self, since: Instant) -> Result<(), String> {
        for node in self.nodes() {
            self.comes_back(&node, 0)?;
            self.serves(&node)?;
        }
        self.say(&format!("everybody serves after {} ms", since.elapsed().as_millis()));
        Ok(())
    }

    /// Kills the server with -9 and starts it again.
    pub fn kill_server(&self, away: Duration) -> Result<(), String> {
        let mut server = lock(&self.server);
        let server = server.as_mut().ok_or("there is no server")?;
        server.kill_and_restart(away)
    }

    /// Ends the server.
    pub fn stop_server(&self) {
        drop(lock(&self.server).take());
    }

    /// Ends the writers, reads everything back and compares.
    pub fn count(&self) -> Result<Vec<NodeFigures>, String> {
        let mut figures = Vec::new();
        for node in self.nodes() {
            let Some(mut writer) = lock(&node.writer).take() else { continue };
            writer.end()?;
            let name = &node.subject.name;
            // Something may have been found wrong with it only now, and it is on its way.
            let (last, (acked, lost)) =
                self.until(&format!("{name} is read back"), PATIENCE, || {
                    let last = self.look(name)?;
                    writer.goes_to(address(&last)?);
                    Ok((last, writer.compare(&self.commands.cloud_dir())?))
                })?;
            self.say(&format!("{}: {} of {acked} lost", node.subject.name, lost.len()));
            for one in lost.iter().take(MAX_LOST_TOLD) {
                let at = one.acknowledged_at.saturating_duration_since(self.began).as_secs_f64();
                self.say(&format!("  {}, acknowledged after {at:.3} s", one.id));
            }
            let keeps = node.subject.kept != Kept::Nothing;
            figures.push(NodeFigures {
                name: node.subject.name.clone(),
                server: node.subject.workload.name().to_owned(),
                acked,
                lost: lost.len(),
                instances: last.generation,
                address_kept: keeps.then(|| node.first.ip == last.ip),
            });
        }
        Ok(figures)
    }

    /// Deletes every node.
    pub fn give_everything_up(&self) -> Result<(), String> {
        let listed = self.commands.node(&["list"])?;
        let nodes = listed.as_array().cloned().unwrap_or_default();
        for id in nodes.iter().filter_map(|n| n["id"].as_str()) {
            self.insist(&["delete", id, "--yes"])?;
        }
        self.until("everything is given up", PATIENCE, || {
            let left = self.commands.node(&["list", "--all"])?;
            let left = left.as_array().map_or(0, Vec::len);
            if left == 0 { Ok(()) } else { Err(format!("{left} nodes are still there")) }
        })
    }
}

fn address(look: &Look) -> Result<Ipv4Addr, String> {
    look.ip.parse().map_err(|_| format!("the node has no address but {:?}", look.ip))
}

impl InUse {
    fn writer_goes_to(&self, address: Ipv4Addr) {
        if let Some(writer) = lock(&self.writer).as_ref() {
            writer.goes_to(address);
        }
    }

    /// The longest time without an acknowledgement that ended after `since`.
    pub fn away_since(&self, since: Instant) -> Option<Duration> {
        let writer = lock(&self.writer);
        let (from, to) = writer.as_ref()?.longest_gap(since)?;
        Some(to - from)
    }

    /// From an instant to the first acknowledgement after it.
    pub fn first_ack_after(&self, since: Instant) -> Option<Duration> {
        let writer = lock(&self.writer);
        Some(writer.as_ref()?.first_ack_after(since)? - since)
    }

    /// Takes it for an action, if nobody else has it.
    pub fn take(&self) -> bool {
        !self.busy.swap(true, Ordering::SeqCst)
    }

    /// Gives it back.
    pub fn give_back(&self) {
        self.busy.store(false, Ordering::SeqCst);
    }
}
