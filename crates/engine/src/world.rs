//! What is known of the cloud: each fact with the time at which its read was *asked*, and how
//! certain it is.
//!
//! Three things must not be confused: a resource that is not visible *yet*, one that has
//! vanished, and one that never existed. Only time tells them apart, so absence is believed when
//! a read that was asked a whole consistency window after the last sighting (and after the last
//! command on that resource) did not show it.

use holdfast_model::facts::{
    Fact, ImageFact, InstanceFact, InstanceState, InterfaceFact, ResourceKind, SnapshotFact,
    VolumeFact,
};
use holdfast_model::{Installation, NodeId, Reply, Time, tags};
use holdfast_model::{Known, time::HOUR};
use std::collections::{BTreeMap, BTreeSet};

/// How long a resource that is gone is remembered as such.
const REMEMBER_GONE: u64 = 2 * HOUR;

#[derive(Debug, Clone)]
struct Seen {
    fact: Fact,
    /// When the read that showed it was asked.
    asked: Time,
    /// When the newest read that should have shown it, and did not, was asked.
    missing: Option<Time>,
}

impl Seen {
    /// Whether it is a surprise that it no longer shows. Terminated instances go after an hour.
    fn vanishes(&self) -> bool {
        let over = matches!(&self.fact, Fact::Instance(i) if i.state == InstanceState::Terminated);
        self.missing.is_none() && !over
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
    seen: BTreeMap<String, Seen>,
    gone: BTreeMap<String, Time>,
    touched: BTreeMap<String, Time>,
    sweeps: BTreeMap<ResourceKind, Sweeps>,
    by_node: BTreeMap<NodeId, BTreeSet<String>>,
    changed: BTreeSet<NodeId>,
}

impl World {
    /// Nothing has been seen yet; `window` is the cloud's consistency window in milliseconds.
    #[must_use]
    pub fn new(window: u64) -> World {
        World { window, ..World::default() }
    }

    /// A command on this resource leaves or returns at `at`: what was asked before proves nothing.
    pub fn touch(&mut self, id: &str, at: Time) {
        let last = self.touched.entry(id.to_owned()).or_default();
        *last = (*last).max(at);
    }

    /// Takes in a command's reply: the facts that it established at `now`.
    pub fn absorb_reply(&mut self, reply: &Reply, now: Time) {
        for fact in &reply.facts {
            self.touch(fact.id(), now);
            self.see(fact.clone(), now);
        }
        for id in &reply.gone {
            self.touch(id, now);
            self.forget(id);
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
        for fact in facts {
            self.see(fact, asked);
        }
    }

    /// A sweep of one kind, whose first page was asked at `asked`, is complete: what it should
    /// have shown and did not is missing. Returns what was missed for the first time.
    pub fn complete_sweep(&mut self, kind: ResourceKind, asked: Time) -> Vec<String> {
        let missing: Vec<String> = self
            .seen
            .iter()
            .filter(|(_, seen)| seen.fact.kind() == kind && seen.asked < asked)
            // A sweep shows only what carries our tags; the rest is read by id.
            .filter(|(_, seen)| seen.fact.tags().contains_key(tags::INSTALLATION))
            .map(|(id, _)| id.clone())
            .collect();
        let mut newly = Vec::new();
        for id in missing {
            let surprising = self.seen.get(&id).is_some_and(Seen::vanishes);
            self.miss(&id, asked);
            if surprising {
                newly.push(id);
            }
        }
        let sweeps = self.sweeps.entry(kind).or_insert(Sweeps { first: asked, last: asked });
        sweeps.last = sweeps.last.max(asked);
        self.gone.retain(|_, at| asked.since(*at) < REMEMBER_GONE);
        self.touched.retain(|_, at| asked.since(*at) < REMEMBER_GONE);
        let forgotten: Vec<String> = self
            .seen
            .iter()
            .filter(|(_, s)| s.missing.is_some_and(|m| m.since(s.asked) > REMEMBER_GONE))
            .map(|(id, _)| id.clone())
            .collect();
        for id in forgotten {
            self.forget(&id);
            self.gone.insert(id, asked);
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
        if self.gone.contains_key(fact.id()) {
            return;
        }
        if let Some(seen) = self.seen.get_mut(fact.id()) {
            if seen.asked > asked {
                return;
            }
            if seen.fact == fact && seen.missing.is_none() {
                // Most of a sweep shows nothing new: that costs no more than this.
                let touched = self.touched.get(fact.id()).copied().unwrap_or_default();
                let certain = seen.asked >= touched;
                seen.asked = asked;
                if let (false, Some(node)) = (certain, fact.tags().get(tags::NODE)) {
                    self.changed.insert(NodeId(node.clone()));
                }
                return;
            }
        }
        let id = fact.id().to_owned();
        if let Some(node) = fact.tags().get(tags::NODE) {
            let node = NodeId(node.clone());
            self.by_node.entry(node.clone()).or_default().insert(id.clone());
            self.changed.insert(node);
        }
        self.seen.insert(id, Seen { fact, asked, missing: None });
    }

    fn miss(&mut self, id: &str, asked: Time) {
        // Who knows that it is gone learns nothing new from one more look.
        let was_gone = self.known(id).is_absent();
        if let Some(seen) = self.seen.get_mut(id)
            && asked > seen.asked
        {
            if !was_gone && let Some(node) = seen.fact.tags().get(tags::NODE) {
                self.changed.insert(NodeId(node.clone()));
            }
            seen.missing = Some(seen.missing.unwrap_or_default().max(asked));
        }
    }

    fn forget(&mut self, id: &str) {
        if let Some(seen) = self.seen.remove(id)
            && let Some(node) = seen.fact.tags().get(tags::NODE)
            && let Some(ids) = self.by_node.get_mut(&NodeId(node.clone()))
        {
            ids.remove(id);
            if ids.is_empty() {
                self.by_node.remove(&NodeId(node.clone()));
            }
        }
    }

    pub(crate) fn known(&self, id: &str) -> Known<&Fact> {
        if self.gone.contains_key(id) {
            return Known::Absent;
        }
        let touched = self.touched.get(id).copied().unwrap_or_default();
        let Some(seen) = self.seen.get(id) else {
            let swept = ResourceKind::of_id(id).and_then(|kind| self.sweeps.get(&kind));
            return match swept {
                Some(s)
                    if s.last.since(s.first) >= self.window
                        && s.last >= s.first.max(touched).plus(self.window) =>
                {
                    Known::Absent
                }
                _ => Known::Unknown,
            };
        };
        match seen.missing {
            None if seen.asked >= touched => Known::Present(&seen.fact),
            None => Known::Unknown,
            Some(missing) if missing >= seen.asked.max(touched).plus(self.window) => Known::Absent,
            Some(_) => Known::Unknown,
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
        pick(self.known(id), |f| if let Fact::Instance(x) = f { Some(x) } else { None })
    }

    /// What is known of a volume.
    #[must_use]
    pub fn volume(&self, id: &str) -> Known<&VolumeFact> {
        pick(self.known(id), |f| if let Fact::Volume(x) = f { Some(x) } else { None })
    }

    /// What is known of a snapshot.
    #[must_use]
    pub fn snapshot(&self, id: &str) -> Known<&SnapshotFact> {
        pick(self.known(id), |f| if let Fact::Snapshot(x) = f { Some(x) } else { None })
    }

    /// What is known of an image.
    #[must_use]
    pub fn image(&self, id: &str) -> Known<&ImageFact> {
        pick(self.known(id), |f| if let Fact::Image(x) = f { Some(x) } else { None })
    }

    /// What is known of an interface.
    #[must_use]
    pub fn interface(&self, id: &str) -> Known<&InterfaceFact> {
        pick(self.known(id), |f| if let Fact::Interface(x) = f { Some(x) } else { None })
    }

    /// What is visible with a node's tag (terminated instances too), in the order of ids.
    pub fn of_node(&self, node: &NodeId) -> impl Iterator<Item = &Fact> {
        self.by_node
            .get(node)
            .into_iter()
            .flatten()
            .filter_map(|id| self.seen.get(id))
            .filter(|seen| seen.missing.is_none())
            .map(|seen| &seen.fact)
            // A tag may have been taken off since.
            .filter(|fact| fact.tags().get(tags::NODE).map(String::as_str) == Some(node.as_str()))
    }

    /// What is visible with a node's tag and our own, in the order of ids. What another
    /// installation made for a node of the same id is none of our business.
    pub fn ours(&self, node: &NodeId, installation: &Installation) -> impl Iterator<Item = &Fact> {
        let ours = Some(installation.0.clone());
        self.of_node(node).filter(move |f| f.tags().get(tags::INSTALLATION) == ours.as_ref())
    }

    /// Everything visible.
    pub fn all(&self) -> impl Iterator<Item = &Fact> {
        self.seen.values().filter(|seen| seen.missing.is_none()).map(|seen| &seen.fact)
    }
}

fn pick<'a, T>(known: Known<&'a Fact>, of: impl Fn(&'a Fact) -> Option<&'a T>) -> Known<&'a T> {
    match known {
        Known::Present(fact) => of(fact).map_or(Known::Unknown, Known::Present),
        Known::Absent => Known::Absent,
        Known::Unknown => Known::Unknown,
    }
}
