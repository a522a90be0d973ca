//! How many calls may leave. EC2 has a token bucket for each action: it holds so many tokens, gets
//! so many a second, and refuses calls when it is empty. The fleet keeps the same count, so that
//! calls wait here, in their order, and not there, in none.
//!
//! The real bucket may be smaller than published (a new account's), and others may draw from it. So
//! what is believed is a share of what is published: when a call is throttled all the same, the
//! bucket is empty, and between two such moments exactly as much was refilled as was let through:
//! that is the share from then on. It grows back slowly, which tries again and again whether the
//! bucket gives more.

use holdfast_model::Time;
use std::collections::BTreeMap;

/// One token. A thousandth of one token a second comes to 1 in a millisecond.
const TOKEN: u64 = 1_000_000;
/// The whole of what is published, in thousandths.
const WHOLE: u64 = 1_000;
/// The least share that is believed, in thousandths: something always leaves.
const LEAST: u64 = 50;
/// Over how many milliseconds a throttled bucket is measured at least.
const MEASURE: u64 = 4_000;
/// After so long without being throttled the bucket may have been full meanwhile: nothing is
/// measured over that time.
const FORGET: u64 = 120_000;
/// In how many milliseconds the share grows by a thousandth of the whole.
const GROWS: u64 = 100;

/// One bucket: how much it holds, and how much it gets a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketSize {
    /// Tokens that it holds.
    pub capacity: u64,
    /// Tokens that it gets each second.
    pub refill: u64,
}

/// Which limits a cloud puts on calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallLimits {
    /// None.
    Unlimited,
    /// EC2's for one account and region (EC2 developer guide, "Request throttling for the Amazon
    /// EC2 API").
    Ec2,
}

/// What is believed of one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Belief {
    /// Of which action.
    pub action: &'static str,
    /// What is published of it.
    pub size: BucketSize,
    /// Which share of that it is believed to have, in thousandths.
    pub thousandths: u64,
    /// How many calls wait for it.
    pub waiting: usize,
}

/// What a bucket counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counted {
    Requests,
    Instances,
}

impl CallLimits {
    /// The bucket that an action's requests draw from, in tokens and tokens a second: a token for
    /// each request. None where nothing limits them.
    #[must_use]
    pub fn of_requests(self, action: &str) -> Option<BucketSize> {
        self.size(action, Counted::Requests)
    }

    /// The bucket that the instances named in an action's requests draw from, in tokens and tokens a
    /// second: a token for each instance. None where they are not counted.
    #[must_use]
    pub fn of_instances(self, action: &str) -> Option<BucketSize> {
        self.size(action, Counted::Instances)
    }

    /// The bucket of an action, if it has one. What the agent in a node does has none.
    fn size(self, action: &str, counted: Counted) -> Option<BucketSize> {
        use Counted::{Instances, Requests};
        if self == CallLimits::Unlimited {
            return None;
        }
        let (capacity, refill) = match (action, counted) {
            ("Drain" | "OpenGate", _) => return None,
            ("RunInstances", Requests) => (5, 2),
            ("RunInstances", Instances) => (1_000, 2),
            ("TerminateInstances", Instances) => (1_000, 20),
            (_, Instances) => return None,
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
                Requests,
            ) => (100, 5),
            ("CreateTags" | "DeleteTags", Requests) => (100, 10),
            (read, Requests) if read.starts_with("Describe") => (100, 20),
            (_, Requests) => (50, 5),
        };
        Some(BucketSize { capacity, refill })
    }
}

/// One bucket as it is believed to be.
#[derive(Debug, Clone)]
struct Level {
    size: BucketSize,
    tokens: u64,
    at: Time,
    /// In thousandths of what is published.
    share: u64,
    /// Since when, in part, the share has been growing.
    grown_at: Time,
    /// When it was last empty for certain, and how many calls it has let through since.
    empty: Option<(Time, u64)>,
}

impl Level {
    fn full(size: BucketSize, now: Time) -> Level {
        let tokens = size.capacity * TOKEN;
        Level { size, tokens, at: now, share: WHOLE, grown_at: now, empty: None }
    }

    fn capacity(&self) -> u64 {
        (self.size.capacity * self.share * TOKEN / WHOLE).max(TOKEN)
    }

    /// Tokens in a millisecond.
    fn rate(&self) -> u64 {
        (self.size.refill * self.share).max(1)
    }

    fn pass(&mut self, now: Time) {
        let more = now.since(self.at).saturating_mul(self.rate());
        self.tokens = self.tokens.saturating_add(more).min(self.capacity());
        self.at = self.at.max(now);
        let steps = now.since(self.grown_at) / GROWS;
        self.share = self.share_at(now);
        self.grown_at = self.grown_at.plus(steps * GROWS);
    }

    /// The share that is believed at a later time, if nothing is throttled until then.
    fn share_at(&self, now: Time) -> u64 {
        (self.share + now.since(self.grown_at) / GROWS).min(WHOLE)
    }

    fn has_at(&self, count: u64) -> Time {
        let short = (count * TOKEN).saturating_sub(self.tokens);
        self.at.plus(short.div_ceil(self.rate()))
    }

    /// A call that left at `left` was throttled.
    fn throttled(&mut self, left: Time, now: Time) {
        self.pass(now);
        self.tokens = 0;
        // It took no token there.
        let Some((since, through)) = self.empty.as_mut() else {
            self.empty = Some((left, 0));
            return;
        };
        if left > *since {
            *through = through.saturating_sub(1);
        }
        let (since, through) = (*since, *through);
        let span = left.since(since);
        if span < MEASURE {
            return;
        }
        self.empty = Some((left, 0));
        if span <= FORGET {
            // Thousandths of the published tokens of that time.
            let measured = through * WHOLE * 1_000 / (self.size.refill * span).max(1);
            self.share = self.share.min(measured).max(LEAST);
            self.grown_at = now;
        }
    }
}

/// The buckets of one cloud.
#[derive(Debug, Clone)]
pub struct Buckets {
    limits: CallLimits,
    levels: BTreeMap<(&'static str, Counted), Level>,
}

impl Buckets {
    /// Full ones.
    #[must_use]
    pub fn new(limits: CallLimits) -> Buckets {
        Buckets { limits, levels: BTreeMap::new() }
    }

    fn level(&mut self, action: &'static str, counted: Counted, now: Time) -> Option<&mut Level> {
        let size = self.limits.size(action, counted)?;
        let level = self.levels.entry((action, counted)).or_insert_with(|| Level::full(size, now));
        level.pass(now);
        Some(level)
    }

    /// How many instances one request of this action may name now; 0: no request may leave.
    pub fn room(&mut self, action: &'static str, now: Time) -> u64 {
        if self.level(action, Counted::Requests, now).is_some_and(|l| l.tokens < TOKEN) {
            return 0;
        }
        self.level(action, Counted::Instances, now).map_or(u64::MAX, |l| l.tokens / TOKEN)
    }

    /// A request leaves that names so many instances.
    pub fn take(&mut self, action: &'static str, instances: u64, now: Time) {
        for (counted, count) in [(Counted::Requests, 1), (Counted::Instances, instances)] {
            if let Some(level) = self.level(action, counted, now) {
                level.tokens = level.tokens.saturating_sub(count * TOKEN);
                if let Some((_, through)) = level.empty.as_mut() {
                    *through += 1;
                }
            }
        }
    }

    /// When the next request of this action may leave.
    #[must_use]
    pub fn next(&self, action: &'static str) -> Time {
        let at = |counted| self.levels.get(&(action, counted)).map(|level| level.has_at(1));
        at(Counted::Requests).max(at(Counted::Instances)).unwrap_or(Time(0))
    }

    /// A request that left at `left` was throttled: it is over with the tokens.
    pub fn throttled(&mut self, action: &'static str, left: Time, now: Time) {
        if let Some(level) = self.level(action, Counted::Requests, now) {
            level.throttled(left, now);
        }
    }

    /// What is believed of each bucket that was ever drawn from, by action.
    #[must_use]
    pub fn beliefs(&self, now: Time) -> Vec<Belief> {
        let requests = self.levels.iter().filter(|((_, counted), _)| *counted == Counted::Requests);
        let belief = |((action, _), level): (&(&'static str, Counted), &Level)| {
            let thousandths = level.share_at(now);
            Belief { action, size: level.size, thousandths, waiting: 0 }
        };
        requests.map(belief).collect()
    }

    /// Whether calls of this action are counted at all.
    pub fn limits(&self, action: &str) -> bool {
        self.limits.size(action, Counted::Requests).is_some()
    }

    /// How many milliseconds so many requests of one action take to leave, once the bucket is
    /// empty.
    pub fn takes(&self, action: &'static str, requests: usize) -> u64 {
        let level = self.levels.get(&(action, Counted::Requests));
        level.map_or(0, |level| (requests as u64).saturating_mul(TOKEN) / level.rate())
    }
}
