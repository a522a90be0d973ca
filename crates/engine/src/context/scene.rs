//! What a plan is made from, besides the record.

use crate::context::tuning::Tuning;
use crate::observed::survival::Survival;
use crate::observed::world::World;
use holdfast_model::market::Catalogue;
use holdfast_model::{Epoch, Installation, Time};

/// Everything around one node.
pub struct Scene<'a> {
    /// What the cloud shows.
    pub world: &'a World,
    /// What the region offers.
    pub catalogue: &'a Catalogue,
    /// Who we are.
    pub installation: &'a Installation,
    /// Which controller of the installation we are.
    pub epoch: Epoch,
    /// What has been seen of spot markets.
    pub survival: &'a Survival,
    /// Times that differ between clouds.
    pub tuning: &'a Tuning,
    /// How many volumes of the fleet have snapshots taken from time to time.
    pub snapshot_volumes: u64,
    /// From when on the next replacement may begin that nobody asked for and nothing forces; what
    /// has passed already means at once.
    pub choice_from: Time,
    /// The time.
    pub now: Time,
}
