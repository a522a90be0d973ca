//! Nodes that live without a row.

use crate::refusal::conflict;
use holdfast_model::{CloudError, InstanceId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nodes that live without a row: what they hold is theirs.
#[derive(Default)]
pub(crate) struct Strangers(Mutex<BTreeMap<InstanceId, Holds>>);

/// What a node without a row holds.
#[derive(Clone, Default)]
pub(crate) struct Holds {
    pub(crate) volumes: BTreeSet<String>,
    pub(crate) interfaces: BTreeSet<String>,
    pub(crate) private_ip: Option<String>,
}

impl Strangers {
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Holds>> {
        // Each change is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who holds a volume, an interface or an address.
    pub(crate) fn holder(&self, what: &str) -> Option<InstanceId> {
        let holds = |h: &Holds| {
            h.volumes.contains(what)
                || h.interfaces.contains(what)
                || h.private_ip.as_deref() == Some(what)
        };
        self.lock().iter().find(|(_, held)| holds(held)).map(|(id, _)| id.clone())
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.lock().contains_key(&InstanceId::from(id))
    }

    pub(crate) fn ids(&self) -> Vec<InstanceId> {
        self.lock().keys().cloned().collect()
    }

    /// It has a row now.
    pub(crate) fn remove(&self, id: &InstanceId) {
        self.lock().remove(id);
    }

    /// A refusal if a node without a row holds it.
    pub(crate) fn check_free(&self, what: &str) -> Result<(), CloudError> {
        let Some(holder) = self.holder(what) else { return Ok(()) };
        let message = format!(
            "{what} is held by {holder}, which runs and which cloud.db does not account for; see \
             `holdfast local unaccounted list`"
        );
        Err(conflict("ResourceInUse", message))
    }
}
