//! EC2's token buckets (EC2 developer guide, "Request throttling for the Amazon EC2 API"): each
//! action has one for its requests, and those that make or end instances one more for these.

use crate::world::World;
use holdfast_model::Time;
use std::collections::BTreeMap;

/// One token. A percent of one token a second comes to 1 in a millisecond.
const TOKEN: u64 = 100_000;

/// Buckets by action and what is counted, in parts of a token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Throttle {
    buckets: BTreeMap<(&'static str, Counted), (u64, Time)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    Requests,
    Instances,
}

/// The bucket that an action's requests draw from: how many tokens it holds, and how many it gets
/// each second. None for the agent's own calls.
#[must_use]
pub fn request_bucket(action: &str) -> Option<(u64, u64)> {
    bucket(action, Counted::Requests)
}

/// The bucket that the instances which an action makes or ends draw from: how many tokens it holds,
/// and how many it gets each second. None where they are not counted.
#[must_use]
pub fn instance_bucket(action: &str) -> Option<(u64, u64)> {
    bucket(action, Counted::Instances)
}

/// Capacity and refill a second. The agent's own calls have none.
fn bucket(action: &str, counted: Counted) -> Option<(u64, u64)> {
    Some(match (action, counted) {
        ("Drain" | "OpenGate", _) => return None,
        ("RunInstances", Counted::Requests) => (5, 2),
        ("RunInstances", Counted::Instances) => (1_000, 2),
        ("TerminateInstances", Counted::Instances) => (1_000, 20),
        (_, Counted::Instances) => return None,
        (
            "TerminateInstances"
            | "CreateSnapshot"
            | "CreateSnapshots"
            | "CreateVolume"
            | "DeleteSnapshot"
            | "DeleteVolume"
            | "CreateNetworkInterface"
            | "DeleteNetworkInterface"
            | "DeregisterImage",
            _,
        ) => (100, 5),
        ("CreateTags" | "DeleteTags", _) => (100, 10),
        (describe, _) if describe.starts_with("Describe") => (100, 20),
        _ => (50, 5),
    })
}

impl World {
    /// Takes a token for a call, and one for each of its instances where these are counted; true
    /// if there are not enough, and then none is taken.
    pub(crate) fn is_throttled(&mut self, action: &'static str, instances: u64) -> bool {
        let Some(percent) = self.config.throttle else { return false };
        let now = self.now;
        let needs = [(Counted::Requests, 1), (Counted::Instances, instances)];
        for (counted, _) in needs {
            let Some((capacity, refill)) = bucket(action, counted) else { continue };
            // A bucket holds at least one token, or nothing would ever leave.
            let full = (capacity * u64::from(percent) * (TOKEN / 100)).max(TOKEN);
            let level = self.throttle.buckets.entry((action, counted)).or_insert((full, now));
            let more = now.since(level.1).saturating_mul(refill * u64::from(percent));
            *level = (level.0.saturating_add(more).min(full), now);
        }
        let short = needs.iter().any(|(counted, count)| {
            let level = self.throttle.buckets.get(&(action, *counted));
            level.is_some_and(|(tokens, _)| *tokens < count * TOKEN)
        });
        if !short {
            for (counted, count) in needs {
                if let Some((tokens, _)) = self.throttle.buckets.get_mut(&(action, counted)) {
                    *tokens -= count * TOKEN;
                }
            }
        }
        short
    }
}
