//! Turns: who changes an instance's devices and mounts.

use holdfast_model::InstanceId;
use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

/// One at a time for each instance. Whoever has the turn keeps it for a bounded time: each thing
/// that is done in it has a limit of its own.
#[derive(Default)]
pub(crate) struct Busy {
    now: Mutex<BTreeSet<InstanceId>>,
    freed: Condvar,
}

/// The turn; given back when dropped.
pub(crate) struct Turn<'a> {
    busy: &'a Busy,
    instance: InstanceId,
}

impl Busy {
    pub(crate) fn turn(&self, instance: &InstanceId) -> Turn<'_> {
        // Nothing here can panic halfway: a poisoned map is a whole one.
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        while now.contains(instance) {
            now = self.freed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        now.insert(instance.clone());
        Turn { busy: self, instance: instance.clone() }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut now = self.busy.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.remove(&self.instance);
        self.busy.freed.notify_all();
    }
}
