//! Status checks, as EC2 makes them: whether the instance answers, whether its network is there, and
//! whether its volumes take what is written (EC2 user guide, "Status checks for your instances").
//! What a program in the node does is its own business.

use crate::host::Inner;
use crate::refusal::LocalError;
use crate::rows::InstanceRow;
use holdfast_agent::{AgentError, ShimHandle};
use holdfast_model::facts::{Health, InstanceState};
use holdfast_model::{CloudError, InstanceId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Between two rounds of checks. EC2 makes one each minute.
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks at the pool's space.
const SPACE_EVERY: Duration = Duration::from_millis(100);
/// An instance is impaired after so many failed checks on end.
const FAILURES: u32 = 2;
/// With less free than this, nothing is made (the pool's reserve), or next to nothing: no instance
/// has a successor, in bytes.
const ROOM_BYTES: u64 = 80 << 20;
/// With this much free again there is room, in bytes: not for the first of many only.
const ROOM_AGAIN_BYTES: u64 = 128 << 20;
/// So many instances are checked at the same time: one that does not answer takes seconds.
const AT_ONCE: usize = 8;

/// Starts the checks. They end when the local cloud is dropped.
pub(crate) fn start(inner: &Arc<Inner>) -> Result<(), LocalError> {
    let weak = Arc::downgrade(inner);
    std::thread::Builder::new()
        .name("local-checks".to_owned())
        .spawn(move || check(&weak))
        .map_err(crate::refusal::io("starting the checks of", &inner.dir))?;
    let weak = Arc::downgrade(inner);
    std::thread::Builder::new()
        .name("local-space".to_owned())
        .spawn(move || watch_space(&weak))
        .map_err(crate::refusal::io("watching the space of", &inner.dir))?;
    Ok(())
}

/// A round of checks takes seconds where a node does not answer: a pool that was full for less than
/// that must not be overlooked.
fn watch_space(weak: &Weak<Inner>) {
    while let Some(inner) = weak.upgrade() {
        if inner.pool.is_full().unwrap_or(false) {
            inner.writes.is_full_now();
        }
        drop(inner);
        std::thread::sleep(SPACE_EVERY);
    }
}

fn check(weak: &Weak<Inner>) {
    let mut memory = Memory::default();
    while let Some(inner) = weak.upgrade() {
        if let Err(e) = round(&inner, &mut memory) {
            tracing::warn!(error = %e, "the status checks");
        }
        drop(inner);
        std::thread::sleep(EVERY);
    }
}

/// What a round knows of the rounds before it.
#[derive(Default)]
struct Memory {
    /// Failed checks on end.
    failures: BTreeMap<InstanceId, u32>,
    /// Whether there was no room for another instance.
    short: bool,
}

/// Checks every instance whose gate is open.
fn round(inner: &Inner, memory: &mut Memory) -> Result<(), LocalError> {
    let mut rows: Vec<InstanceRow> = inner.state.look(|t| t.all())?;
    rows.retain(is_checked);
    memory.failures.retain(|id, _| rows.iter().any(|row| &row.fact.id == id));
    if rows.is_empty() {
        return Ok(());
    }
    // Before anything is shown as impaired, and may be given up for that.
    inner.show_successors(&rows, &mut memory.short)?;
    for (id, fault) in lasting_faults(inner, &rows)? {
        inner.keep_fault(&id, &fault)?;
    }
    let links: Vec<(&str, u32)> =
        rows.iter().map(|row| (row.fact.id.as_str(), row.known_by.unwrap_or(0))).collect();
    let connected = inner.fabric.connected(&links)?;
    for some in rows.chunks(AT_ONCE) {
        let found: Vec<(&InstanceRow, Option<String>)> = std::thread::scope(|scope| {
            let connected = &connected;
            let asked: Vec<_> = some
                .iter()
                .map(|row| (row, scope.spawn(move || inner.fault_of(row, connected))))
                .collect();
            // A check that panicked says nothing.
            asked.into_iter().map(|(row, asked)| (row, asked.join().unwrap_or(None))).collect()
        });
        for (row, fault) in found {
            let id = &row.fact.id;
            let count = memory.failures.entry(id.clone()).or_default();
            *count = if fault.is_some() { count.saturating_add(1) } else { 0 };
            if fault.is_none() || *count >= FAILURES {
                inner.show_health(id, fault)?;
            }
        }
    }
    Ok(())
}

/// Instances whose volumes have a fault that lasts as long as they do: the kernel says so, or they
/// were written to while there was no space.
fn lasting_faults(
    inner: &Inner,
    rows: &[InstanceRow],
) -> Result<Vec<(InstanceId, String)>, LocalError> {
    // Asked first: what was written before the pool was full may be accused, nothing is missed.
    let full = inner.writes.was_full() | inner.pool.is_full()?;
    let mut found = Vec::new();
    for row in rows {
        for attachment in &row.fact.attachments {
            let target = inner.mountpoint(&attachment.volume);
            let count = inner.pool.written(&target)?.unwrap_or_default();
            let written = inner.writes.look(&attachment.volume, count);
            let fault = match inner.pool.fault(&target)? {
                None if full && written => {
                    Some("the pool of volumes was full while it was written to".to_owned())
                }
                fault => fault,
            };
            if row.lasting_fault.is_none()
                && let Some(fault) = fault
            {
                let what = format!("{} ({}): {fault}", attachment.volume, attachment.device);
                found.push((row.fact.id.clone(), what));
            }
        }
    }
    Ok(found)
}

fn is_checked(row: &InstanceRow) -> bool {
    row.fact.state == InstanceState::Running && row.fact.health != Health::Initializing
}

impl Inner {
    /// The first check that fails, as a sentence.
    fn fault_of(&self, row: &InstanceRow, connected: &BTreeSet<String>) -> Option<String> {
        let id = &row.fact.id;
        if !connected.contains(id.as_str()) {
            return Some("its network interface is gone or down".to_owned());
        }
        row.lasting_fault.clone().or_else(|| self.silence_of(id))
    }

    /// Shows of each instance whether another could be made in its place.
    ///
    /// What dies with an instance makes room for the next one. It is counted only where its
    /// filesystem takes no more writes: then the instance is lost in any case. Of one that may
    /// serve, others could take the room before its successor does.
    fn show_successors(&self, rows: &[InstanceRow], short: &mut bool) -> Result<(), LocalError> {
        let (free, _) = self.pool.free_bytes()?;
        let needed = if *short { ROOM_AGAIN_BYTES } else { ROOM_BYTES };
        *short = free < needed;
        for row in rows {
            let mut room = free;
            if *short {
                for dying in row.fact.attachments.iter().filter(|a| a.delete_on_termination) {
                    if self.pool.is_given_up(&self.mountpoint(&dying.volume))? {
                        let found = self.pool.volume(&dying.volume)?;
                        room = room.saturating_add(found.map_or(0, |info| info.used_bytes));
                    }
                }
            }
            let why = (*short && room < needed).then(|| {
                format!(
                    "little space is left in the pool of volumes or on the disk under it; make \
                     room until {} MiB are free: delete snapshots, volumes or nodes",
                    ROOM_AGAIN_BYTES >> 20
                )
            });
            if row.fact.no_successor != why {
                self.show_successor(&row.fact.id, why)?;
            }
        }
        Ok(())
    }

    fn show_successor(&self, id: &InstanceId, why: Option<String>) -> Result<(), CloudError> {
        self.state.change(|table| {
            let Some(mut row) = table.get::<InstanceRow>(id.as_str())? else { return Ok(()) };
            if row.fact.state == InstanceState::Running {
                row.fact.no_successor = why;
                table.put(&row)?;
            }
            Ok::<_, CloudError>(())
        })?;
        self.notify(id, None);
        Ok(())
    }

    /// Remembers a fault, also for a server that is started anew.
    fn keep_fault(&self, id: &InstanceId, fault: &str) -> Result<(), CloudError> {
        self.state.change(|table| {
            let Some(mut row) = table.get::<InstanceRow>(id.as_str())? else { return Ok(()) };
            row.lasting_fault.get_or_insert_with(|| fault.to_owned());
            table.put(&row)?;
            Ok(())
        })
    }

    /// Why the instance does not answer, if it does not.
    pub(crate) fn silence_of(&self, id: &InstanceId) -> Option<String> {
        let asked = ShimHandle::open(&self.node_dir(id))
            .and_then(|handle| handle.client())
            .and_then(|mut client| client.check());
        match asked {
            // What has ended is no matter of health, and a shim of an earlier version cannot be
            // asked.
            Ok(()) | Err(AgentError::NotRunning { .. }) => None,
            Err(AgentError::Refused(why)) if why.starts_with("not a request") => None,
            Err(AgentError::Refused(why)) => Some(why),
            Err(e) => Some(e.to_string()),
        }
    }

    fn show_health(&self, id: &InstanceId, fault: Option<String>) -> Result<(), CloudError> {
        let changed = self.state.change(|table| {
            let Some(mut row) = table.get::<InstanceRow>(id.as_str())? else { return Ok(false) };
            let health = if fault.is_some() { Health::Impaired } else { Health::Ok };
            if !is_checked(&row) || (row.fact.health, &row.fact.health_why) == (health, &fault) {
                return Ok(false);
            }
            row.fact.health = health;
            row.fact.health_why.clone_from(&fault);
            table.put(&row)?;
            Ok::<_, CloudError>(true)
        })?;
        if changed {
            match fault {
                Some(why) => tracing::warn!(instance = %id, %why, "impaired"),
                None => tracing::info!(instance = %id, "its status checks pass again"),
            }
            self.notify(id, None);
        }
        Ok(())
    }
}
