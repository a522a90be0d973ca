//! What Describe shows: the truth through the veil, in pages, in the order of ids.

use crate::world::World;
use holdfast_model::facts::{Fact, Page, Query, ResourceKind};
use holdfast_model::tags;
use holdfast_model::{ImageId, InstanceId, InterfaceId, SnapshotId, VolumeId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// EC2's name of the call that shows a kind.
pub(crate) fn action(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Instance => "DescribeInstances",
        ResourceKind::Volume => "DescribeVolumes",
        ResourceKind::Snapshot => "DescribeSnapshots",
        ResourceKind::Image => "DescribeImages",
        ResourceKind::Interface => "DescribeNetworkInterfaces",
    }
}

fn prefix(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Instance => "i-",
        ResourceKind::Volume => "vol-",
        ResourceKind::Snapshot => "snap-",
        ResourceKind::Image => "ami-",
        ResourceKind::Interface => "eni-",
    }
}

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
        let mut ids: BTreeSet<String> = if query.ids.is_empty() {
            self.ids_after(query.kind, after, limit)
        } else {
            let asked = |id: &&String| ResourceKind::of_id(id) == Some(query.kind);
            query.ids.iter().filter(asked).filter(|id| id.as_str() > after).cloned().collect()
        };
        let more = ids.len() > limit;
        while ids.len() > limit {
            ids.pop_last();
        }
        let next = more.then(|| ids.last().cloned()).flatten();
        let facts = ids
            .iter()
            .filter_map(|id| self.shown(id))
            .filter(|f| !query.ids.is_empty() || f.tags().contains_key(tags::INSTALLATION))
            .collect();
        Page { facts, next }
    }

    /// The first ids after `after`, of what is there and what is only still shown; more than
    /// `limit` if there are more.
    fn ids_after(&self, kind: ResourceKind, after: &str, limit: usize) -> BTreeSet<String> {
        fn of<K: Ord + for<'a> From<&'a str> + ToString, V>(
            table: &BTreeMap<K, V>,
            after: &str,
            most: usize,
        ) -> BTreeSet<String> {
            let from = (Bound::Excluded(K::from(after)), Bound::Unbounded);
            table.range(from).take(most).map(|(id, _)| id.to_string()).collect()
        }
        let most = limit.saturating_add(1);
        let mut ids = match kind {
            ResourceKind::Instance => of(&self.instances, after, most),
            ResourceKind::Volume => of(&self.volumes, after, most),
            ResourceKind::Snapshot => of(&self.snapshots, after, most),
            ResourceKind::Image => of(&self.images, after, most),
            ResourceKind::Interface => of(&self.interfaces, after, most),
        };
        ids.extend(self.veil.after(after, prefix(kind), self.now).take(most).cloned());
        ids
    }
}
