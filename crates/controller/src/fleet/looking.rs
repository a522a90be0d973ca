//! Looking: sweeps of everything, and batched looks at what is waited for.
//!
//! Looks are paced by their pages and not by nodes: one look at a kind takes in everything that
//! somebody waits for, and the next one comes after the poll's interval, or later if there are many
//! pages, or if calls wait for tokens anyway, so that nobody would act on what it shows.

use super::reads::{MAX_IDS, Read, Sweep};
use super::{Effect, Fleet};
use holdfast_model::facts::{Page, Query, ResourceKind};
use holdfast_model::{CloudError, Time, tags};
use std::collections::{BTreeMap, BTreeSet};

/// The most pages of one kind in one sweep: 1,000 facts each.
const MAX_PAGES: u32 = 10_000;
/// How often one page of a sweep is asked for again before the sweep is given up.
const MAX_PAGE_TRIES: u32 = 5;
/// How long hints are gathered before they are looked at together, in milliseconds at most.
const GATHER: u64 = 200;
/// A look's share of the time until all that waits for a bucket has left: a hundredth.
const PART_OF_BACKLOG: u64 = 100;
/// What one page of a look takes of the time to the next one, in milliseconds: half of what EC2's
/// bucket for reads gives.
const PAGE_TAKES: u64 = 100;

impl Fleet {
    /// When the next read is due.
    pub(super) fn next_read(&self) -> Time {
        let reads = &self.reads;
        let mut next = Time(u64::MAX);
        for (query, sweep) in &reads.more {
            next = next.min(sweep.at.max(self.queue.buckets.next(query.kind.describe_action())));
        }
        for kind in ResourceKind::ALL {
            let mut due = Time(u64::MAX);
            if !reads.is_sweeping(kind) {
                due = due.min(self.sweep_due(kind));
            }
            if !reads.is_looking(kind) {
                if reads.wanted.get(&kind).is_some_and(|ids| !ids.is_empty()) {
                    due = due.min(self.look_due(kind, self.gathers()));
                }
                let watched = reads.watched.get(&kind).is_some_and(|ids| !ids.is_empty());
                if watched || reads.hinted.get(&kind).is_some_and(|ids| !ids.is_empty()) {
                    due = due.min(self.look_due(kind, self.poll_interval(kind)));
                }
            }
            if due < next {
                next = next.min(due.max(self.queue.buckets.next(kind.describe_action())));
            }
        }
        next
    }

    fn sweep_due(&self, kind: ResourceKind) -> Time {
        let last = self.reads.last_sweep.get(&kind);
        // Until everything has been looked at once nothing is done: a failed look is soon repeated.
        let never = self.world.swept(kind).is_none();
        let interval = if never || self.reads.soon > last.copied() {
            self.config.poll_interval
        } else if kind == ResourceKind::Instance || !self.reads.for_sweep.is_empty() {
            self.config.sweep_interval
        } else {
            self.config.inventory_interval
        };
        last.map_or(Time(0), |t| t.plus(interval))
    }

    fn look_due(&self, kind: ResourceKind, interval: u64) -> Time {
        self.reads.last_look.get(&kind).map_or(Time(0), |t| t.plus(interval))
    }

    fn gathers(&self) -> u64 {
        self.config.poll_interval.min(GATHER)
    }

    /// From one look at a kind to the next.
    fn poll_interval(&self, kind: ResourceKind) -> u64 {
        let least = self.config.poll_interval;
        let idle = self.queue.backlog() / PART_OF_BACKLOG;
        let by_pages = self.reads.pages(kind) * PAGE_TAKES;
        least.max(idle.min(self.config.poll_interval_most)).max(if least < PAGE_TAKES {
            0
        } else {
            by_pages
        })
    }

    /// Starts the reads that are due.
    pub(super) fn look(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for (query, sweep) in std::mem::take(&mut self.reads.more) {
            if sweep.at > now || self.queue.buckets.room(query.kind.describe_action(), now) == 0 {
                self.reads.more.push((query, sweep));
            } else {
                self.read(query, now, Some(sweep), effects);
            }
        }
        for kind in ResourceKind::ALL {
            if now >= self.sweep_due(kind)
                && !self.reads.is_sweeping(kind)
                && self.queue.buckets.room(kind.describe_action(), now) > 0
            {
                self.reads.last_sweep.insert(kind, now);
                let query = Query { kind, ids: Vec::new(), page: None };
                let sweep = Sweep { began: now, pages: 1, tries: 0, at: now };
                self.read(query, now, Some(sweep), effects);
            }
        }
        for kind in ResourceKind::ALL {
            self.look_at(kind, now, effects);
        }
    }

    /// Looks at what is wanted and watched of one kind, if it is due.
    fn look_at(&mut self, kind: ResourceKind, now: Time, effects: &mut Vec<Effect>) {
        if self.reads.is_looking(kind) || !self.reads.has_any(kind) {
            return;
        }
        let mut ids = BTreeSet::new();
        if now >= self.look_due(kind, self.gathers()) {
            ids = self.reads.wanted.remove(&kind).unwrap_or_default();
        }
        if now >= self.look_due(kind, self.poll_interval(kind)) {
            if let Some(hinted) = self.reads.hinted.get_mut(&kind) {
                hinted.retain(|_, until| *until > now);
            }
            let hinted = self.reads.hinted.get(&kind).into_iter().flat_map(BTreeMap::keys);
            let watched = self.reads.watched.get(&kind).into_iter().flat_map(BTreeMap::keys);
            ids.extend(watched.chain(hinted).cloned());
        }
        let ids: Vec<String> = ids.into_iter().collect();
        for chunk in ids.chunks(MAX_IDS) {
            if self.queue.buckets.room(kind.describe_action(), now) == 0 {
                self.reads.wanted.entry(kind).or_default().extend(chunk.iter().cloned());
                continue;
            }
            self.reads.last_look.insert(kind, now);
            *self.reads.looking.entry(kind).or_default() += 1;
            let query = Query { kind, ids: chunk.to_vec(), page: None };
            self.read(query, now, None, effects);
        }
    }

    fn read(&mut self, query: Query, asked: Time, sweep: Option<Sweep>, effects: &mut Vec<Effect>) {
        self.queue.buckets.take(query.kind.describe_action(), 0, asked);
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
        let kind = read.query.kind;
        if read.sweep.is_none()
            && let Some(looks) = self.reads.looking.get_mut(&kind)
        {
            *looks = looks.saturating_sub(1);
        }
        let page = match result {
            Ok(page) => page,
            Err(error) => {
                if error.class == holdfast_model::ErrorClass::Throttled {
                    self.queue.buckets.throttled(kind.describe_action(), read.asked, now);
                }
                self.unanswered(read, now);
                return;
            }
        };
        self.world.answered(now);
        let Some(sweep) = read.sweep else {
            self.absorb_look(&read.query.ids, page, read.asked);
            return;
        };
        // Later pages may be newer than the first, but are taken to be as old as it is.
        self.world.absorb_page(page.facts, sweep.began);
        if let (Some(next), true) = (page.next, sweep.pages < MAX_PAGES) {
            let query = Query { page: Some(next), ..read.query };
            let sweep = Sweep { pages: sweep.pages + 1, tries: 0, at: now, ..sweep };
            self.reads.more.push((query, sweep));
            return;
        }
        let first = !self.world.is_swept();
        let vanished = self.world.complete_sweep(kind, sweep.began);
        if first {
            // Everybody has waited for this.
            self.dirty.extend(self.waiting.iter().cloned());
        }
        // What was never seen, after a start say, is sure to be missing only now: no change tells so.
        let watched = self.reads.watched.get(&kind).into_iter().flatten();
        let unseen = watched.filter(|(id, _)| self.world.last_seen(id).is_none());
        self.dirty.extend(unseen.flat_map(|(_, nodes)| nodes.iter().cloned()));
        self.mind_vanished(&vanished, now, effects);
        self.dirty.extend(self.reads.for_sweep.iter().cloned());
    }

    /// A read that failed is asked again: until then nothing is known.
    fn unanswered(&mut self, read: Read, now: Time) {
        let at = now.plus(self.config.poll_interval);
        match read.sweep {
            Some(sweep) if sweep.tries < MAX_PAGE_TRIES => {
                let sweep = Sweep { tries: sweep.tries + 1, at, ..sweep };
                self.reads.more.push((read.query, sweep));
            }
            // The next sweep begins anew.
            Some(_) => {}
            None => {
                let kind = read.query.kind;
                let watched = self.reads.watched.get(&kind);
                let nobodys = |id: &String| watched.is_none_or(|w| !w.contains_key(id));
                let again: Vec<String> = read.query.ids.into_iter().filter(nobodys).collect();
                if !again.is_empty() {
                    self.reads.wanted.entry(kind).or_default().extend(again);
                }
            }
        }
    }

    /// A look at some ids: whoever waits for one that does not show must think again, for absence
    /// is a matter of time. What shows otherwise than before, the world says itself.
    fn absorb_look(&mut self, ids: &[String], page: Page, asked: Time) {
        let mut silent: BTreeSet<&String> = ids.iter().collect();
        for fact in &page.facts {
            if fact.tags().contains_key(tags::NODE) {
                silent.remove(&fact.id().to_owned());
            }
        }
        for id in silent {
            let watched = ResourceKind::of_id(id).and_then(|kind| self.reads.watched.get(&kind));
            if let Some(nodes) = watched.and_then(|watched| watched.get(id)) {
                self.dirty.extend(nodes.iter().cloned());
            }
        }
        for fact in &page.facts {
            if let Some(hinted) = self.reads.hinted.get_mut(&fact.kind())
                && self.world.last_seen(fact.id()).is_none_or(|before| before != fact)
            {
                hinted.remove(fact.id());
            }
        }
        self.world.absorb_ids(ids, page.facts, asked);
    }
}
