//! What the shim knows of its node, and what it does when asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use crate::cgroup::Cgroup;
use crate::config::{NodeConfig, STOP_TIMEOUT_MAX_MS};
use crate::error::{AgentError, Doing, Result};
use crate::mount_points::MountPoints;
use crate::mountinfo::Placed;
use crate::mounting::{self, Inside};
use crate::protocol::{
    MANIFEST_MAX, ManifestEntry, NodeStatus, Order, Report, ScriptOutcome, WorkloadState, epoch_ms,
};
use crate::rootfs;
use crate::sys;

/// At most so many requests wait for one shutdown script.
const SCRIPT_WAITERS_MAX: usize = 16;
/// At most so many requests wait for one sign of life.
const CHECK_WAITERS_MAX: usize = 16;

/// An interruption notice, as the metadata service shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub action: String,
    pub time: String,
}

pub(super) struct Node {
    pub config: NodeConfig,
    init_pid: i32,
    init: OwnedFd,
    cgroup: Cgroup,
    orders: mpsc::Sender<Order>,
    started_at_ms: u64,
    boot_us: u64,
    gate_opened_at_ms: Option<u64>,
    workload: watch::Sender<WorkloadState>,
    mounts: Vec<(ManifestEntry, Placed)>,
    stopping: bool,
    script_waiters: Vec<oneshot::Sender<ScriptOutcome>>,
    check_waiters: Vec<oneshot::Sender<()>>,
    /// Whether init was asked and has not answered yet: it is asked once, however many wait.
    check_asked: bool,
    pub notice: Option<Notice>,
    /// Metadata tokens and when each ends.
    pub tokens: BTreeMap<String, Instant>,
}

impl Node {
    pub fn new(
        config: NodeConfig,
        init_pid: i32,
        init: OwnedFd,
        cgroup: Cgroup,
        orders: mpsc::Sender<Order>,
        started_at_ms: u64,
        boot_us: u64,
    ) -> Self {
        Self {
            config,
            init_pid,
            init,
            cgroup,
            orders,
            started_at_ms,
            boot_us,
            gate_opened_at_ms: None,
            workload: watch::Sender::new(WorkloadState::Waiting),
            mounts: Vec::new(),
            stopping: false,
            script_waiters: Vec::new(),
            check_waiters: Vec::new(),
            check_asked: false,
            notice: None,
            tokens: BTreeMap::new(),
        }
    }

    pub fn started_at_ms(&self) -> u64 {
        self.started_at_ms
    }

    pub fn status(&self) -> NodeStatus {
        NodeStatus {
            instance_id: self.config.instance_id.clone(),
            node_id: self.config.node_id.clone(),
            generation: self.config.generation,
            init_pid: self.init_pid,
            started_at_ms: self.started_at_ms,
            boot_us: self.boot_us,
            gate_opened_at_ms: self.gate_opened_at_ms,
            workload: self.workload.borrow().clone(),
            mounts: self.mounts.iter().map(|(entry, _)| entry.clone()).collect(),
            limited: self.cgroup.limited().iter().map(|l| (*l).to_owned()).collect(),
            stopping: self.stopping,
        }
    }

    pub fn note(&mut self, report: Report) {
        match report {
            Report::Workload { state } => {
                self.workload.send_replace(state);
            }
            Report::Script { outcome } => {
                for waiter in self.script_waiters.drain(..) {
                    // One that has hung up needs no answer.
                    let _ = waiter.send(outcome.clone());
                }
            }
            Report::Here => {
                self.check_asked = false;
                for waiter in self.check_waiters.drain(..) {
                    // One that has waited long enough has its answer already.
                    let _ = waiter.send(());
                }
            }
            Report::Ready => {}
            Report::SetupFailed { message } => eprintln!("{message}"),
        }
    }

    pub fn mount(&mut self, entry: ManifestEntry, source: &std::path::Path) -> Result<()> {
        self.refuse_while_stopping()?;
        let held = self.mounts.iter().find(|(m, _)| m.target == entry.target).map(|(_, at)| *at);
        if held.is_none() && self.mounts.len() >= MANIFEST_MAX {
            return Err(AgentError::Invalid(format!(
                "a node mounts at most {MANIFEST_MAX} volumes"
            )));
        }
        let listed = self.mount_points().add(&entry.target);
        if let Err(e) = &listed {
            // What no list knows is not marked: nobody would take the mark away.
            eprintln!("{e}");
        }
        let ManifestEntry { fs_uuid, target, .. } = &entry;
        let close = listed.is_ok();
        let placed = mounting::mount_in_node(self.inside(), source, fs_uuid, target, held, close)?;
        self.mounts.retain(|(m, _)| m.target != entry.target);
        self.mounts.push((entry, placed));
        Ok(())
    }

    /// Takes the volume that was mounted at `target` out of the node, wherever the node has moved
    /// it; if there is none, that is fine.
    pub fn unmount(&mut self, target: &str) -> Result<()> {
        let Some((_, placed)) = self.mounts.iter().find(|(m, _)| m.target == target) else {
            return Ok(());
        };
        mounting::unmount_in_node(self.inside(), *placed)?;
        self.mounts.retain(|(m, _)| m.target != target);
        if let Err(e) = self.mount_points().remove(&BTreeSet::from([target.to_owned()])) {
            eprintln!("{e}");
        }
        Ok(())
    }

    fn inside(&self) -> Inside<'_> {
        Inside { init: self.init.as_fd(), init_pid: self.init_pid }
    }

    fn mount_points(&self) -> MountPoints {
        MountPoints::of(&self.config.root_mount)
    }

    /// What was a mount point of an earlier instance, and is none of this one's, is a directory
    /// like any other again.
    fn let_former_mount_points_go(&self) -> Result<()> {
        let list = self.mount_points();
        let mut former = list.all()?;
        former.retain(|target| !self.mounts.iter().any(|(m, _)| m.target == *target));
        if former.is_empty() {
            return Ok(());
        }
        mounting::let_go(self.init.as_fd(), &former)?;
        list.remove(&former)
    }

    /// Takes another address for its own, as long as nothing of the workload has seen the old one.
    pub fn known_by(&mut self, private_ip: Ipv4Addr, mac: String, hostname: String) -> Result<()> {
        if self.config.private_ip == private_ip && self.config.hostname == hostname {
            return Ok(());
        }
        self.refuse_while_stopping()?;
        if self.gate_opened_at_ms.is_some() {
            return Err(AgentError::Refused(format!(
                "{} is known as {} already: its gate is open",
                self.config.instance_id, self.config.hostname
            )));
        }
        let renamed = NodeConfig { private_ip, mac, hostname, ..self.config.clone() };
        renamed.validate()?;
        mounting::in_node(self.init.as_fd(), || {
            nix::unistd::sethostname(&renamed.hostname).doing(|| "setting the host name".into())?;
            rootfs::generated_files(&renamed)
        })?;
        self.config = renamed;
        Ok(())
    }

    /// Opens the gate if everything in `manifest` is mounted where it says. Returns when it was
    /// opened, and where to see what becomes of the workload.
    pub fn open_gate(
        &mut self,
        manifest: &[ManifestEntry],
    ) -> Result<(u64, watch::Receiver<WorkloadState>)> {
        if manifest.len() > MANIFEST_MAX {
            return Err(AgentError::Invalid(format!(
                "a manifest names at most {MANIFEST_MAX} volumes, not {}",
                manifest.len()
            )));
        }
        let seen = self.workload.subscribe();
        if let Some(opened) = self.gate_opened_at_ms {
            return Ok((opened, seen));
        }
        self.refuse_while_stopping()?;
        let mut missing = Vec::new();
        for wanted in manifest {
            if !self.is_mounted(wanted)? {
                let ManifestEntry { device, fs_uuid, target } = wanted;
                missing.push(format!("{device} (file system {fs_uuid}) at {target}"));
            }
        }
        if !missing.is_empty() {
            return Err(AgentError::Refused(format!(
                "the gate of {} stays closed: not mounted: {}; mount these first",
                self.config.instance_id,
                missing.join(", ")
            )));
        }
        if let Err(e) = self.let_former_mount_points_go() {
            eprintln!("{e}");
        }
        self.order(Order::OpenGate)?;
        let now = epoch_ms();
        self.gate_opened_at_ms = Some(now);
        Ok((now, seen))
    }

    /// Whether a member of a manifest was mounted, and is still where it belongs.
    fn is_mounted(&self, wanted: &ManifestEntry) -> Result<bool> {
        let same = |m: &ManifestEntry| {
            m.fs_uuid.eq_ignore_ascii_case(&wanted.fs_uuid) && m.target == wanted.target
        };
        match self.mounts.iter().find(|(m, _)| same(m)) {
            Some((_, placed)) => placed.is_at(self.init_pid, Path::new(&wanted.target)),
            None => Ok(false),
        }
    }

    pub fn run_shutdown_script(
        &mut self,
        timeout_ms: u64,
    ) -> Result<oneshot::Receiver<ScriptOutcome>> {
        if self.script_waiters.len() >= SCRIPT_WAITERS_MAX {
            return Err(AgentError::Refused("too many wait for the shutdown script".into()));
        }
        self.order(Order::RunShutdownScript { timeout_ms })?;
        let (send, receive) = oneshot::channel();
        self.script_waiters.push(send);
        Ok(receive)
    }

    /// Asks init for a sign of life.
    pub fn check(&mut self) -> Result<oneshot::Receiver<()>> {
        self.check_waiters.retain(|waiter| !waiter.is_closed());
        if self.check_waiters.len() >= CHECK_WAITERS_MAX {
            return Err(AgentError::Refused("too many wait for a sign of life".into()));
        }
        if !self.check_asked {
            self.order(Order::Answer)?;
            self.check_asked = true;
        }
        let (send, receive) = oneshot::channel();
        self.check_waiters.push(send);
        Ok(receive)
    }

    pub fn stop(&mut self, timeout_ms: Option<u64>) -> Result<()> {
        let timeout_ms = timeout_ms.unwrap_or(self.config.stop_timeout_ms);
        if timeout_ms > STOP_TIMEOUT_MAX_MS {
            return Err(AgentError::Invalid(format!(
                "a stop may take at most {STOP_TIMEOUT_MAX_MS} ms, not {timeout_ms}"
            )));
        }
        self.order(Order::Stop { timeout_ms })?;
        self.stopping = true;
        Ok(())
    }

    pub fn kill(&mut self) -> Result<()> {
        self.stopping = true;
        // The end of pid 1 is the end of its namespace; the group also has whoever came in by exec.
        sys::pidfd_signal(self.init.as_fd(), libc::SIGKILL)
            .doing(|| format!("killing the init of {}", self.config.instance_id))?;
        self.cgroup.kill()
    }

    fn order(&self, order: Order) -> Result<()> {
        self.orders.try_send(order).map_err(|_| {
            AgentError::Refused(format!(
                "the init of {} does not take orders; is it ending?",
                self.config.instance_id
            ))
        })
    }

    fn refuse_while_stopping(&self) -> Result<()> {
        if self.stopping {
            return Err(AgentError::Refused(format!("{} is stopping", self.config.instance_id)));
        }
        Ok(())
    }
}
