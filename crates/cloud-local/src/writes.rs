//! Which volumes were written to since somebody last looked: what is written while the pool has no
//! space is not to be trusted.

use holdfast_model::VolumeId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many writes the device of each mounted volume had had.
#[derive(Default)]
pub(crate) struct Writes {
    counts: Mutex<BTreeMap<VolumeId, u64>>,
    /// Whether the pool had no space at any moment since the last look.
    was_full: AtomicBool,
}

impl Writes {
    fn counts(&self) -> MutexGuard<'_, BTreeMap<VolumeId, u64>> {
        // Each change is one insertion or removal.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A volume was mounted, or was mounted already: its node's writes are counted from here, and
    /// not from the first look, before which a node may have written and failed.
    pub(crate) fn mounted(&self, volume: &VolumeId, count: u64) {
        self.counts().entry(volume.clone()).or_insert(count);
    }

    /// Whether a volume was written to since the last look, or since it was mounted.
    pub(crate) fn look(&self, volume: &VolumeId, count: u64) -> bool {
        self.counts().insert(volume.clone(), count).is_some_and(|before| before < count)
    }

    /// The pool has no space now.
    pub(crate) fn is_full_now(&self) {
        self.was_full.store(true, Ordering::SeqCst);
    }

    /// Whether the pool had no space at any moment since this was asked last.
    pub(crate) fn was_full(&self) -> bool {
        self.was_full.swap(false, Ordering::SeqCst)
    }

    /// A volume is mounted no more: its next device counts from elsewhere.
    pub(crate) fn ended(&self, volume: &VolumeId) {
        self.counts().remove(volume);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_between_the_mount_and_the_first_look_is_seen() {
        let (writes, volume) = (Writes::default(), VolumeId::from("vol-1"));
        writes.mounted(&volume, 7);
        writes.mounted(&volume, 8);
        assert!(writes.look(&volume, 9));
        assert!(!writes.look(&volume, 9));
        assert!(writes.look(&volume, 10));
        writes.ended(&volume);
        writes.mounted(&volume, 3);
        assert!(!writes.look(&volume, 3));
    }

    #[test]
    fn a_pool_that_was_full_between_two_looks_is_remembered_until_the_next() {
        let writes = Writes::default();
        assert!(!writes.was_full());
        writes.is_full_now();
        assert!(writes.was_full());
        assert!(!writes.was_full());
    }

    #[test]
    fn a_server_that_has_just_begun_accuses_nobody() {
        assert!(!Writes::default().look(&VolumeId::from("vol-1"), 9));
    }
}
