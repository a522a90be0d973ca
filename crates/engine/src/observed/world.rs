//! What is known of the cloud: each fact with the time at which its read was *asked*, and how
//! certain it is.
//!
//! Three things must not be confused: a resource that is not visible *yet*, one that has
//! vanished, and one that never existed. Only time tells them apart, so absence is believed when
//! a read that was asked a whole consistency window after the last sighting (and after the last
//! command on that resource) did not show it. What a read shows may be as new as its answer,
//! however long ago it was asked: a sighting counts from when the answer came.

use crate::observed::marks;
use holdfast_model::facts::{
    Fact, ImageFact, InstanceFact, InstanceState, InterfaceFact, ResourceKind, SnapshotFact,
    VolumeFact,
};
use holdfast_model::{Epoch, Installation, NodeId, Reply, Time, tags};
use holdfast_model::{Known, time::HOUR};
use std::collections::{BTreeMap, BTreeSet};

/// How long a resource that is gone is remembered as such.
const REMEMBER_GONE: u64 = 2 * HOUR;

#[derive(Debug, Clone)]
struct Seen {
    fact: Fact,
    /// When the read that showed it was asked.
    asked: Time,
    /// When the newest answer that showed it came.
    shown: Time,
    /// When the newest read that should have shown it, and did not, was asked.
    missing: Option<Time>,
    /// When the newest command on it left or returned.
    touched: Time,
    /// Whether a sweep shows it: only what carries our tags; the rest is read by id.
    swept: bool,
}

impl Seen {
    /// Whether it is a surprise that it no longer shows. Terminated instances go after an hour.
    fn vanishes(&self) -> bool {
        let over = matches!(&self.fact, Fact::Instance(i) if i.state == InstanceState::Terminated);
        self.missing.is_none() && !over
    }

    /// Whether it is positively not there any more.
    fn is_gone(&self, window: u64) -> bool {
        let last = self.shown.max(self.asked).max(self.touched);
        self.missing.is_some_and(|missing| missing >= last.plus(window))
    }

    /// A read asked at `asked` should have shown it. Whoever knows that it is gone learns nothing
    /// new from one more look; returns whether this is news, and whether it is the first miss.
    fn missed_by(&mut self, asked: Time, window: u64) -> (bool, bool) {
        let (news, first) = (!self.is_gone(window), self.missing.is_none());
        self.missing = Some(self.missing.unwrap_or_default().max(asked));
        (news, first)
    }

    /// Whether a read shows what has been: an instance that ends does not come back (EC2 user guide,
    /// "Instance lifecycle"), however late a read was asked that says so.
    fn is_past(&self, read: &Fact) -> bool {
        let (Fact::Instance(known), Fact::Instance(read)) = (&self.fact, read) else {
            return false;
        };
        match known.state {
            InstanceState::Terminated => read.state != InstanceState::Terminated,
            InstanceState::ShuttingDown => {
                !matches!(read.state, InstanceState::ShuttingDown | InstanceState::Terminated)
            }
            _ => false,
        }
    }

    /// Takes in a read that shows what is known already, if it does. Most of a sweep shows nothing
    /// new: that costs no more than this. Returns whether the fact is certain only from now on.
    fn confirmed_by(&mut self, fact: &Fact, asked: Time, shown: Time) -> Option<bool> {
        if self.asked > asked {
            return Some(false);
        }
        self.shown = self.shown.max(shown);
        if self.missing.is_some() || self.fact != *fact {
            return None;
        }
        let newly = self.asked < self.touched;
        self.asked = asked;
        Some(newly)
    }
}

/// What shows of a node, and which controller made it, as its tags say: every plan asks.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) fact: Fact,
    pub(crate) generation: Option<u64>,
    pub(crate) epoch: Option<Epoch>,
}

impl Shown {
    fn new(fact: Fact) -> Shown {
        let (generation, epoch) = (marks::generation(&fact), marks::epoch(&fact));
        Shown { fact, generation, epoch }
    }
}

#[derive(Debug, Clone, Copy)]
struct Sweeps {
    first: Time,
    last: Time,
}

/// Everything that has been seen.
#[derive(Debug, Clone, Default)]
pub struct World {
    window: u64,
    /// When the answer came that is taken in.
    now: Time,
    seen: BTreeMap<String, Seen>,
    /// What a command's answer has said to be gone, and when. Nothing of this is in `seen`.
    gone: BTreeMap<String, Time>,
    /// What has not shown for so long that it is not remembered, and when the sweep was asked that
    /// made it so. Whoever could not see it may see it again. Nothing of this is in `seen`.
    forgotten: BTreeMap<String, Time>,
    /// Commands on what is not in `seen`.
    touched: BTreeMap<String, Time>,
    sweeps: BTreeMap<ResourceKind, Sweeps>,
    /// What shows of each node, in the order of ids: every plan goes through it.
    by_node: BTreeMap<NodeId, Vec<Shown>>,
    changed: BTreeSet<NodeId>,
}

impl World {
    /// Nothing has been seen yet; `window` is the cloud's consistency window in milliseconds.
    #[must_use]
    pub fn new(window: u64) -> World {
        World { window, ..World::default() }
    }

    /// The answer that is taken in next has come now.
    pub fn answered(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// A command on this resource leaves or returns at `at`: what was asked before proves nothing.
    pub fn touch(&mut self, id: &str, at: Time) {
        let last = match self.seen.get_mut(id) {
            Some(seen) => &mut seen.touched,
            None => self.touched.entry(id.to_owned()).or_default(),
        };
        *last = (*last).max(at);
    }

    /// Takes in a command's reply: the facts that it established at `now`.
    pub fn absorb_reply(&mut self, reply: &Reply, now: Time) {
        for fact in &reply.facts {
            self.touch(fact.id(), now);
            self.see(fact.clone(), now);
        }
        for id in &reply.gone {
            self.forget(id);
            self.touch(id, now);
            self.gone.insert(id.clone(), now);
        }
    }

    /// Takes in a read of some ids, asked at `asked`.
    pub fn absorb_ids(&mut self, ids: &[String], facts: Vec<Fact>, asked: Time) {
        let shown: BTreeSet<String> = facts.iter().map(|f| f.id().to_owned()).collect();
        for fact in facts {
            self.see(fact, asked);
        }
        for id in ids {
            if !shown.contains(id) {
                self.miss(id, asked);
            }
        }
    }

    /// Takes in one page of a sweep, asked at `asked`.
    pub fn absorb_page(&mut self, facts: Vec<Fact>, asked: Time) {
        let now = self.now;
        // Pages come in the order of ids: both are gone through side by side.
        let from = facts.first().map(|f| f.id().to_owned()).unwrap_or_default();
        let mut known = self.seen.range_mut(from..).peekable();
        let mut others = Vec::new();
        for fact in facts {
            while known.next_if(|(id, _)| id.as_str() < fact.id()).is_some() {}
            let seen = known.next_if(|(id, _)| id.as_str() == fact.id());
            match seen.and_then(|(_, seen)| seen.confirmed_by(&fact, asked, now)) {
                Some(false) => {}
                Some(true) => self.changed.extend(node_of(&fact)),
                None => others.push(fact),
            }
        }
        for fact in others {
            self.see(fact, asked);
        }
    }

    /// A sweep of one kind, whose first page was asked at `asked`, is complete: what it should
    /// have shown and did not is missing. Returns what was missed for the first time.
    pub fn complete_sweep(&mut self, kind: ResourceKind, asked: Time) -> Vec<String> {
        let mut newly = Vec::new();
        let mut hidden = Vec::new();
        let mut forgotten = Vec::new();
        let prefix = kind.prefix().trim_end_matches('-');
        // The ids of a kind, and nothing else, lie between its prefix and the next character.
        for (id, seen) in self.seen.range_mut(format!("{prefix}-")..format!("{prefix}.")) {
            if seen.swept && seen.asked < asked {
                let surprising = seen.vanishes();
                let (news, first) = seen.missed_by(asked, self.window);
                if news {
                    self.changed.extend(node_of(&seen.fact));
                }
                if first {
                    hidden.push(seen.fact.clone());
                }
                if surprising {
                    newly.push(id.clone());
                }
            }
            if seen.missing.is_some_and(|m| m.since(seen.asked) > REMEMBER_GONE) {
                forgotten.push(id.clone());
            }
        }
        for fact in &hidden {
            self.hide(fact);
        }
        let sweeps = self.sweeps.entry(kind).or_insert(Sweeps { first: asked, last: asked });
        sweeps.last = sweeps.last.max(asked);
        self.gone.retain(|_, at| asked.since(*at) < REMEMBER_GONE);
        self.forgotten.retain(|_, at| asked.since(*at) < REMEMBER_GONE);
        self.touched.retain(|_, at| asked.since(*at) < REMEMBER_GONE);
        for id in forgotten {
            self.forget(&id);
            self.forgotten.insert(id, asked);
        }
        newly
    }

    /// When the newest complete sweep of a kind was asked.
    #[must_use]
    pub fn swept(&self, kind: ResourceKind) -> Option<Time> {
        self.sweeps.get(&kind).map(|s| s.last)
    }

    /// Nodes of which something else is known than before; asking forgets them.
    pub fn take_changed(&mut self) -> BTreeSet<NodeId> {
        std::mem::take(&mut self.changed)
    }

    /// Whether every kind has been swept at least once.
    #[must_use]
    pub fn is_swept(&self) -> bool {
        ResourceKind::ALL.iter().all(|kind| self.sweeps.contains_key(kind))
    }

    fn see(&mut self, fact: Fact, asked: Time) {
        let (mut touched, shown) = (Time(0), self.now);
        if let Some(seen) = self.seen.get_mut(fact.id()) {
            if seen.is_past(&fact) {
                return;
            }
            if let Some(newly) = seen.confirmed_by(&fact, asked, shown) {
                self.changed.extend(node_of(&fact).filter(|_| newly));
                return;
            }
            touched = seen.touched;
        } else if self.gone.contains_key(fact.id())
            || self.forgotten.get(fact.id()).is_some_and(|since| asked <= *since)
        {
            return;
        }
        // It was hidden and not gone.
        self.forgotten.remove(fact.id());
        let id = fact.id().to_owned();
        touched = touched.max(self.touched.remove(&id).unwrap_or_default());
        if let Some(node) = node_of(&fact) {
            let shown = self.by_node.entry(node.clone()).or_default();
            match shown.binary_search_by(|other| other.fact.id().cmp(&id)) {
                Ok(at) => shown[at] = Shown::new(fact.clone()),
                Err(at) => shown.insert(at, Shown::new(fact.clone())),
            }
            self.changed.insert(node);
        }
        let swept = fact.tags().contains_key(tags::INSTALLATION);
        let seen = Seen { fact, asked, shown, missing: None, touched, swept };
        let before = self.seen.insert(id, seen);
        // A tag may have been taken off since.
        if let Some(before) = before
            && let Some(seen) = self.seen.get(before.fact.id())
            && node_of(&before.fact) != node_of(&seen.fact)
        {
            self.hide(&before.fact);
        }
    }

    /// It no longer shows as its node's.
    fn hide(&mut self, fact: &Fact) {
        let Some(node) = node_of(fact) else { return };
        let Some(shown) = self.by_node.get_mut(&node) else { return };
        if let Ok(at) = shown.binary_search_by(|other| other.fact.id().cmp(fact.id())) {
            shown.remove(at);
        }
        if shown.is_empty() {
            self.by_node.remove(&node);
        }
    }

    fn miss(&mut self, id: &str, asked: Time) {
        let Some(seen) = self.seen.get_mut(id).filter(|seen| asked > seen.asked) else { return };
        let (news, first) = seen.missed_by(asked, self.window);
        let fact = seen.fact.clone();
        if news {
            self.changed.extend(node_of(&fact));
        }
        if first {
            self.hide(&fact);
        }
    }

    fn forget(&mut self, id: &str) {
        let Some(seen) = self.seen.remove(id) else { return };
        self.hide(&seen.fact);
        if seen.touched > Time(0) {
            self.touched.insert(id.to_owned(), seen.touched);
        }
    }

    pub(crate) fn known(&self, id: &str) -> Known<&Fact> {
        let Some(seen) = self.seen.get(id) else { return self.unseen(id) };
        match seen.missing {
            None if seen.asked >= seen.touched => Known::Present(&seen.fact),
            None => Known::Unknown,
            Some(_) if seen.is_gone(self.window) => Known::Absent,
            Some(_) => Known::Unknown,
        }
    }

    /// What is known of something that was never seen, or is gone.
    fn unseen(&self, id: &str) -> Known<&Fact> {
        if self.gone.contains_key(id) || self.forgotten.contains_key(id) {
            return Known::Absent;
        }
        let touched = self.touched.get(id).copied().unwrap_or_default();
        match ResourceKind::of_id(id).and_then(|kind| self.sweeps.get(&kind)) {
            Some(s)
                if s.last.since(s.first) >= self.window
                    && s.last >= s.first.max(touched).plus(self.window) =>
            {
                Known::Absent
            }
            _ => Known::Unknown,
        }
    }

    /// Whether a resource is positively not there, whatever it is.
    #[must_use]
    pub fn is_gone(&self, id: &str) -> bool {
        self.known(id).is_absent()
    }

    /// Whether every kind has been looked at for a whole consistency window: what was never seen
    /// by then is not there.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        ResourceKind::ALL
            .iter()
            .all(|kind| self.sweeps.get(kind).is_some_and(|s| s.last.since(s.first) >= self.window))
    }

    /// The newest sighting, however old: for people, never for a guard.
    #[must_use]
    pub fn last_seen(&self, id: &str) -> Option<&Fact> {
        self.seen.get(id).map(|seen| &seen.fact)
    }

    /// Whether the newest read that should show a resource did.
    #[must_use]
    pub fn shows(&self, id: &str) -> bool {
        self.seen.get(id).is_some_and(|seen| seen.missing.is_none())
    }

    /// What is known of an instance.
    #[must_use]
    pub fn instance(&self, id: &str) -> Known<&InstanceFact> {
        pick(self.known(id), |f| if let Fact::Instance(x) = f { Some(&**x) } else { None })
    }

    /// What is known of a volume.
    #[must_use]
    pub fn volume(&self, id: &str) -> Known<&VolumeFact> {
        pick(self.known(id), |f| if let Fact::Volume(x) = f { Some(&**x) } else { None })
    }

    /// What is known of a snapshot.
    #[must_use]
    pub fn snapshot(&self, id: &str) -> Known<&SnapshotFact> {
        pick(self.known(id), |f| if let Fact::Snapshot(x) = f { Some(&**x) } else { None })
    }

    /// What is known of an image.
    #[must_use]
    pub fn image(&self, id: &str) -> Known<&ImageFact> {
        pick(self.known(id), |f| if let Fact::Image(x) = f { Some(&**x) } else { None })
    }

    /// What is known of an interface.
    #[must_use]
    pub fn interface(&self, id: &str) -> Known<&InterfaceFact> {
        pick(self.known(id), |f| if let Fact::Interface(x) = f { Some(&**x) } else { None })
    }

    /// What is visible with a node's tag (terminated instances too), in the order of ids.
    pub fn of_node(&self, node: &NodeId) -> impl Iterator<Item = &Fact> {
        self.shown(node).iter().map(|shown| &shown.fact)
    }

    /// The same, with what plans ask of each.
    pub(crate) fn shown(&self, node: &NodeId) -> &[Shown] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    /// What is visible with a node's tag and our own, in the order of ids. What another
    /// installation made for a node of the same id is none of our business.
    pub fn ours(&self, node: &NodeId, installation: &Installation) -> impl Iterator<Item = &Fact> {
        let ours = Some(installation.0.clone());
        self.of_node(node).filter(move |f| f.tags().get(tags::INSTALLATION) == ours.as_ref())
    }

    /// How many resources are remembered: those that were seen, and those of which only the id is
    /// kept. What is gone is remembered for two hours.
    #[must_use]
    pub fn remembers(&self) -> usize {
        self.seen.len() + self.gone.len() + self.touched.len() + self.forgotten.len()
    }

    /// Everything visible.
    pub fn all(&self) -> impl Iterator<Item = &Fact> {
        self.seen.values().filter(|seen| seen.missing.is_none()).map(|seen| &seen.fact)
    }
}

/// The node that a resource's tag names.
fn node_of(fact: &Fact) -> Option<NodeId> {
    fact.tags().get(tags::NODE).map(|node| NodeId(node.clone()))
}

fn pick<'a, T>(known: Known<&'a Fact>, of: impl Fn(&'a Fact) -> Option<&'a T>) -> Known<&'a T> {
    match known {
        Known::Present(fact) => of(fact).map_or(Known::Unknown, Known::Present),
        Known::Absent => Known::Absent,
        Known::Unknown => Known::Unknown,
    }
}
