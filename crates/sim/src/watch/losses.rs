//! An undelete names every loss: what of the node is not there afterwards, and is not kept with all
//! its content in something that takes its place, stands in what its user is told.

use holdfast_cloud_sim::SimCloud;
use holdfast_cloud_sim::config::ROOT_DEVICE;
use holdfast_model::facts::{Fact, VolumeState};
use holdfast_model::record::{DataHead, Goal, RootHead, Tombstone};
use holdfast_model::{Event, Record};
use std::collections::BTreeSet;

/// What an undelete between these two records has lost without a word. `removed`: ids of what the
/// controller has deleted or was about to.
pub(super) fn unnamed(
    before: &Record,
    after: &Record,
    events: &[Event],
    removed: &BTreeSet<String>,
    cloud: &SimCloud,
) -> Vec<String> {
    let Some(was) = &before.lifecycle.tombstone() else { return Vec::new() };
    if before.lifecycle.goal() != Goal::Deleted || after.lifecycle.goal() == Goal::Deleted {
        return Vec::new();
    }
    let told = |what: &str| events.iter().any(|e| e.message.contains(what));
    let mut lost = Vec::new();
    for (id, named) in missing(was, after, removed, cloud) {
        if !told(&named) {
            lost.push(format!("{id} is not there after an undelete that did not name it"));
        }
    }
    lost
}

/// What is lost, and how it would be named.
fn missing(
    was: &Tombstone,
    after: &Record,
    removed: &BTreeSet<String>,
    cloud: &SimCloud,
) -> Vec<(String, String)> {
    let node = &after.id;
    let mut missing = Vec::new();
    let is_there = |id: &str| match cloud.truly(id) {
        Some(Fact::Volume(v)) => v.state != VolumeState::Deleting,
        found => found.is_some(),
    };
    // What others have deleted is found out at the next resume.
    let is_gone = |id: &str| removed.contains(id) && !is_there(id);
    for data in &was.data {
        let DataHead::Volume { id, .. } = &data.head else { continue };
        let now = after.identity.data.iter().find(|d| d.device == data.device);
        let is_head = now.is_some_and(|d| d.head == data.head) && !is_gone(id.as_str());
        let restored = now.and_then(|d| d.restore.as_ref()).map(|s| s.as_str());
        if !is_head && !restored.is_some_and(|s| cloud.holds_all(node, &data.device, s)) {
            missing.push((id.0.clone(), id.0.clone()));
        }
    }
    let returns =
        after.identity.rollback.as_ref().and_then(|r| r.root.as_ref()).map(|p| p.snapshot.as_str());
    let root = match &was.root {
        RootHead::Live { kept: true, volume: Some(volume), .. } => Some(volume.as_str()),
        RootHead::Captured { snapshot, .. } => Some(snapshot.as_str()),
        RootHead::Live { .. } | RootHead::Fresh => None,
    };
    if let Some(root) = root {
        let is_head = after.identity.root == was.root && !is_gone(root);
        let is_in = |s: &str| s == root && !is_gone(s) || cloud.holds_all(node, ROOT_DEVICE, s);
        if !is_head && !returns.is_some_and(is_in) {
            missing.push((root.to_owned(), "the root".to_owned()));
        }
    }
    for held in was.interface.iter().chain(&was.secondary) {
        let is_kept =
            after.identity.interfaces().any(|i| i.id == held.id) && !is_gone(held.id.as_str());
        if !is_kept {
            missing.push((held.id.0.clone(), held.id.0.clone()));
        }
    }
    missing
}
