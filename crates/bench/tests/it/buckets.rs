//! EC2's token buckets stand in three tables: the fleet's, which it waits by; the simulated cloud's,
//! which throttles it; and the bound's, which judges both. They share no code, so that a mistake in
//! one shows. Here they are held against each other, and against what AWS publishes: EC2 API
//! reference, "Request throttling for the Amazon EC2 API", request and resource token bucket sizes
//! and refill rates (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html>).

use holdfast_bench::storm::{Counts, buckets};
use holdfast_cloud_sim::{instance_bucket, request_bucket};
use holdfast_controller::{BucketSize, CallLimits};
use holdfast_model::facts::ResourceKind;
use std::collections::BTreeSet;

/// Tokens that a bucket holds, and tokens that it gets each second; none where there is no bucket.
type Tokens = Option<(u64, u64)>;

/// What AWS publishes of each action that Holdfast calls: tokens for requests, and for instances.
/// Reads are asked in pages, so they draw from the larger bucket of non-mutating actions.
const PUBLISHED: [(&str, Tokens, Tokens); 27] = [
    ("AssociateAddress", Some((50, 5)), None),
    ("AttachNetworkInterface", Some((50, 5)), None),
    ("AttachVolume", Some((50, 5)), None),
    ("CreateNetworkInterface", Some((100, 5)), None),
    ("CreateSnapshot", Some((100, 5)), None),
    ("CreateSnapshots", Some((100, 5)), None),
    ("CreateTags", Some((100, 10)), None),
    ("CreateVolume", Some((100, 5)), None),
    ("DeleteNetworkInterface", Some((100, 5)), None),
    ("DeleteSnapshot", Some((100, 5)), None),
    ("DeleteTags", Some((100, 10)), None),
    ("DeleteVolume", Some((100, 5)), None),
    ("DeregisterImage", Some((100, 5)), None),
    ("DescribeImages", Some((100, 20)), None),
    ("DescribeInstances", Some((100, 20)), None),
    ("DescribeNetworkInterfaces", Some((100, 20)), None),
    ("DescribeSnapshots", Some((100, 20)), None),
    ("DescribeVolumes", Some((100, 20)), None),
    ("DetachNetworkInterface", Some((50, 5)), None),
    ("DetachVolume", Some((50, 5)), None),
    ("DisassociateAddress", Some((50, 5)), None),
    ("ModifyInstanceAttribute", Some((50, 5)), None),
    ("RegisterImage", Some((50, 5)), None),
    ("RunInstances", Some((5, 2)), Some((1_000, 2))),
    ("TerminateInstances", Some((100, 5)), Some((1_000, 20))),
    // Not EC2's: the agent in the node does them.
    ("Drain", None, None),
    ("OpenGate", None, None),
];

#[test]
fn the_fleet_the_simulated_cloud_and_the_bound_count_with_the_buckets_that_aws_publishes() {
    let size = |bucket: Option<BucketSize>| bucket.map(|b| (b.capacity, b.refill));
    let bounds = buckets();
    let mut wrong = Vec::new();
    for (action, requests, instances) in PUBLISHED {
        let fleet = CallLimits::Ec2;
        for (counts, published, fleet, cloud) in [
            (Counts::Requests, requests, fleet.of_requests(action), request_bucket(action)),
            (Counts::Instances, instances, fleet.of_instances(action), instance_bucket(action)),
        ] {
            let fleet = size(fleet);
            // The bound counts with few of them only.
            let bound = bounds.iter().find(|b| b.action == action && b.counts == counts);
            let bound: Option<Tokens> =
                bound.map(|b| Some((u64::from(b.capacity), u64::from(b.refill))));
            if fleet != published || cloud != published || bound.is_some_and(|b| b != published) {
                let bound = bound.map_or("does not count it".to_owned(), told);
                wrong.push(format!(
                    "{action}, {counts:?}: the fleet: {}; the simulated cloud: {}; the bound: \
                     {bound}; AWS: {}",
                    told(fleet),
                    told(cloud),
                    told(published),
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "the tables differ:\n{}", wrong.join("\n"));
    let listed = |action: &str| PUBLISHED.iter().any(|(known, ..)| *known == action);
    let strange: Vec<_> = bounds.iter().filter(|b| !listed(b.action)).collect();
    assert!(strange.is_empty(), "nobody has published these buckets of the bound: {strange:?}");
}

#[test]
fn what_aws_publishes_is_written_down_for_every_action_that_holdfast_calls() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/src/command.rs");
    let source = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let (_, after) = source.split_once("pub fn action(&self)").expect("the names of the actions");
    let (body, _) = after.split_once("\n    }\n").expect("the function ends");
    // A name stands between quotes: every second part.
    let mut called: BTreeSet<&str> = body.split('"').skip(1).step_by(2).collect();
    assert!(called.len() > 20, "{called:?}");
    called.extend(ResourceKind::ALL.map(|kind| match kind {
        ResourceKind::Instance => "DescribeInstances",
        ResourceKind::Volume => "DescribeVolumes",
        ResourceKind::Snapshot => "DescribeSnapshots",
        ResourceKind::Image => "DescribeImages",
        ResourceKind::Interface => "DescribeNetworkInterfaces",
    }));
    assert_eq!(called, PUBLISHED.iter().map(|(action, ..)| *action).collect());
}

fn told(tokens: Tokens) -> String {
    tokens.map_or("none".to_owned(), |(holds, gets)| format!("{holds} and {gets} a second"))
}
