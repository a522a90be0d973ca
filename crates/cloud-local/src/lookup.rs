//! Resources that a request names, or a refusal.

use crate::refusal::{conflict, not_found, refused};
use crate::rows::{InstanceRow, InterfaceRow, SnapshotRow};
use crate::state::Table;
use holdfast_model::facts::{InstanceState, SnapshotState};
use holdfast_model::{CloudError, InstanceId, InterfaceId, SnapshotId};

/// A snapshot that is complete.
pub(crate) fn usable_snapshot(
    table: &Table<'_>,
    id: &SnapshotId,
) -> Result<SnapshotRow, CloudError> {
    let row: Option<SnapshotRow> = table.get(id.as_str())?;
    let row = row.ok_or_else(|| not_found("InvalidSnapshot.NotFound", id.as_str()))?;
    match row.fact.state {
        SnapshotState::Completed => Ok(row),
        SnapshotState::Pending => {
            Err(conflict("IncorrectState", format!("the snapshot {id} is not complete yet")))
        }
        SnapshotState::Error => {
            Err(refused("IncorrectState", format!("the snapshot {id} failed; use another")))
        }
    }
}

/// An instance that runs.
pub(crate) fn running(table: &Table<'_>, id: &InstanceId) -> Result<InstanceRow, CloudError> {
    let row: Option<InstanceRow> = table.get(id.as_str())?;
    let row = row.ok_or_else(|| not_found("InvalidInstanceID.NotFound", id.as_str()))?;
    match row.fact.state {
        InstanceState::Running => Ok(row),
        InstanceState::Pending => {
            Err(conflict("IncorrectState", format!("{id} is not running yet")))
        }
        _ => Err(refused("IncorrectState", format!("{id} is ending or has ended"))),
    }
}

/// An interface.
pub(crate) fn interface(table: &Table<'_>, id: &InterfaceId) -> Result<InterfaceRow, CloudError> {
    let row: Option<InterfaceRow> = table.get(id.as_str())?;
    row.ok_or_else(|| not_found("InvalidNetworkInterfaceID.NotFound", id.as_str()))
}
