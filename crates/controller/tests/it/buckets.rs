use holdfast_controller::CallLimits;
use holdfast_controller::fleet::buckets::Buckets;
use holdfast_model::Time;

/// When so many requests leave that all want to leave at once.
fn leave(buckets: &mut Buckets, action: &'static str, requests: usize, from: Time) -> Vec<Time> {
    let mut now = from;
    let mut left = Vec::new();
    while left.len() < requests {
        if buckets.room(action, now) == 0 {
            let next = buckets.next(action);
            assert!(next > now, "an empty bucket names a later time");
            now = next;
            continue;
        }
        buckets.take(action, 1, now);
        left.push(now);
    }
    left
}

#[test]
fn a_full_bucket_lets_through_what_it_holds_and_then_what_it_gets() {
    let mut buckets = Buckets::new(CallLimits::Ec2);
    let left = leave(&mut buckets, "CreateSnapshot", 110, Time(1_000));
    // EC2's bucket for CreateSnapshot: 100, and 5 a second.
    assert!(left[..100].iter().all(|at| *at == Time(1_000)));
    let after: Vec<u64> = left[100..].iter().map(|at| at.0).collect();
    assert_eq!(after, [1_200, 1_400, 1_600, 1_800, 2_000, 2_200, 2_400, 2_600, 2_800, 3_000]);
    let left = leave(&mut buckets, "RunInstances", 7, Time(5_000));
    assert_eq!(left.last(), Some(&Time(6_000)), "5, and then 2 a second: {left:?}");
    let left = leave(&mut buckets, "CreateTags", 101, Time(7_000));
    assert_eq!(left[99..], [Time(7_000), Time(7_100)], "100, and then 10 a second");
}

#[test]
fn a_bucket_that_was_left_alone_fills_up_and_no_further() {
    let mut buckets = Buckets::new(CallLimits::Ec2);
    leave(&mut buckets, "AttachVolume", 50, Time(0));
    assert_eq!(buckets.room("AttachVolume", Time(100)), 0);
    let left = leave(&mut buckets, "AttachVolume", 51, Time(3_600_000));
    assert_eq!(left[49], Time(3_600_000));
    assert_eq!(left[50], Time(3_600_200), "an hour has not made more than 50 of it");
}

#[test]
fn instances_are_counted_beside_requests() {
    let mut buckets = Buckets::new(CallLimits::Ec2);
    for _ in 0..10 {
        assert!(buckets.room("TerminateInstances", Time(0)) >= 100);
        buckets.take("TerminateInstances", 100, Time(0));
    }
    // 90 requests are left, but no instance of the thousand.
    assert_eq!(buckets.room("TerminateInstances", Time(0)), 0);
    assert_eq!(buckets.next("TerminateInstances"), Time(50), "20 instances a second");
    assert_eq!(buckets.room("TerminateInstances", Time(1_000)), 20);
}

#[test]
fn where_a_cloud_has_no_limits_everything_leaves() {
    let mut buckets = Buckets::new(CallLimits::Unlimited);
    for _ in 0..10_000 {
        assert!(buckets.room("RunInstances", Time(0)) > 0);
        buckets.take("RunInstances", 1, Time(0));
    }
    assert_eq!(buckets.beliefs(Time(0)), []);
}

/// The cloud's own bucket, smaller than published.
struct Truth {
    tokens: f64,
    capacity: f64,
    refill: f64,
    at: Time,
}

impl Truth {
    fn takes(&mut self, now: Time) -> bool {
        let more = now.since(self.at) as f64 / 1_000.0 * self.refill;
        self.tokens = (self.tokens + more).min(self.capacity);
        self.at = now;
        let enough = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(enough));
        enough
    }
}

/// Calls that wait without end, each answered at once: how many came through in a minute, and how
/// many were throttled. The bucket truly gives such a part of what is published.
fn minute(buckets: &mut Buckets, part: f64, from: Time) -> (u32, u32) {
    let mut truth =
        Truth { tokens: 100.0 * part, capacity: 100.0 * part, refill: 5.0 * part, at: from };
    let (mut through, mut throttled) = (0, 0);
    let mut now = from;
    while now.since(from) < 60_000 {
        if buckets.room("CreateSnapshot", now) == 0 {
            now = buckets.next("CreateSnapshot");
            continue;
        }
        buckets.take("CreateSnapshot", 1, now);
        if truth.takes(now) {
            through += 1;
        } else {
            throttled += 1;
            buckets.throttled("CreateSnapshot", now, now);
        }
    }
    (through, throttled)
}

fn share(buckets: &Buckets, now: Time) -> u64 {
    let beliefs = buckets.beliefs(now);
    beliefs.iter().find(|b| b.action == "CreateSnapshot").map_or(0, |b| b.thousandths)
}

#[test]
fn a_bucket_of_half_the_size_is_learnt_within_a_minute_and_hardly_anything_is_lost() {
    // The less it gives, the more of what leaves at first is for nothing.
    for (part, lost) in [(0.5, 0.25), (0.25, 0.5), (0.1, 0.8)] {
        let mut buckets = Buckets::new(CallLimits::Ec2);
        let (through, throttled) = minute(&mut buckets, part, Time(0));
        let most = 100.0 * part + 60.0 * 5.0 * part;
        assert!(f64::from(through) >= 0.9 * most, "{part}: {through} of {most}");
        assert!(f64::from(throttled) <= lost * f64::from(through), "{part}: {throttled}");
        let believed = share(&buckets, Time(60_000)) as f64 / 1_000.0;
        assert!((believed - part).abs() <= 0.12, "{part} is believed to be {believed}");
    }
}

#[test]
fn a_share_that_was_learnt_grows_back_when_nothing_is_throttled_any_more() {
    let mut buckets = Buckets::new(CallLimits::Ec2);
    minute(&mut buckets, 0.25, Time(0));
    let learnt = share(&buckets, Time(60_000));
    assert!(learnt < 500, "{learnt}");
    assert!(share(&buckets, Time(90_000)) > learnt);
    assert_eq!(share(&buckets, Time(600_000)), 1_000);
}

#[test]
fn a_line_takes_as_long_as_its_bucket_refills() {
    let mut buckets = Buckets::new(CallLimits::Ec2);
    assert_eq!(buckets.takes("CreateSnapshot", 10), 0, "it was never drawn from");
    buckets.take("CreateSnapshot", 1, Time(0));
    buckets.take("RunInstances", 1, Time(0));
    assert_eq!(buckets.takes("CreateSnapshot", 10), 2_000, "5 a second");
    assert_eq!(buckets.takes("RunInstances", 7), 3_500, "2 a second");
}
