//! How fast the storm can be over at best, worked out without the fleet.
//!
//! Two things bound it. *The path*: a node cannot be back before all its steps have taken their
//! time, one after the other, whatever the buckets hold. *Each bucket*: all calls of an action must
//! pass through it. Before its call a node must take its `head` (the steps before), after it its
//! `tail` (the steps after). Take any set of calls whose tails are at least `q`: they pass the bucket
//! at the earliest if it serves them alone, in the order of their heads, never idle when it need not
//! be; the last of them is followed by at least `q`. So for every `q` that is a lower bound, and the
//! largest of all is what could be done *with foresight*: by somebody who knows every draw ahead and
//! sends first what will take longest. Buckets are taken one at a time and upstream queues as empty,
//! so it is never above the truth. Nobody is told before its notice has arrived: that counts.
//! Replies, polling and what Describe hides take no time here.
//!
//! Nobody has that foresight. *The* bound is therefore that of the best that anybody could do who
//! learns how long a thing takes when it is over ([`super::chance`]): over all orders in which the
//! same draws can meet the same places in a bucket's line, the time before which no more than one in
//! a hundred is over. Both are given.
//!
//! The table of buckets is written down once more, on purpose: what judges the fleet shares no code
//! with it.

use super::stage::Node;
use super::{Flow, chance};
use holdfast_cloud_sim::latency::subject;
use holdfast_cloud_sim::{Latency, SimCloud};
use serde::Serialize;
use std::collections::BTreeSet;

/// Tails are compared at so many of their quantiles.
const QUANTILES: usize = 64;
/// Without foresight the bound is what only so many orders of the draws come below.
const LUCK: f64 = 0.01;

/// What bounds a storm, and by how much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bound {
    /// The largest of all, in seconds.
    pub seconds: f64,
    /// What it comes from: `path` or an action.
    pub by: String,
    /// The same as a sentence with its numbers.
    pub arithmetic: String,
    /// The bound of somebody who knows ahead how long everything takes, in seconds: never above
    /// the other.
    pub foresight_seconds: f64,
    /// Where that comes from.
    pub foresight_arithmetic: String,
}

/// One call of a node: seconds before it and after it, at least.
#[derive(Debug, Clone, Copy)]
struct Job {
    head: f64,
    tail: f64,
    /// The part of the tail that the call begins and whose length nobody knows: drawn in the same
    /// way for every call of the action.
    chance: f64,
}

impl Job {
    fn new(head: f64, tail: f64) -> Job {
        Job { head, tail, chance: tail }
    }
}

/// What a bucket gives a token for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counts {
    /// Each request.
    Requests,
    /// Each instance that requests name.
    Instances,
}

/// A bucket that the bound counts with, as EC2 publishes it (EC2 API reference, "Request throttling
/// for the Amazon EC2 API").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// EC2's name of the action.
    pub action: &'static str,
    /// What takes a token.
    pub counts: Counts,
    /// Tokens that it holds.
    pub capacity: u32,
    /// Tokens that it gets each second.
    pub refill: u32,
}

impl Bucket {
    const fn new(action: &'static str, counts: Counts, capacity: u32, refill: u32) -> Bucket {
        Bucket { action, counts, capacity, refill }
    }
}

// Of instances, not of requests: one request ends up to a thousand of them.
const TERMINATE: Bucket = Bucket::new("TerminateInstances", Counts::Instances, 1_000, 20);
const RUN: Bucket = Bucket::new("RunInstances", Counts::Requests, 5, 2);
const SNAPSHOT: Bucket = Bucket::new("CreateSnapshot", Counts::Requests, 100, 5);
const REGISTER: Bucket = Bucket::new("RegisterImage", Counts::Requests, 50, 5);
const VOLUME: Bucket = Bucket::new("CreateVolume", Counts::Requests, 100, 5);
const ATTACH: Bucket = Bucket::new("AttachVolume", Counts::Requests, 50, 5);

/// Every bucket that the bound counts with. They are taken from the calls of a node that makes all of
/// them, so none is left out.
#[must_use]
pub fn buckets() -> BTreeSet<Bucket> {
    let node = Times { data: vec![Data::default()], ..Times::default() };
    let mut calls = Vec::new();
    jobs(&node, Flow::Snapshot, &mut calls);
    calls.into_iter().map(|(bucket, _)| bucket).collect()
}

/// What a node's steps take, in seconds.
#[derive(Default)]
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

#[derive(Default)]
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

/// The calls of one node by the bucket that they pass, and the length of its path.
fn jobs(t: &Times, flow: Flow, into: &mut Vec<(Bucket, Job)>) -> f64 {
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
    into.push((TERMINATE, Job::new(t.notice, path - t.notice)));
    let tail = captured + after_launch;
    into.push((SNAPSHOT, Job { head: free, tail, chance: t.root }));
    into.push((REGISTER, Job::new(free + t.root, t.image + after_launch)));
    into.push((RUN, Job::new(launch, after_launch)));
    for d in &t.data {
        if moves {
            let tail = d.snapshot + after_launch;
            into.push((SNAPSHOT, Job { head: free, tail, chance: d.snapshot }));
            into.push((VOLUME, Job::new(launch, d.creating + d.attaching)));
        }
        let head = launch + t.pending.max(made(d));
        into.push((ATTACH, Job::new(head, d.attaching)));
    }
    path
}

/// When calls with these heads pass a bucket, at the earliest.
fn passed(heads: &mut [f64], capacity: f64, refill: f64) -> Vec<f64> {
    heads.sort_by(f64::total_cmp);
    let (mut tokens, mut at) = (capacity, 0.0_f64);
    let mut places = Vec::with_capacity(heads.len());
    for head in heads.iter() {
        let now = head.max(at);
        tokens = (tokens + (now - at) * refill).min(capacity);
        at = now;
        if tokens < 1.0 {
            at += (1.0 - tokens) / refill;
            tokens = 1.0;
        }
        tokens -= 1.0;
        places.push(at);
    }
    places
}

/// The bound for these nodes, with buckets of so many percent of their published size.
pub(super) fn bound(cloud: &SimCloud, nodes: &[Node], flow: Flow, percent: u32) -> Bound {
    let mut jobs_of_all = Vec::new();
    let path = nodes
        .iter()
        .map(|node| jobs(&times(cloud, node), flow, &mut jobs_of_all))
        .fold(0.0, f64::max);
    let path = Found {
        seconds: path,
        by: "path".to_owned(),
        arithmetic: format!("the longest of {} nodes' own paths takes {path:.1} s", nodes.len()),
    };
    let (mut foresight, mut chance) = (path.clone(), path);
    let buckets: BTreeSet<Bucket> = jobs_of_all.iter().map(|j| j.0).collect();
    for bucket in buckets {
        let mut jobs: Vec<Job> =
            jobs_of_all.iter().filter(|j| j.0 == bucket).map(|j| j.1).collect();
        jobs.sort_by(|a, b| b.tail.total_cmp(&a.tail));
        let part = f64::from(percent) / 100.0;
        let capacity = (f64::from(bucket.capacity) * part).max(1.0);
        let tokens = (capacity, f64::from(bucket.refill) * part);
        foresight.raise(with_foresight(bucket.action, &jobs, tokens));
        chance.raise(by_chance(bucket.action, &jobs, tokens));
    }
    // Who cannot foresee is no faster than who can.
    chance.raise(foresight.clone());
    Bound {
        seconds: chance.seconds,
        by: chance.by,
        arithmetic: chance.arithmetic,
        foresight_seconds: foresight.seconds,
        foresight_arithmetic: foresight.arithmetic,
    }
}

#[derive(Debug, Clone)]
struct Found {
    seconds: f64,
    by: String,
    arithmetic: String,
}

impl Found {
    fn raise(&mut self, other: Found) {
        if other.seconds > self.seconds + 0.001 {
            *self = other;
        }
    }
}

/// Those with the longest tails first: the bound of whoever knows them. `jobs` by descending tail.
fn with_foresight(action: &str, jobs: &[Job], (capacity, refill): (f64, f64)) -> Found {
    let mut best = Found { seconds: 0.0, by: action.to_owned(), arithmetic: String::new() };
    for step in 1..=QUANTILES {
        let count = (jobs.len() * step).div_ceil(QUANTILES);
        let Some(last) = count.checked_sub(1).and_then(|i| jobs.get(i)) else { continue };
        let mut heads: Vec<f64> = jobs[..count].iter().map(|j| j.head).collect();
        let served = passed(&mut heads, capacity, refill).last().copied().unwrap_or_default();
        let first = heads.first().copied().unwrap_or_default();
        best.raise(Found {
            seconds: served + last.tail,
            by: action.to_owned(),
            arithmetic: format!(
                "{count} {action} through a bucket of {capacity} with {refill} a second, the first \
                 of them {first:.1} s after the announcement, have passed after {served:.1} s; at \
                 least {:.1} s follow",
                last.tail
            ),
        });
    }
    best
}

/// What chance decides about the tails is given to the places in the bucket's line by chance.
fn by_chance(action: &str, jobs: &[Job], (capacity, refill): (f64, f64)) -> Found {
    let mut heads: Vec<f64> = jobs.iter().map(|j| j.head).collect();
    let places = passed(&mut heads, capacity, refill);
    let mut lengths: Vec<f64> = jobs.iter().map(|j| j.chance).collect();
    lengths.sort_by(f64::total_cmp);
    let rest = jobs.iter().map(|j| j.tail - j.chance).fold(f64::INFINITY, f64::min);
    let rest = if rest.is_finite() { rest.max(0.0) } else { 0.0 };
    let over = chance::over_at(LUCK, &places, &lengths);
    let served = places.last().copied().unwrap_or_default();
    let of = |lengths: &[f64], end: bool| {
        let length = if end { lengths.last() } else { lengths.first() };
        length.copied().unwrap_or_default()
    };
    Found {
        seconds: over + rest,
        by: action.to_owned(),
        arithmetic: format!(
            "{} {action} through a bucket of {capacity} with {refill} a second, the first of them \
             {:.1} s after the announcement, have passed after {served:.1} s; what each begins \
             takes {:.1} to {:.1} s, and nobody knows which: in 99 of 100 orders it is not over \
             before {over:.1} s; at least {rest:.1} s follow",
            jobs.len(),
            of(&heads, false),
            of(&lengths, false),
            of(&lengths, true)
        ),
    }
}
