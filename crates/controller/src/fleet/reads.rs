//! Looking: sweeps of everything, and batched looks at what is waited for.

use super::{Effect, Fleet, FleetConfig};
use holdfast_model::facts::{Page, Query, ResourceKind};
use holdfast_model::{CloudError, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The most ids of one look (EC2 takes 1,000 in one filter; smaller answers come faster).
const MAX_IDS: usize = 200;
/// The most pages of one kind in one sweep: 1,000 facts each.
const MAX_PAGES: u32 = 10_000;

/// One read under way.
#[derive(Debug)]
struct Read {
    query: Query,
    asked: Time,
    /// For a sweep: when its first page was asked, and how many pages there were.
    sweep: Option<(Time, u32)>,
}

/// Reads under way and due.
#[derive(Debug, Default)]
pub(super) struct Reads {
    under_way: BTreeMap<u64, Read>,
    wanted: BTreeSet<String>,
    last_sweep: BTreeMap<ResourceKind, Time>,
    last_poll: Option<Time>,
    /// Next pages, to be asked.
    more: Vec<(Query, Time, u32)>,
    soon: bool,
    waiting: bool,
}

impl Reads {
    /// Something may have happened to this id: look at once.
    pub(super) fn want(&mut self, id: &str) {
        self.wanted.insert(id.to_owned());
    }

    /// A whole look is wanted before its time.
    pub(super) fn sweep_soon(&mut self) {
        self.soon = true;
    }

    /// When the next read is due.
    pub(super) fn next(&self, config: &FleetConfig) -> Time {
        if !self.wanted.is_empty() && self.under_way.is_empty() {
            return Time(0);
        }
        let busy: BTreeSet<ResourceKind> =
            self.under_way.values().filter(|r| r.sweep.is_some()).map(|r| r.query.kind).collect();
        let interval = if self.soon { config.poll_interval } else { config.sweep_interval };
        let sweep = ResourceKind::ALL
            .iter()
            .filter(|kind| !busy.contains(kind))
            .map(|kind| self.last_sweep.get(kind).map_or(Time(0), |t| t.plus(interval)))
            .min();
        let poll =
            self.waiting.then(|| self.last_poll.map_or(Time(0), |t| t.plus(config.poll_interval)));
        sweep.into_iter().chain(poll).min().unwrap_or(Time(u64::MAX))
    }
}

impl Fleet {
    /// Starts the reads that are due.
    pub(super) fn look(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for (query, began, pages) in std::mem::take(&mut self.reads.more) {
            self.read(query, now, Some((began, pages)), effects);
        }
        let interval =
            if self.reads.soon { self.config.poll_interval } else { self.config.sweep_interval };
        for kind in ResourceKind::ALL {
            let due = self.reads.last_sweep.get(&kind).is_none_or(|t| now >= t.plus(interval));
            let busy =
                self.reads.under_way.values().any(|r| r.sweep.is_some() && r.query.kind == kind);
            if due && !busy {
                self.reads.last_sweep.insert(kind, now);
                let query = Query { kind, ids: Vec::new(), page: None };
                self.read(query, now, Some((now, 1)), effects);
            }
        }
        let sweeping = self.reads.under_way.values().any(|r| r.sweep.is_some());
        // Until everything has been looked at once nothing is done: a failed look is soon repeated.
        self.reads.soon = (self.reads.soon && sweeping) || !self.world.is_swept();
        let mut ids = std::mem::take(&mut self.reads.wanted);
        let watched: BTreeSet<String> = self
            .waiting
            .iter()
            .filter_map(|node| self.runners.get(node))
            .flat_map(|r| r.watch.iter().cloned())
            .collect();
        self.reads.waiting = !watched.is_empty();
        let poll_due =
            self.reads.last_poll.is_none_or(|t| now >= t.plus(self.config.poll_interval));
        if poll_due && !watched.is_empty() {
            self.reads.last_poll = Some(now);
            ids.extend(watched);
        }
        let busy: BTreeSet<String> =
            self.reads.under_way.values().flat_map(|r| r.query.ids.iter().cloned()).collect();
        let mut by_kind: BTreeMap<ResourceKind, Vec<String>> = BTreeMap::new();
        for id in ids {
            if busy.contains(&id) {
                continue;
            }
            if let Some(kind) = ResourceKind::of_id(&id) {
                by_kind.entry(kind).or_default().push(id);
            }
        }
        for (kind, ids) in by_kind {
            for chunk in ids.chunks(MAX_IDS) {
                let query = Query { kind, ids: chunk.to_vec(), page: None };
                self.read(query, now, None, effects);
            }
        }
    }

    fn read(
        &mut self,
        query: Query,
        asked: Time,
        sweep: Option<(Time, u32)>,
        effects: &mut Vec<Effect>,
    ) {
        let id = self.id();
        effects.push(Effect::Observe { id, query: query.clone() });
        self.reads.under_way.insert(id, Read { query, asked, sweep });
    }

    /// A read was answered.
    pub(super) fn observed(
        &mut self,
        id: u64,
        result: Result<Page, CloudError>,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(read) = self.reads.under_way.remove(&id) else { return };
        // A read that failed is asked again when it is next due: until then nothing is known.
        let Ok(page) = result else { return };
        let Some((began, pages)) = read.sweep else {
            let ids: BTreeSet<&String> = read.query.ids.iter().collect();
            self.world.absorb_ids(&read.query.ids, page.facts, read.asked);
            let watching = self.waiting.iter().filter(|node| {
                let watch = self.runners.get(*node).map(|r| r.watch.as_slice()).unwrap_or_default();
                watch.iter().any(|watched| ids.contains(watched))
            });
            self.dirty.extend(watching.cloned());
            return;
        };
        // Later pages may be newer than the first, but are taken to be as old as it is.
        self.world.absorb_page(page.facts, began);
        if let (Some(next), true) = (page.next, pages < MAX_PAGES) {
            let query = Query { page: Some(next), ..read.query };
            self.reads.more.push((query, began, pages + 1));
            return;
        }
        let kind = read.query.kind;
        let vanished = self.world.complete_sweep(kind, began);
        self.mind_vanished(&vanished, now, effects);
        self.dirty.extend(self.waiting.iter().cloned());
    }
}
