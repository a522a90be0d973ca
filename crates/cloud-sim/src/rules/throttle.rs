//! EC2's token buckets (EC2 developer guide, "Request throttling for the Amazon EC2 API").

use crate::world::World;
use holdfast_model::Time;
use std::collections::BTreeMap;

/// Buckets by action, in thousandths of a token.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    buckets: BTreeMap<&'static str, (u64, Time)>,
}

/// Capacity and refill a second. The agent's own calls have none.
fn bucket(action: &str) -> Option<(u64, u64)> {
    Some(match action {
        "Drain" | "OpenGate" => return None,
        "RunInstances" => (5, 2),
        "TerminateInstances"
        | "CreateSnapshot"
        | "CreateVolume"
        | "DeleteSnapshot"
        | "CreateNetworkInterface"
        | "DeleteNetworkInterface"
        | "DeregisterImage" => (100, 5),
        describe if describe.starts_with("Describe") => (100, 20),
        _ => (50, 5),
    })
}

impl World {
    /// Takes a token for a call; true if there is none.
    pub(crate) fn is_throttled(&mut self, action: &'static str) -> bool {
        let Some((capacity, refill)) = bucket(action).filter(|_| self.config.throttle) else {
            return false;
        };
        let full = capacity * 1_000;
        let (tokens, at) = self.throttle.buckets.entry(action).or_insert((full, self.now));
        // A token a second is a thousandth of one in a millisecond.
        *tokens = tokens.saturating_add(self.now.since(*at).saturating_mul(refill)).min(full);
        *at = self.now;
        let empty = *tokens < 1_000;
        if !empty {
            *tokens -= 1_000;
        }
        empty
    }
}
