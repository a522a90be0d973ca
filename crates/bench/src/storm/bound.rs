//! How fast the storm can be over at best, worked out without the fleet.
//!
//! Two things bound it. *The path*: a node cannot be back before all its steps have taken their
//! time, one after the other, whatever the buckets hold. *Each bucket*: all calls of an action must
//! pass through it. Before its call a node must take its `head` (the steps before), after it its
//! `tail` (the steps after). Take any set of calls whose tails are at least `q`: they pass the bucket
//! at the earliest if it serves them alone, in the order of their heads, never idle when it need not
//! be; the last of them is followed by at least `q`. So for every `q` that is a lower bound, and the
//! largest of all is *the* bound. Buckets are taken one at a time and upstream queues as empty, so
//! it is never above the truth. Nobody is told before its notice has arrived: that counts. Replies,
//! polling and what Describe hides take no time here.
//!
//! The table of buckets is written down once more, on purpose: what judges the fleet shares no code
//! with it.

use super::Flow;
use super::stage::Node;
use holdfast_cloud_sim::latency::subject;
use holdfast_cloud_sim::{Latency, SimCloud};
use serde::Serialize;

/// Tails are compared at so many of their quantiles.
const QUANTILES: usize = 64;

/// What bounds a storm, and by how much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bound {
    /// The largest of all, in seconds.
    pub seconds: f64,
    /// What it comes from: `path` or an action.
    pub by: String,
    /// The same as a sentence with its numbers.
    pub arithmetic: String,
}

/// One call of a node: seconds before it and after it, at least.
#[derive(Debug, Clone, Copy)]
struct Job {
    head: f64,
    tail: f64,
}

/// EC2's published capacity and refill a second (EC2 developer guide, "Request throttling").
fn bucket(action: &str) -> (f64, f64) {
    match action {
        // Of instances, not of requests: one request ends up to a thousand of them.
        "TerminateInstances" => (1_000.0, 20.0),
        "RunInstances" => (5.0, 2.0),
        "CreateSnapshot" | "CreateVolume" => (100.0, 5.0),
        _ => (50.0, 5.0),
    }
}

/// What a node's steps take, in seconds.
struct Times {
    notice: f64,
    terminated: f64,
    free: f64,
    root: f64,
    image: f64,
    pending: f64,
    boot: f64,
    data: Vec<Data>,
}

struct Data {
    snapshot: f64,
    creating: f64,
    attaching: f64,
}

fn times(cloud: &SimCloud, node: &Node) -> Times {
    let draw = |what, role: &str, generation| {
        cloud.latency(what, &subject(node.id.as_str(), role, generation)) as f64 / 1_000.0
    };
    let (old, new) = (node.generation, node.generation + 1);
    let data = node.data.iter().map(|(device, _)| {
        let role = format!("data:{device}");
        Data {
            snapshot: draw(Latency::Snapshot, &role, old),
            creating: draw(Latency::VolumeCreating, &role, new),
            attaching: draw(Latency::Attaching, &role, new),
        }
    });
    Times {
        data: data.collect(),
        notice: draw(Latency::Notice, "instance", old),
        terminated: draw(Latency::ShuttingDown, "instance", old),
        free: draw(Latency::Release, "instance", old),
        root: draw(Latency::Snapshot, "root", old),
        image: draw(Latency::Image, "root", old),
        pending: draw(Latency::Pending, "instance", new),
        boot: draw(Latency::Boot, "instance", new),
    }
}

/// The calls of one node by action, and the length of its path.
fn jobs(t: &Times, flow: Flow, into: &mut Vec<(&'static str, Job)>) -> f64 {
    let moves = flow == Flow::Snapshot;
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let free = t.notice + t.terminated + t.free;
    let captured = t.root + t.image;
    let copied = if moves { most(&mut t.data.iter().map(|d| d.snapshot)) } else { 0.0 };
    let launch = free + captured.max(copied);
    // After its launch a node boots, and beside that its volumes are made and attached.
    let made = |d: &Data| if moves { d.creating } else { 0.0 };
    let volumes = most(&mut t.data.iter().map(|d| t.pending.max(made(d)) + d.attaching));
    let after_launch = (t.pending + t.boot).max(volumes);
    let path = launch + after_launch;
    into.push(("TerminateInstances", Job { head: t.notice, tail: path - t.notice }));
    into.push(("CreateSnapshot", Job { head: free, tail: captured + after_launch }));
    into.push(("RegisterImage", Job { head: free + t.root, tail: t.image + after_launch }));
    into.push(("RunInstances", Job { head: launch, tail: after_launch }));
    for d in &t.data {
        if moves {
            into.push(("CreateSnapshot", Job { head: free, tail: d.snapshot + after_launch }));
            let tail = (d.creating + d.attaching).max(d.attaching);
            into.push(("CreateVolume", Job { head: launch, tail }));
        }
        let head = launch + t.pending.max(made(d));
        into.push(("AttachVolume", Job { head, tail: d.attaching }));
    }
    path
}

/// When the last of these heads has passed a bucket, at the earliest.
fn passed(heads: &mut [f64], capacity: f64, refill: f64) -> f64 {
    heads.sort_by(f64::total_cmp);
    let (mut tokens, mut at) = (capacity, 0.0_f64);
    for head in heads.iter() {
        let now = head.max(at);
        tokens = (tokens + (now - at) * refill).min(capacity);
        at = now;
        if tokens < 1.0 {
            at += (1.0 - tokens) / refill;
            tokens = 1.0;
        }
        tokens -= 1.0;
    }
    at
}

/// The bound for these nodes, with buckets of so many percent of their published size.
pub(super) fn bound(cloud: &SimCloud, nodes: &[Node], flow: Flow, percent: u32) -> Bound {
    let mut jobs_of_all = Vec::new();
    let path = nodes
        .iter()
        .map(|node| jobs(&times(cloud, node), flow, &mut jobs_of_all))
        .fold(0.0, f64::max);
    let mut best = Bound {
        seconds: path,
        by: "path".to_owned(),
        arithmetic: format!("the longest of {} nodes' own paths takes {path:.1} s", nodes.len()),
    };
    let actions: std::collections::BTreeSet<&str> = jobs_of_all.iter().map(|j| j.0).collect();
    for action in actions {
        let mut jobs: Vec<Job> =
            jobs_of_all.iter().filter(|j| j.0 == action).map(|j| j.1).collect();
        jobs.sort_by(|a, b| b.tail.total_cmp(&a.tail));
        let part = f64::from(percent) / 100.0;
        let (capacity, refill) = bucket(action);
        let (capacity, refill) = ((capacity * part).max(1.0), refill * part);
        for step in 1..=QUANTILES {
            let count = (jobs.len() * step).div_ceil(QUANTILES);
            let Some(last) = count.checked_sub(1).and_then(|i| jobs.get(i)) else { continue };
            let mut heads: Vec<f64> = jobs[..count].iter().map(|j| j.head).collect();
            let served = passed(&mut heads, capacity, refill);
            let seconds = served + last.tail;
            if seconds > best.seconds + 0.001 {
                let first = heads.first().copied().unwrap_or_default();
                best = Bound {
                    seconds,
                    by: action.to_owned(),
                    arithmetic: format!(
                        "{count} {action} through a bucket of {capacity} with {refill} a second, \
                         the first of them {first:.1} s after the announcement, have passed after \
                         {served:.1} s; at least {:.1} s follow",
                        last.tail
                    ),
                };
            }
        }
    }
    best
}
