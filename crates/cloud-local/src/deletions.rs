//! That something was deleted, and its space can be given back.

use std::sync::atomic::{AtomicBool, Ordering};

/// What others say to whoever gives space back.
#[derive(Default)]
pub(crate) struct Deletions {
    pub(crate) some: AtomicBool,
}

impl Deletions {
    /// A volume or snapshot was deleted.
    pub(crate) fn note(&self) {
        self.some.store(true, Ordering::SeqCst);
    }
}
