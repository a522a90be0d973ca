//! What is said of a memory that is missing, and of a row that is damaged.

use crate::labels::Labels;
use crate::refusal::LocalError;
use crate::revive;
use crate::state::{FILE, StateError};
use crate::storage::Pool;
use holdfast_model::facts::{
    Fact, Health, ImageFact, ImageState, InstanceFact, InstanceState, ResourceKind, SnapshotFact,
    SnapshotState, VolumeFact, VolumeState,
};
use holdfast_model::tags::Tags;
use holdfast_model::{ImageId, InstanceId, Lifecycle, SnapshotId, Time, VolumeId, Zone};
use std::path::Path;

/// What is shown where nobody knows.
const UNKNOWN: &str = "unknown";

/// Refuses to begin with an empty memory where there is something to remember: a new one would account
/// for nothing of it.
pub(crate) fn refuse_without_memory(
    dir: &Path,
    pool: &Pool,
    labels: &Labels,
) -> Result<(), LocalError> {
    let path = dir.join(FILE);
    if std::fs::metadata(&path).is_ok_and(|m| m.len() > 0) {
        return Ok(());
    }
    let inventory = pool.inventory()?;
    let nodes = revive::living(&dir.join("nodes"), pool)?.len();
    let (volumes, snapshots) = (inventory.volumes.len(), inventory.snapshots.len());
    let labels = labels
        .all()
        .map(|found| found.sound.len() + found.damaged.len())
        .map_err(|cause| StateError::Label { path: labels.dir().to_owned(), cause })?;
    if volumes + snapshots + nodes + labels == 0 {
        return Ok(());
    }
    let what =
        format!("{volumes} volumes, {snapshots} snapshots and {nodes} running nodes are here");
    Err(StateError::Missing { path, what }.into())
}

/// What is shown of a resource whose row is damaged and has no sound label: broken, so that nothing is
/// built on it, and there, so that nobody takes it for deleted. An interface cannot be shown broken.
pub(crate) fn shown(kind: ResourceKind, id: &str, why: &str) -> Option<Fact> {
    let why =
        format!("its row in cloud.db is damaged ({why}); see holdfast local unaccounted list");
    let zone = Zone::from(UNKNOWN);
    Some(match kind {
        ResourceKind::Instance => Fact::Instance(
            InstanceFact {
                id: InstanceId::from(id),
                state: InstanceState::Running,
                reason: None,
                instance_type: UNKNOWN.to_owned(),
                zone,
                lifecycle: Lifecycle::Spot,
                image: ImageId::from(UNKNOWN),
                launched_at: Time(0),
                private_ip: None,
                interface: None,
                root_device: String::new(),
                attachments: Vec::new(),
                health: Health::Impaired,
                health_why: Some(why),
                no_successor: None,
                interruption_at: None,
                drained: false,
                tags: Tags::new(),
            }
            .into(),
        ),
        ResourceKind::Volume => Fact::Volume(
            VolumeFact {
                id: VolumeId::from(id),
                state: VolumeState::Error,
                zone,
                size_gib: 0,
                attached_to: None,
                attachment_settled: true,
                snapshot: None,
                fs_uuid: None,
                tags: Tags::new(),
            }
            .into(),
        ),
        ResourceKind::Snapshot => Fact::Snapshot(
            SnapshotFact {
                id: SnapshotId::from(id),
                state: SnapshotState::Error,
                volume: VolumeId::from(UNKNOWN),
                started_at: Time(0),
                tags: Tags::new(),
            }
            .into(),
        ),
        ResourceKind::Image => Fact::Image(
            ImageFact {
                id: ImageId::from(id),
                state: ImageState::Failed,
                name: UNKNOWN.to_owned(),
                snapshot: None,
                architecture: UNKNOWN.to_owned(),
                root_device: String::new(),
                tags: Tags::new(),
            }
            .into(),
        ),
        ResourceKind::Interface => return None,
    })
}
