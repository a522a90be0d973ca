//! Counting what the controller does, as the real driver does it.

use super::Simulation;
use holdfast_controller::metrics::Metrics;
use holdfast_controller::tap::Tap;
use holdfast_controller::{Effect, Fleet, Input};
use holdfast_model::Time;
use std::sync::Arc;

/// Whether something is counted. A copy of a simulation counts nothing: it would be in the numbers of the
/// other one.
#[derive(Default)]
pub(super) struct Counted(Option<Tap>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        Counted(None)
    }
}

impl Counted {
    pub(super) fn hears(&mut self, now: Time, input: &Input) {
        self.0.iter_mut().for_each(|tap| tap.hears(now, input));
    }

    pub(super) fn sees(&mut self, now: Time, effects: &[Effect], fleet: &Fleet) {
        self.0.iter_mut().for_each(|tap| tap.sees(now, effects, fleet));
    }
}

impl Simulation {
    /// From now on what the controller does is counted, until it dies.
    pub fn count(&mut self, metrics: Arc<Metrics>) {
        self.counted = Counted(Some(Tap::new(metrics)));
    }
}
