//! The local cloud itself: [`LocalCloud`], its commands and what it shows.

use crate::deletions::Deletions;
use crate::host::{Inner, LocalCloud};
use crate::images::{HOST_IMAGE, host_image};
use crate::labels::Labels;
use crate::network::{Fabric, VpcLayout};
use crate::promises::check_overcommit;
use crate::refusal::{LocalError, error, io};
use crate::region::{self, ACCOUNT, REGION};
use crate::requests::Answer;
use crate::rows::{ImageRow, InstanceRow, InterfaceRow, Row, SnapshotRow, VolumeRow};
use crate::state::{State, StateError, Table};
use crate::storage::{Pool, PoolOptions};
use crate::strangers::Strangers;
use crate::turns::Busy;
use crate::volumes::NewVolume;
use crate::writes::Writes;
use crate::{checks, damage, keeper, reclaim, shared_usr};
use holdfast_cloud::{BoxFuture, Cloud, Identity, Notice};
use holdfast_model::facts::{
    Fact, MAX_PAGE, Page, Query, ResourceKind, SnapshotState, VolumeState,
};
use holdfast_model::market::Catalogue;
use holdfast_model::{CloudError, Command, ErrorClass, InstanceId, Reply, tags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Hints that wait to be heard; more are dropped.
const MAX_NOTICES: usize = 1_024;

/// How the local cloud is opened.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Where everything is kept: memory, pool, mount points, nodes.
    pub dir: PathBuf,
    /// The pool, if it has to be made.
    pub pool: PoolOptions,
    /// The addresses of the nodes.
    pub layout: VpcLayout,
    /// The program that becomes the shim of a node: one whose `main` begins with
    /// `holdfast_agent::dispatch`; `/proc/self/exe` in the server.
    pub shim_program: PathBuf,
    /// How long a terminated node's processes may take to end before its power is cut.
    pub clean_stop: Duration,
    /// How many times what the pool has may be promised to volumes, from 1 (never more than there is)
    /// to [`crate::promises::MAX_OVERCOMMIT`].
    pub overcommit: f64,
}

impl LocalOptions {
    /// The usual options for a directory.
    #[must_use]
    pub fn new(dir: PathBuf, shim_program: PathBuf) -> LocalOptions {
        LocalOptions {
            dir,
            pool: PoolOptions::default(),
            layout: VpcLayout::default(),
            shim_program,
            clean_stop: Duration::from_secs(20),
            overcommit: crate::promises::OVERCOMMIT,
        }
    }
}

impl LocalCloud {
    /// Opens the local cloud: adopts the nodes that run, takes down what was half made or
    /// overdue, and makes what is not there yet. Blocks; call it on a thread that may wait.
    ///
    /// The caller sees to it that only one process has the directory open.
    ///
    /// # Errors
    /// [`LocalError`], with what is missing on this host and what to do.
    pub fn open(options: &LocalOptions) -> Result<LocalCloud, LocalError> {
        let overcommit = check_overcommit(options.overcommit)?;
        let pool = Pool::open(&options.dir, &options.pool)?;
        pool.hold_still_with(&options.shim_program);
        let dir = pool.dir().to_owned();
        for name in ["mounts", "nodes"] {
            make_private_dir(&dir.join(name))?;
        }
        crate::private::close_to_others(&pool)?;
        let labels = Labels::in_pool(&pool).map_err(io("reading the labels in", &pool.labels()))?;
        damage::refuse_without_memory(&dir, &pool, &labels)?;
        let state = State::open(&dir, labels)?;
        let fabric = Fabric::open(&dir, &options.layout)?;
        let (notices, heard) = mpsc::channel(MAX_NOTICES);
        let inner = Arc::new(Inner {
            dir,
            pool,
            state,
            fabric,
            layout: options.layout.clone(),
            shim_program: options.shim_program.clone(),
            clean_stop_ms: u64::try_from(options.clean_stop.as_millis()).unwrap_or(u64::MAX),
            notices,
            heard: tokio::sync::Mutex::new(heard),
            busy: Busy::default(),
            writes: Writes::default(),
            deletions: Deletions::default(),
            overcommit,
            strangers: Strangers::default(),
        });
        inner.recover()?;
        inner.tell_promises()?;
        keeper::start(&inner)?;
        checks::start(&inner)?;
        reclaim::start(&inner)?;
        shared_usr::warn_of_closed_files();
        Ok(LocalCloud { inner })
    }

    /// Takes an instance back, as EC2 does with spot instances: with notice, through the metadata
    /// service and a hint, and a power cut when it is over; without, a power cut now. Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`] if there is no such instance or it does not run.
    pub fn interrupt(
        &self,
        instance: &InstanceId,
        notice: Option<Duration>,
    ) -> Result<(), LocalError> {
        self.inner.interrupt(instance, notice)
    }

    /// The directory of an instance: console, configuration, control socket (see
    /// `holdfast_agent`).
    #[must_use]
    pub fn instance_dir(&self, instance: &InstanceId) -> PathBuf {
        self.inner.node_dir(instance)
    }

    async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<R, CloudError> + Send + 'static,
    ) -> Result<R, CloudError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(e) => Err(error(
                ErrorClass::OutcomeUnknown,
                "InternalError",
                format!("the command did not end properly ({e}); see the server's log"),
            )),
        }
    }
}

impl Cloud for LocalCloud {
    fn identity(&self) -> BoxFuture<'_, Result<Identity, CloudError>> {
        Box::pin(async { Ok(Identity { account: ACCOUNT.to_owned(), region: REGION.to_owned() }) })
    }

    fn catalogue(&self) -> BoxFuture<'_, Result<Catalogue, CloudError>> {
        Box::pin(self.blocking(|inner| {
            Ok(inner.state.look(|table| region::catalogue(table, &inner.layout))?)
        }))
    }

    fn observe(&self, query: Query) -> BoxFuture<'_, Result<Page, CloudError>> {
        Box::pin(self.blocking(move |inner| inner.observe(&query)))
    }

    fn execute(&self, batch: Vec<Command>) -> BoxFuture<'_, Vec<Result<Reply, CloudError>>> {
        let each = batch.into_iter().map(|c| self.blocking(move |inner| inner.execute(c)));
        Box::pin(futures_util::future::join_all(each))
    }

    fn notice(&self) -> BoxFuture<'_, Notice> {
        Box::pin(async {
            match self.inner.heard.lock().await.recv().await {
                Some(notice) => notice,
                // The sender lives as long as this value.
                None => std::future::pending().await,
            }
        })
    }
}

impl Inner {
    fn execute(&self, command: Command) -> Answer {
        holdfast_cloud::request::check(&command)?;
        match command {
            Command::RunInstances(launch) => self.run_instances(*launch),
            Command::Probe { market, .. } => self.probe(&market),
            Command::Drain { instance, timeout_ms } => self.drain(&instance, timeout_ms),
            Command::TerminateInstances { instance } => self.terminate(&instance),
            Command::SetDeleteOnTermination { instance, devices, value } => {
                self.set_delete_on_termination(&instance, &devices, value)
            }
            Command::CreateVolume {
                ref token, ref zone, size_gib, ref snapshot, ref tags, ..
            } => {
                let new = NewVolume {
                    token: token.clone(),
                    zone: zone.clone(),
                    size_gib,
                    snapshot: snapshot.clone(),
                    tags: tags.clone(),
                };
                self.create_volume(&command, new)
            }
            Command::DeleteVolume { volume } => self.delete_volume(&volume),
            Command::AttachVolume { volume, instance, device } => {
                self.attach_volume(&volume, &instance, &device)
            }
            Command::DetachVolume { volume, instance } => self.detach_volume(&volume, &instance),
            Command::CreateSnapshot { volume, tags } => self.create_snapshot(&volume, tags),
            Command::CreateSnapshots { instance, exclude_boot, exclude, tags } => {
                self.create_snapshots(&instance, exclude_boot, &exclude, &tags)
            }
            Command::DeleteSnapshot { snapshot } => self.delete_snapshot(&snapshot),
            Command::RegisterImage { name, snapshot, like, root_device, tags } => {
                self.register_image(name, snapshot, &like, root_device, tags)
            }
            Command::DeregisterImage { image } => self.deregister_image(&image),
            Command::CreateNetworkInterface {
                ref token,
                ref subnet,
                ref private_ip,
                ref tags,
                ..
            } => self.create_interface(&command, token, subnet, private_ip.as_deref(), tags),
            Command::DeleteNetworkInterface { interface } => self.delete_interface(&interface),
            Command::AttachNetworkInterface { interface, instance, device_index } => {
                self.attach_interface(&interface, &instance, device_index)
            }
            Command::DetachNetworkInterface { interface, instance } => {
                self.detach_interface(&interface, &instance)
            }
            Command::AssociateAddress { allocation, interface, allow_reassociation } => {
                self.associate_address(&allocation, &interface, allow_reassociation)
            }
            Command::DisassociateAddress { allocation, interface } => {
                self.disassociate_address(&allocation, &interface)
            }
            Command::CreateTags { resource, tags } => {
                self.change_tags(&resource, |all| all.extend(tags))
            }
            Command::DeleteTags { resource, keys } => {
                self.change_tags(&resource, |all| all.retain(|key, _| !keys.contains(key)))
            }
            Command::OpenGate { instance, manifest, interface } => {
                self.open_gate(&instance, &manifest, interface.as_ref())
            }
        }
    }

    /// What is shown of these resources now, in this order; those that do not exist are left out.
    pub(crate) fn facts_of(&self, ids: &[&str]) -> Answer {
        let facts = self.state.look(|table| {
            let mut facts = Vec::new();
            for id in ids {
                if let Some(kind) = ResourceKind::of_id(id) {
                    facts.extend(fact(table, kind, id)?);
                }
            }
            Ok::<_, StateError>(facts)
        })?;
        Ok(Reply { facts, gone: Vec::new() })
    }

    fn observe(&self, query: &Query) -> Result<Page, CloudError> {
        let found = self.state.look(|table| {
            if query.ids.is_empty() {
                return all_facts(table, query.kind);
            }
            let mut found = Vec::new();
            for id in &query.ids {
                found.extend(fact(table, query.kind, id)?);
            }
            found.sort_by(|a, b| a.id().cmp(b.id()));
            Ok::<_, StateError>(found)
        })?;
        let after = query.page.as_deref().unwrap_or_default();
        let mut facts: Vec<Fact> = found
            .into_iter()
            .filter(|f| !query.ids.is_empty() || f.tags().contains_key(tags::INSTALLATION))
            .filter(|f| f.id() > after)
            .filter(|f| self.is_there(f))
            .take(MAX_PAGE + 1)
            .collect();
        let next = (facts.len() > MAX_PAGE).then(|| {
            facts.truncate(MAX_PAGE);
            facts.last().map(|f| f.id().to_owned()).unwrap_or_default()
        });
        Ok(Page { facts, next })
    }
}

impl Inner {
    /// Whether a volume or snapshot that should lie in the pool does: somebody may have deleted its
    /// file.
    fn is_there(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Volume(v) if v.state == VolumeState::Available => self.pool.has_volume(&v.id),
            Fact::Snapshot(s) if s.state == SnapshotState::Completed => {
                self.pool.has_snapshot(&s.id)
            }
            _ => true,
        }
    }
}

fn fact(table: &Table<'_>, kind: ResourceKind, id: &str) -> Result<Option<Fact>, StateError> {
    fn of<T: Row>(table: &Table<'_>, id: &str) -> Result<Option<Fact>, StateError> {
        match table.get::<T>(id) {
            Ok(row) => Ok(row.map(|row| row.fact())),
            Err(StateError::Row { why, .. }) => Ok(damage::shown(T::KIND, id, &why)),
            Err(e) => Err(e),
        }
    }
    match kind {
        ResourceKind::Instance => of::<InstanceRow>(table, id),
        ResourceKind::Volume => of::<VolumeRow>(table, id),
        ResourceKind::Snapshot => of::<SnapshotRow>(table, id),
        ResourceKind::Image if id == HOST_IMAGE => Ok(Some(host_image().fact())),
        ResourceKind::Image => of::<ImageRow>(table, id),
        ResourceKind::Interface => of::<InterfaceRow>(table, id),
    }
}

fn all_facts(table: &Table<'_>, kind: ResourceKind) -> Result<Vec<Fact>, StateError> {
    fn of<T: Row>(table: &Table<'_>) -> Result<Vec<Fact>, StateError> {
        Ok(table.all::<T>()?.iter().map(Row::fact).collect())
    }
    match kind {
        ResourceKind::Instance => of::<InstanceRow>(table),
        ResourceKind::Volume => of::<VolumeRow>(table),
        ResourceKind::Snapshot => of::<SnapshotRow>(table),
        ResourceKind::Image => of::<ImageRow>(table),
        ResourceKind::Interface => of::<InterfaceRow>(table),
    }
}

fn make_private_dir(path: &Path) -> Result<(), LocalError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io("creating", path))
}
