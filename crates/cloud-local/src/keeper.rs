//! What happens without a command: notices run out, nodes end by themselves, what could not be
//! finished is tried again, and terminated instances are forgotten after an hour, as on EC2.

use crate::clock::now;
use crate::host::Inner;
use crate::power::SELF_INITIATED;
use crate::refusal::LocalError;
use crate::rows::{Ending, InstanceRow, VolumeRow};
use holdfast_agent::{AgentError, ShimHandle};
use holdfast_model::facts::{InstanceState, VolumeState};
use holdfast_model::time::HOUR;
use holdfast_model::{CloudError, InstanceId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often it looks: the precision of an interruption's deadline.
const PAUSE: Duration = Duration::from_millis(50);
/// How often what could not be finished is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// Threads that end instances at the same time.
const MAX_HANDS: usize = 8;

/// Starts the keeper. It ends when the local cloud is dropped.
pub(crate) fn start(inner: &Arc<Inner>) -> Result<(), LocalError> {
    let weak = Arc::downgrade(inner);
    std::thread::Builder::new()
        .name("local-keeper".to_owned())
        .spawn(move || keep(&weak))
        .map_err(crate::refusal::io("starting the keeper of", &inner.dir))?;
    Ok(())
}

/// What is being ended now.
#[derive(Default)]
struct Hands {
    busy: BTreeSet<InstanceId>,
}

fn keep(weak: &Weak<Inner>) {
    let hands = Arc::new(Mutex::new(Hands::default()));
    let mut nodes = BTreeMap::new();
    let mut retried: Option<Instant> = None;
    while let Some(inner) = weak.upgrade() {
        // At once after the start: what the last server was ending goes on.
        let retry = retried.is_none_or(|at| at.elapsed() >= RETRY);
        if retry {
            retried = Some(Instant::now());
        }
        if let Err(e) = round(&inner, &hands, &mut nodes, retry) {
            tracing::warn!(error = %e, "the local cloud's keeper");
        }
        drop(inner);
        std::thread::sleep(PAUSE);
    }
}

fn round(
    inner: &Arc<Inner>,
    hands: &Arc<Mutex<Hands>>,
    nodes: &mut BTreeMap<InstanceId, ShimHandle>,
    retry: bool,
) -> Result<(), LocalError> {
    let instances: Vec<InstanceRow> = inner.state.look(|t| t.all())?;
    let now = now();
    for row in &instances {
        let id = &row.fact.id;
        match row.fact.state {
            InstanceState::Running => {
                if row.fact.interruption_at.is_some_and(|at| at <= now) {
                    hand(inner, hands, id, |inner, id| inner.interrupt(id, None));
                } else if has_ended(inner, nodes, id)? {
                    hand(inner, hands, id, |inner, id| {
                        inner.begin_ending(id, Ending::Clean, SELF_INITIATED)?;
                        inner.finish(id)
                    });
                }
            }
            InstanceState::ShuttingDown if retry => {
                hand(inner, hands, id, finish_again);
            }
            InstanceState::Terminated => {
                nodes.remove(id);
                if row.ended_at.is_none_or(|at| now.since(at) > HOUR) {
                    inner.forget(id)?;
                }
            }
            _ => {}
        }
    }
    if retry {
        let volumes: Vec<VolumeRow> = inner.state.look(|t| t.all())?;
        for row in volumes.iter().filter(|v| v.fact.state == VolumeState::Deleting) {
            if let Err(e) = inner.complete_deletion(&row.fact.id) {
                tracing::warn!(volume = %row.fact.id, error = %e, "it is deleted later");
            }
        }
        inner.state.change(|table| table.prune_tokens(now))?;
        inner.finish_what_is_gone(true)?;
        inner.let_strangers_go()?;
        if !inner.state.damaged().is_empty() {
            inner.heal()?;
        }
        if let Err(e) = inner.state.labels().catch_up() {
            tracing::warn!(error = %e, "labels that found no space are written later");
        }
    }
    Ok(())
}

/// An ending that did not succeed, or whose server was killed. A command may be waiting for the
/// same node: then both wait, and the second finds the work done.
fn finish_again(inner: &Inner, id: &InstanceId) -> Result<(), LocalError> {
    let row: Option<InstanceRow> = inner.state.look(|t| t.get(id.as_str()))?;
    if row.is_some_and(|r| r.ending == Some(Ending::Clean)) {
        inner.stop_cleanly(id)?;
    }
    inner.finish(id)
}

/// Whether a node has ended by itself.
fn has_ended(
    inner: &Inner,
    nodes: &mut BTreeMap<InstanceId, ShimHandle>,
    id: &InstanceId,
) -> Result<bool, LocalError> {
    if !nodes.contains_key(id) {
        match ShimHandle::open(&inner.node_dir(id)) {
            Ok(handle) => nodes.insert(id.clone(), handle),
            Err(AgentError::NotRunning { .. }) => return Ok(true),
            Err(e) => return Err(e.into()),
        };
    }
    let alive = nodes.get(id).map_or(Ok(false), ShimHandle::is_alive)?;
    if !alive {
        nodes.remove(id);
    }
    Ok(!alive)
}

/// Lets a thread end an instance, unless one does already or all are at work.
fn hand(
    inner: &Arc<Inner>,
    hands: &Arc<Mutex<Hands>>,
    id: &InstanceId,
    work: impl FnOnce(&Inner, &InstanceId) -> Result<(), LocalError> + Send + 'static,
) {
    {
        // Only inserted into and removed from: whole even after a panic.
        let mut at_work = hands.lock().unwrap_or_else(PoisonError::into_inner);
        if at_work.busy.len() >= MAX_HANDS || at_work.busy.contains(id) {
            return;
        }
        at_work.busy.insert(id.clone());
    }
    let at_work = AtWork { hands: Arc::clone(hands), id: id.clone() };
    let inner = Arc::clone(inner);
    let spawned = std::thread::Builder::new().name("local-ending".to_owned()).spawn(move || {
        let id = &at_work.id;
        if let Err(e) = work(&inner, id) {
            tracing::warn!(instance = %id, error = %e, "ending an instance; it is tried again");
        }
    });
    if let Err(e) = spawned {
        tracing::warn!(instance = %id, error = %e, "no thread to end an instance; tried again");
    }
}

/// An instance that is being ended, until this is dropped.
struct AtWork {
    hands: Arc<Mutex<Hands>>,
    id: InstanceId,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner).busy.remove(&self.id);
    }
}

impl Inner {
    /// Forgets a terminated instance, its console and configuration.
    fn forget(&self, id: &InstanceId) -> Result<(), CloudError> {
        let dir = self.node_dir(id);
        if let Err(e) = std::fs::remove_dir_all(&dir)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            return Err(LocalError::Io { doing: "deleting", path: dir, cause: e }.into());
        }
        self.state.change(|table| table.delete::<InstanceRow>(id.as_str()))?;
        Ok(())
    }
}
