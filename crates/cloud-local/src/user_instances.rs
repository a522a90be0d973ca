//! Instances that are their user's: those that were let go when their node was given up.

use crate::host::LocalCloud;
use crate::refusal::{LocalError, not_found, refused};
use crate::rows::{InstanceRow, InterfaceRow};
use holdfast_model::facts::{InstanceFact, InstanceState};
use holdfast_model::{InstanceId, InterfaceId, tags};

impl LocalCloud {
    /// Every instance that is not terminated, by id. Blocks.
    ///
    /// # Errors
    /// [`LocalError::State`].
    pub fn instances(&self) -> Result<Vec<InstanceFact>, LocalError> {
        let rows: Vec<InstanceRow> = self.inner.state.look(|table| table.all())?;
        let facts = rows.into_iter().map(|row| row.fact);
        Ok(facts.filter(|fact| fact.state != InstanceState::Terminated).collect())
    }

    /// Ends an instance that belongs to no node, in order, and deletes the interfaces that were let
    /// go with it; its volumes stay. Once more is the same. Blocks.
    ///
    /// # Errors
    /// [`LocalError::Refused`] for an instance of a node, and for one that there is not; otherwise
    /// what the host said.
    pub fn terminate_by_hand(&self, id: &InstanceId) -> Result<(), LocalError> {
        let inner = &self.inner;
        let row: Option<InstanceRow> = inner.state.look(|table| table.get(id.as_str()))?;
        let row = row.ok_or_else(|| not_found("InvalidInstanceID.NotFound", id.as_str()))?;
        if let Some(node) = row.fact.tags.get(tags::NODE) {
            let message = format!("{id} belongs to {node}; delete or recycle that node instead");
            return Err(refused("OperationNotPermitted", message).into());
        }
        let released = row.fact.tags.get(tags::RELEASED);
        let interfaces: Vec<InterfaceRow> = inner.state.look(|table| table.all())?;
        let goes = |row: &InterfaceRow| {
            let fact = &row.fact;
            let held = fact.attached_to.as_ref() == Some(id);
            // An earlier try may have ended between the instance and them.
            let left = fact.attached_to.is_none()
                && released.is_some()
                && fact.tags.get(tags::RELEASED) == released;
            (held || left) && !fact.tags.contains_key(tags::NODE)
        };
        let going: Vec<InterfaceId> =
            interfaces.into_iter().filter(goes).map(|row| row.fact.id).collect();
        inner.terminate(id)?;
        for interface in going {
            inner.delete_interface(&interface)?;
        }
        Ok(())
    }
}
