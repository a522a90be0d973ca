//! The stores, the writer, and what must survive. Full disks and power cuts need root, the latter
//! also loop devices and e2fsprogs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails should panic")]

mod conformance;
mod full_disk;
mod killed;
mod opening;
mod power_cut;
mod same;
mod writer;
mod wrong;

use holdfast_model::{Event, EventCode, NodeId, Time};
use holdfast_store::{EventFilter, MAX_EVENTS_READ, Write};

const ALL: EventFilter =
    EventFilter { node: None, from: Time(0), to: Time(u64::MAX), after: 0, limit: MAX_EVENTS_READ };

fn node(n: u64) -> NodeId {
    NodeId(format!("smi-{n:08x}"))
}

fn event(node: &NodeId, at: u64) -> Event {
    Event::new(Time(at), node.clone(), EventCode::Created, format!("event {at}"))
}

/// The write that takes a node from revision `expected` to the next, with one event.
fn put(n: u64, expected: u64, json: &str) -> Write {
    let node = node(n);
    let events = vec![event(&node, expected + 1)];
    Write { node, expected, record: Some(json.to_owned()), events }
}
