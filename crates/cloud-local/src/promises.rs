//! What volumes were promised, against what is there.
//!
//! A volume takes from the pool what is written to it; its size is a promise. Without a limit on
//! promises one node can fill the room that others were promised, and a write that cannot be carried
//! out is thrown away. The kernel is not asked for quotas: the sizes are added up here, before
//! anything is made.

use crate::host::{Inner, LocalCloud};
use crate::refusal::{LocalError, error, refused};
use crate::rows::{SnapshotRow, VolumeRow};
use crate::state::Table;
use crate::storage::Room;
use holdfast_model::facts::VolumeState;
use holdfast_model::tags::{self, Tags};
use holdfast_model::{CloudError, ErrorClass, SnapshotId};

const GIB: u64 = 1 << 30;

/// How many times what is there may be promised, unless the server is told otherwise.
///
/// Volumes are asked for by what they may become and hold a small part of it for long; a size that
/// could never be had is a mistake.
pub const OVERCOMMIT: f64 = 10.0;
/// The most that can be allowed.
pub const MAX_OVERCOMMIT: f64 = 1_000.0;

/// The pool, what was promised of it, and how much may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolView {
    /// What is there.
    pub room: Room,
    /// What would lie in the pool if every volume became as large as it may, in bytes.
    pub promised_bytes: u64,
    /// How many times what is there may be promised; 1: never more than there is.
    pub overcommit: f64,
}

impl PoolView {
    /// How much may be promised, in bytes.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes of disks, times a positive number: a rounded byte does not matter"
    )]
    pub fn most_bytes(&self) -> u64 {
        (self.room.there_bytes() as f64 * self.overcommit) as u64
    }

    /// Whether more was promised than is there.
    #[must_use]
    pub fn is_overcommitted(&self) -> bool {
        self.promised_bytes > self.room.there_bytes()
    }
}

impl LocalCloud {
    /// The pool, what was promised of it, and how much may be. Blocks.
    ///
    /// # Errors
    /// If the memory or the pool cannot be read.
    pub fn pool(&self) -> Result<PoolView, LocalError> {
        self.inner.state.look(|table| self.inner.pool_view(table))
    }
}

impl Inner {
    /// What lies in the pool, and for each volume what it can still add to that.
    fn pool_view(&self, table: &Table<'_>) -> Result<PoolView, LocalError> {
        let room = self.pool.room()?;
        let snapshots: Vec<SnapshotRow> = table.all()?;
        let volumes: Vec<VolumeRow> = table.all()?;
        let growth = volumes.iter().map(|row| self.growth_of(row, &snapshots));
        let promised = growth.fold(room.used_bytes(), u64::saturating_add);
        Ok(PoolView { room, promised_bytes: promised, overcommit: self.overcommit })
    }

    /// What a volume can still take from the pool, in bytes: all of its size where what it holds is
    /// shared with snapshots, for they keep it when it is written over.
    fn growth_of(&self, row: &VolumeRow, snapshots: &[SnapshotRow]) -> u64 {
        let fact = &row.fact;
        let ends = matches!(fact.state, VolumeState::Deleting | VolumeState::Error);
        // A root is made anew for each instance: one that has lost its instance is not written again.
        let is_root = fact.tags.get(tags::ROLE).is_some_and(|role| role == "root");
        if ends || (is_root && fact.state == VolumeState::Available) {
            return 0;
        }
        let shared = fact.snapshot.is_some() || snapshots.iter().any(|s| s.fact.volume == fact.id);
        let own = if shared { 0 } else { self.pool.taken_by(&fact.id) };
        (u64::from(fact.size_gib) * GIB).saturating_sub(own)
    }

    /// Refuses a new volume where that would promise more than may be promised.
    ///
    /// A node's volume that is made from the same node's snapshot takes over what was promised to the
    /// one before it: the node has stopped for it, and gets it as long as there is room.
    pub(crate) fn promise_volume(
        &self,
        table: &Table<'_>,
        size_gib: u32,
        snapshot: Option<&SnapshotId>,
        tags: &Tags,
    ) -> Result<(), CloudError> {
        if let Some(id) = snapshot
            && let Some(row) = table.get::<SnapshotRow>(id.as_str())?
            && let Some(node) = tags.get(tags::NODE)
            && row.fact.tags.get(tags::NODE) == Some(node)
        {
            return Ok(());
        }
        let what = format!("a volume of {size_gib} GiB");
        self.promise(table, &what, u64::from(size_gib) * GIB)
    }

    /// Refuses snapshots of volumes that are written to where that would promise more than may be
    /// promised: from then on what they hold is kept beside what is written over it. Of a volume that
    /// nobody writes to it promises nothing, and what travels is never refused.
    pub(crate) fn promise_snapshots(
        &self,
        table: &Table<'_>,
        sources: &[VolumeRow],
    ) -> Result<(), CloudError> {
        let snapshots: Vec<SnapshotRow> = table.all()?;
        let written = sources.iter().filter(|row| row.fact.state == VolumeState::InUse);
        let more: u64 = written
            .map(|row| {
                let size = u64::from(row.fact.size_gib) * GIB;
                size.saturating_sub(self.growth_of(row, &snapshots))
            })
            .sum();
        if more == 0 { Ok(()) } else { self.promise(table, "a snapshot", more) }
    }

    fn promise(&self, table: &Table<'_>, what: &str, more: u64) -> Result<(), CloudError> {
        let before = self.pool_view(table)?;
        let after =
            PoolView { promised_bytes: before.promised_bytes.saturating_add(more), ..before };
        let there = before.room.there_bytes();
        if after.promised_bytes > after.most_bytes() {
            let message = format!(
                "{what} cannot be promised: volumes and snapshots may take {} already, it would be \
                 {}; {} are there, of which {} times as much may be promised. Delete volumes, \
                 snapshots or nodes, ask for a smaller size, or start the server with a larger \
                 --overcommit",
                gib(before.promised_bytes),
                gib(after.promised_bytes),
                gib(there),
                self.overcommit
            );
            return Err(error(ErrorClass::Storage, "MaxStorageExceeded", message));
        }
        if after.is_overcommitted() && !before.is_overcommitted() {
            tracing::warn!(
                promised = %gib(after.promised_bytes),
                there = %gib(there),
                "more is promised to volumes than is there: if all of them become full, writes to \
                 them fail (see: holdfast local pool; serve --overcommit 1 refuses that)"
            );
        }
        Ok(())
    }

    /// Says how it stands when the server begins.
    pub(crate) fn tell_promises(&self) -> Result<(), LocalError> {
        let view = self.state.look(|table| self.pool_view(table))?;
        tracing::info!(
            promised = %gib(view.promised_bytes),
            there = %gib(view.room.there_bytes()),
            overcommit = view.overcommit,
            "the pool of volumes"
        );
        Ok(())
    }
}

/// A ratio that can be used.
pub(crate) fn check_overcommit(overcommit: f64) -> Result<f64, CloudError> {
    if (1.0..=MAX_OVERCOMMIT).contains(&overcommit) {
        return Ok(overcommit);
    }
    let message = format!("an overcommit of {overcommit}; it must be from 1 to {MAX_OVERCOMMIT}");
    Err(refused("InvalidParameterValue", message))
}

/// A size for people.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}
