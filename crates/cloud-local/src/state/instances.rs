//! What belongs to an instance, and its label.

use super::error::StateError;
use super::table::Table;
use crate::labels::Label;
use crate::rows::{InstanceRow, InterfaceRow};
use holdfast_model::facts::InstanceState;
use holdfast_model::{InstanceId, InterfaceId};
use serde::{Deserialize, Serialize};

/// The kind of an instance's label.
pub(crate) const INSTANCE: &str = "instance";

/// What the label of an instance holds.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) row: InstanceRow,
    /// Its interfaces, with their device indices.
    pub(crate) interfaces: Vec<(InterfaceId, u32)>,
}

impl Table<'_> {
    /// The label of an instance that runs, is ending or has ended.
    pub(super) fn label_of_instance(&self, id: &str) -> Result<Option<Label>, StateError> {
        // One that is damaged keeps the label that it has.
        let Ok(Some(row)) = self.get::<InstanceRow>(id) else { return Ok(None) };
        if row.fact.state == InstanceState::Pending {
            return Ok(None);
        }
        let interfaces = self
            .interfaces_of(&row.fact.id)?
            .into_iter()
            .map(|held| (held.fact.id, held.fact.device_index.unwrap_or_default()))
            .collect();
        let kept = serde_json::to_value(Kept { row, interfaces })
            .map_err(|e| StateError::Row { id: id.to_owned(), why: e.to_string() })?;
        Ok(Some(Label::new(INSTANCE, id, kept)))
    }

    /// Every interface that an instance holds.
    pub(crate) fn interfaces_of(
        &self,
        instance: &InstanceId,
    ) -> Result<Vec<InterfaceRow>, StateError> {
        let mut rows: Vec<InterfaceRow> = self.all()?;
        rows.retain(|row| row.fact.attached_to.as_ref() == Some(instance));
        Ok(rows)
    }
}
