//! What everything here works with: the memory, the pool, the network, and who waits for whom.

use crate::deletions::Deletions;
use crate::network::{Fabric, VpcLayout};
use crate::state::State;
use crate::storage::Pool;
use crate::strangers::Strangers;
use crate::turns::{Busy, Turn};
use crate::writes::Writes;
use holdfast_cloud::Notice;
use holdfast_model::{InstanceId, VolumeId};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Real nodes on this host, behind the [`holdfast_cloud::Cloud`] trait. Dropping it leaves the nodes running.
#[derive(Clone)]
pub struct LocalCloud {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) dir: PathBuf,
    pub(crate) pool: Pool,
    pub(crate) state: State,
    pub(crate) fabric: Fabric,
    pub(crate) layout: VpcLayout,
    pub(crate) shim_program: PathBuf,
    pub(crate) clean_stop_ms: u64,
    pub(crate) notices: mpsc::Sender<Notice>,
    pub(crate) heard: tokio::sync::Mutex<mpsc::Receiver<Notice>>,
    pub(crate) busy: Busy,
    pub(crate) writes: Writes,
    pub(crate) deletions: Deletions,
    pub(crate) overcommit: f64,
    pub(crate) strangers: Strangers,
}

impl Inner {
    /// The directory of an instance.
    pub(crate) fn node_dir(&self, instance: &InstanceId) -> PathBuf {
        self.dir.join("nodes").join(instance.as_str())
    }

    /// Waits for the turn to change an instance's devices and mounts.
    pub(crate) fn busy(&self, instance: &InstanceId) -> Turn<'_> {
        self.busy.turn(instance)
    }

    /// Where the host mounts a volume, whichever node holds it.
    pub(crate) fn mountpoint(&self, volume: &VolumeId) -> PathBuf {
        self.dir.join("mounts").join(volume.as_str())
    }
}
