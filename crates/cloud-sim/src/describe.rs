//! What Describe shows: the truth through the veil, in pages, in the order of ids.

use crate::resources::{Image, Instance, Interface, Snapshot, Volume};
use crate::world::World;
use holdfast_model::facts::{Fact, Page, Query, ResourceKind};
use holdfast_model::tags;
use holdfast_model::{ImageId, InstanceId, InterfaceId, SnapshotId, VolumeId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

impl World {
    /// What there truly is of that id.
    pub(crate) fn truly(&self, id: &str) -> Option<Fact> {
        match ResourceKind::of_id(id)? {
            ResourceKind::Instance => self.instances.get(&InstanceId::from(id)).map(|i| i.shown()),
            ResourceKind::Volume => self.volumes.get(&VolumeId::from(id)).map(|v| v.shown()),
            ResourceKind::Snapshot => self.snapshots.get(&SnapshotId::from(id)).map(|s| s.shown()),
            ResourceKind::Image => self.images.get(&ImageId::from(id)).map(|i| i.shown()),
            ResourceKind::Interface => {
                self.interfaces.get(&InterfaceId::from(id)).map(|i| i.shown())
            }
        }
    }

    fn shown(&self, id: &str) -> Option<Fact> {
        match self.veil.get(id, self.now) {
            Some(instead) => instead.cloned(),
            None => self.truly(id),
        }
    }

    /// One page. As at EC2, a page may hold fewer facts than its limit, or none, and still name a
    /// next one.
    pub(crate) fn describe(&self, query: &Query) -> Page {
        let after = query.page.as_deref().unwrap_or_default();
        let limit = self.config.page.max(1);
        if query.ids.is_empty() {
            return match query.kind {
                ResourceKind::Instance => {
                    self.sweep(&self.instances, after, query.kind, Instance::shown)
                }
                ResourceKind::Volume => self.sweep(&self.volumes, after, query.kind, Volume::shown),
                ResourceKind::Snapshot => {
                    self.sweep(&self.snapshots, after, query.kind, Snapshot::shown)
                }
                ResourceKind::Image => self.sweep(&self.images, after, query.kind, Image::shown),
                ResourceKind::Interface => {
                    self.sweep(&self.interfaces, after, query.kind, Interface::shown)
                }
            };
        }
        let asked = |id: &&String| ResourceKind::of_id(id) == Some(query.kind);
        let ids: BTreeSet<&String> =
            query.ids.iter().filter(asked).filter(|id| id.as_str() > after).collect();
        let next = (ids.len() > limit).then(|| ids.iter().nth(limit - 1).map(|id| (*id).clone()));
        let facts = ids.into_iter().take(limit).filter_map(|id| self.shown(id)).collect();
        Page { facts, next: next.flatten() }
    }

    /// One page of everything of a kind with our tags: what is there, and what is only still shown.
    fn sweep<K, V>(
        &self,
        table: &BTreeMap<K, V>,
        after: &str,
        kind: ResourceKind,
        shown: impl Fn(&V) -> Fact,
    ) -> Page
    where
        K: Ord + for<'a> From<&'a str> + AsRef<str>,
    {
        let from = (Bound::Excluded(K::from(after)), Bound::Unbounded);
        let mut there = table.range(from).peekable();
        let mut covers = self.veil.after(after, kind.prefix(), self.now).peekable();
        let mut page = Page::default();
        let mut last: Option<&str> = None;
        for _ in 0..self.config.page.min(self.config.sweep_page).max(1) {
            let next = there.peek().map(|(id, _)| id.as_ref());
            let covered = covers.next_if(|(id, _)| next.is_none_or(|next| id.as_str() <= next));
            let (id, fact) = match covered {
                Some((id, instead)) => {
                    there.next_if(|(other, _)| other.as_ref() == id.as_str());
                    (id.as_str(), instead.cloned())
                }
                None => match there.next() {
                    Some((id, value)) => (id.as_ref(), Some(shown(value))),
                    None => return page,
                },
            };
            last = Some(id);
            page.facts.extend(fact.filter(|f| f.tags().contains_key(tags::INSTALLATION)));
        }
        if there.peek().is_some() || covers.peek().is_some() {
            page.next = last.map(str::to_owned);
        }
        page
    }
}
