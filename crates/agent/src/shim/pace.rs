//! How fast a node may have the shim work for it: the shim's own time counts for no node.

use std::time::{Duration, Instant};

/// So much at once, and then so much each second.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: u64,
    /// How long it takes until what may come at once may come again.
    burst: Duration,
    /// What was taken so far is paid for at this moment.
    paid_at: Instant,
}

impl Pace {
    pub fn new(at_once: u64, per_second: u64, now: Instant) -> Self {
        let burst = time_for(at_once, per_second);
        Self { per_second, burst, paid_at: now.checked_sub(burst).unwrap_or(now) }
    }

    /// Whether as much as ever may come at once.
    pub fn is_rested(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.paid_at) >= self.burst
    }

    /// Takes `count`. How long to wait before taking more; zero as long as there is some left.
    pub fn take(&mut self, count: u64, now: Instant) -> Duration {
        if self.is_rested(now) {
            self.paid_at = now.checked_sub(self.burst).unwrap_or(now);
        }
        self.paid_at += time_for(count, self.per_second);
        self.paid_at.saturating_duration_since(now)
    }
}

fn time_for(count: u64, per_second: u64) -> Duration {
    Duration::from_secs_f64(count as f64 / per_second.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_what_follows_comes_at_its_pace() {
        let begun = Instant::now();
        let mut pace = Pace::new(100, 10, begun);
        assert_eq!(pace.take(100, begun), Duration::ZERO);
        let mut now = begun;
        for _ in 0..50 {
            now += pace.take(10, now);
        }
        assert_eq!(now.duration_since(begun).as_secs_f64().round() as u64, 50);
    }

    #[test]
    fn rest_gives_back_one_burst_and_no_more() {
        let begun = Instant::now();
        let mut pace = Pace::new(100, 10, begun);
        pace.take(100, begun);
        let later = begun + Duration::from_secs(3600);
        assert!(pace.is_rested(later) && !pace.is_rested(begun + Duration::from_secs(9)));
        assert_eq!(pace.take(100, later), Duration::ZERO);
        assert!(pace.take(10, later) > Duration::ZERO);
    }
}
