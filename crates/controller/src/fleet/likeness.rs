//! What makes two fleets the same: everything in memory that decides what they do from now on.

use super::Fleet;
use std::fmt::{Result, Write};

impl Fleet {
    /// Writes everything in memory that decides what the fleet does from now on, but for its
    /// configuration and the catalogue: whoever compares two fleets gives both the same.
    ///
    /// # Errors
    /// None of its own.
    pub fn write_likeness(&self, out: &mut impl Write) -> Result {
        write!(out, "{:?} {:?} {:?} ", self.world, self.runners, self.reads)?;
        write!(out, "{:?} {:?} {:?} ", self.queue, self.dirty, self.waiting)?;
        write!(out, "{:?} {:?} {:?} ", self.wakes, self.commits, self.next_id)?;
        write!(out, "{:?} {:?} {:?} ", self.standing, self.survival, self.brake)?;
        write!(out, "{:?} {:?} {:?} ", self.looked, self.view_back, self.snapshot_volumes)
    }
}
