//! What makes two regions the same: everything that decides what happens in them from now on, and
//! what was found broken.

use crate::cloud::SimCloud;
use crate::rng::SplitMix64;
use std::fmt::{Result, Write};

impl SimCloud {
    /// Writes everything that decides what happens from now on, but for the configuration, the
    /// chances of faults, and what chance itself will draw: how soon calls are answered, what
    /// Describe hides, and what a power cut loses ([`SimCloud::reseed`]). The log of calls and the
    /// script of faults are no part of it: a log decides nothing, and whoever compares two regions
    /// lets the script run out first.
    ///
    /// # Errors
    /// None of its own.
    pub fn write_likeness(&self, out: &mut impl Write) -> Result {
        let world = &self.world;
        write!(out, "{:?} {:?} ", world.now, world.named())?;
        write!(out, "{:?} {:?} ", world.instances, world.volumes)?;
        write!(out, "{:?} {:?} ", world.snapshots, world.images)?;
        write!(out, "{:?} {:?} ", world.image_names, world.image_users)?;
        write!(out, "{:?} {:?} ", world.interfaces, world.addresses)?;
        write!(out, "{:?} {:?} ", world.detaching, world.volume_settings)?;
        write!(out, "{:?} {:?} ", world.elastic_ips, world.tokens)?;
        write!(out, "{:?} {:?} ", world.veil, world.events)?;
        write!(out, "{:?} {:?} ", world.capacity, world.throttle)?;
        write!(out, "{:?} {:?} ", world.truth, world.notices)?;
        world.faults.write_likeness(out)
    }

    /// From now on chance draws what this number decides.
    pub fn reseed(&mut self, seed: u64) {
        self.world.rng = SplitMix64::new(seed);
    }
}
