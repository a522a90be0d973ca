//! A test's own directory. It goes with the test; of a test that fails, what helps to understand it
//! is kept first: logs, consoles and stores, in `target/test-evidence/TEST-PID`.
//!
//! What is kept is bounded, and never an image of a disk, a token, or anything on another file
//! system than the directory's own (a node's volumes are mounted below it).

mod evidence;
mod seed;

pub use evidence::{FILE_MAX_BYTES, KEPT_MAX, KEPT_MAX_BYTES, LOG_MAX_BYTES, PLACE_VARIABLE};
pub use seed::{SEED_VARIABLE, hash_of, seed};

use std::path::Path;

/// What takes away what is more than files: nodes, mounts, networks.
type End = Box<dyn FnOnce(&Path) + Send + Sync>;

/// A temporary directory, with what must be done before it can go.
pub struct Scratch {
    // Dropped after `drop` has run: by then nothing else is there.
    dir: tempfile::TempDir,
    end: Option<End>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Scratch").field(&self.path()).finish()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// An empty directory.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Scratch {
        Scratch::within(&std::env::temp_dir())
    }

    /// An empty directory in `parent`, which must outlive it.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn within(parent: &Path) -> Scratch {
        let made = tempfile::Builder::new().prefix("holdfast-test-").tempdir_in(parent);
        let dir = made.unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        Scratch { dir, end: None }
    }

    /// An empty directory, and what is to be done with it at the end, whatever happens: after what
    /// there was to see is kept, and before the directory is deleted. `end` must not panic.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn with_end(end: impl FnOnce(&Path) + Send + Sync + 'static) -> Scratch {
        Scratch::new().ending(end)
    }

    /// The same, and what is to be done with it at the end, as with [`Scratch::with_end`].
    #[must_use]
    pub fn ending(mut self, end: impl FnOnce(&Path) + Send + Sync + 'static) -> Scratch {
        self.end = Some(Box::new(end));
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            evidence::keep(self.path());
        }
        if let Some(end) = self.end.take() {
            end(self.dir.path());
        }
    }
}
