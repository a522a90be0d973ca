//! Which reads are under way, and what is to be looked at.

use holdfast_model::facts::{Query, ResourceKind};
use holdfast_model::{NodeId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The most ids of one look (EC2 API reference: at most 1,000 results of one Describe).
pub(super) const MAX_IDS: usize = 1_000;
/// How long a hint is looked after, in milliseconds at most: Describe may still show what was
/// before it. Longer than that it does not lag, and then the next sweep will tell.
pub(super) const HINT_LASTS: u64 = 5_000;

/// One read under way.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) query: Query,
    pub(super) asked: Time,
    pub(super) sweep: Option<Sweep>,
}

/// Where a sweep is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep {
    /// When its first page was asked.
    pub(super) began: Time,
    pub(super) pages: u32,
    /// How often this page was asked.
    pub(super) tries: u32,
    /// Not before.
    pub(super) at: Time,
}

/// Reads under way and due.
#[derive(Debug, Clone, Default)]
pub(super) struct Reads {
    pub(super) under_way: BTreeMap<u64, Read>,
    /// To be looked at as soon as may be.
    pub(super) wanted: BTreeMap<ResourceKind, BTreeSet<String>>,
    /// What somebody said has changed: looked at with every look, until it shows a change or until
    /// the time given.
    pub(super) hinted: BTreeMap<ResourceKind, BTreeMap<String, Time>>,
    /// Ids whose facts are waited for, and by whom.
    pub(super) watched: BTreeMap<ResourceKind, BTreeMap<String, BTreeSet<NodeId>>>,
    /// Nodes that wait for a whole look.
    pub(super) for_sweep: BTreeSet<NodeId>,
    /// How many looks at a kind are under way.
    pub(super) looking: BTreeMap<ResourceKind, usize>,
    pub(super) last_sweep: BTreeMap<ResourceKind, Time>,
    pub(super) last_look: BTreeMap<ResourceKind, Time>,
    /// Next pages, to be asked.
    pub(super) more: Vec<(Query, Sweep)>,
    /// When a whole look was last wanted before its time: a sweep that began earlier is none.
    pub(super) soon: Option<Time>,
}

impl Reads {
    /// Something may have happened to this id: look at once.
    pub(super) fn want(&mut self, id: &str) {
        if let Some(kind) = ResourceKind::of_id(id) {
            self.wanted.entry(kind).or_default().insert(id.to_owned());
        }
    }

    /// A hint has come about this id: look at once, and again until something shows.
    pub(super) fn hint(&mut self, id: &str, until: Time) {
        self.want(id);
        if let Some(kind) = ResourceKind::of_id(id) {
            self.hinted.entry(kind).or_default().insert(id.to_owned(), until);
        }
    }

    /// A whole look is wanted before its time.
    pub(super) fn sweep_soon(&mut self, now: Time) {
        self.soon = Some(now);
    }

    /// A node waits for facts of other ids than before.
    pub(super) fn watch(&mut self, node: &NodeId, before: &[String], now: &[String]) {
        for id in before.iter().filter(|id| !now.contains(id)) {
            let Some(kind) = ResourceKind::of_id(id) else { continue };
            let Some(watched) = self.watched.get_mut(&kind) else { continue };
            if let Some(nodes) = watched.get_mut(id) {
                nodes.remove(node);
                if nodes.is_empty() {
                    watched.remove(id);
                }
            }
        }
        for id in now.iter().filter(|id| !before.contains(id)) {
            let Some(kind) = ResourceKind::of_id(id) else { continue };
            let nodes = self.watched.entry(kind).or_default().entry(id.clone()).or_default();
            nodes.insert(node.clone());
        }
    }

    /// Whether a node waits for a whole look.
    pub(super) fn await_sweep(&mut self, node: &NodeId, waits: bool) {
        if waits {
            self.for_sweep.insert(node.clone());
        } else {
            self.for_sweep.remove(node);
        }
    }

    /// How many ids are looked for, and nodes wait for a whole look.
    pub(super) fn kept(&self) -> usize {
        let wanted = self.wanted.values().map(BTreeSet::len);
        let hinted = self.hinted.values().map(BTreeMap::len);
        let watched = self.watched.values().map(BTreeMap::len);
        wanted.chain(hinted).chain(watched).sum::<usize>() + self.for_sweep.len()
    }

    pub(super) fn is_sweeping(&self, kind: ResourceKind) -> bool {
        let under_way = self.under_way.values().any(|r| r.sweep.is_some() && r.query.kind == kind);
        under_way || self.more.iter().any(|(query, _)| query.kind == kind)
    }

    /// Whether a look at a kind is on its way: until it has returned no other one leaves.
    pub(super) fn is_looking(&self, kind: ResourceKind) -> bool {
        self.looking.get(&kind).is_some_and(|looks| *looks > 0)
    }

    /// Whether there is anything of a kind to look at.
    pub(super) fn has_any(&self, kind: ResourceKind) -> bool {
        self.wanted.get(&kind).is_some_and(|ids| !ids.is_empty())
            || self.hinted.get(&kind).is_some_and(|ids| !ids.is_empty())
            || self.watched.get(&kind).is_some_and(|ids| !ids.is_empty())
    }

    /// How many pages a look at everything that is watched of a kind has.
    pub(super) fn pages(&self, kind: ResourceKind) -> u64 {
        let ids = self.watched.get(&kind).map_or(0, BTreeMap::len);
        ids.div_ceil(MAX_IDS) as u64
    }
}
