//! What is to happen at single deeds of the controller.

use super::Simulation;
use crate::crash::Side;
use crate::digest::Digest;
use crate::upset::{Deed, Upset};
use holdfast_cloud_sim::When;
use holdfast_controller::Effect;
use holdfast_model::facts::{Fact, Page, Query};
use holdfast_model::time::SECOND;
use holdfast_model::{CloudError, Lifecycle, NodeId, Time, tags};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long before an instance is taken back its notice is sent, in milliseconds.
const NOTICE: u64 = 120 * SECOND;
/// How far a stale look is behind at most, in milliseconds: less than the half minute that Holdfast
/// allows EC2.
const STALE: u64 = 20 * SECOND;
/// The most looks that are remembered.
const MOST_LOOKS: usize = 256;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Upsets {
    /// What is to happen, by the number of the deed.
    pub planned: BTreeMap<u64, Upset>,
    /// How many deeds there have been.
    pub deeds: u64,
    /// What they were since this was last taken; nothing is noted where there is `None`.
    pub noted: Option<Vec<(u64, Deed)>>,
    /// What looks have shown, where looks may be stale.
    pub(super) shown: Option<BTreeMap<String, (Time, Page)>>,
}

impl Upsets {
    /// From now on deeds are noted, and looks are remembered.
    pub fn begin(&mut self) {
        self.noted = Some(Vec::new());
        self.shown = Some(BTreeMap::new());
    }

    /// The controller has died: its looks are over.
    pub(super) fn forget(&mut self) {
        if let Some(shown) = &mut self.shown {
            shown.clear();
        }
    }
}

impl Simulation {
    /// A deed is about to be done: takes note of it, and says what happens to it.
    pub(super) fn deed(&mut self, effect: &Effect) -> Option<Upset> {
        let deed = match effect {
            Effect::Commit { .. } => Deed::Commit,
            Effect::Call { calls } => {
                Deed::Call(calls.first().map_or("nothing", |c| c.command.action()))
            }
            Effect::Observe { .. } => Deed::Look,
            Effect::Answer { .. } | Effect::Show(_) => return None,
        };
        self.upsets.deeds += 1;
        let number = self.upsets.deeds;
        if let Some(noted) = &mut self.upsets.noted {
            noted.push((number, deed));
        }
        let upset = self.upsets.planned.remove(&number)?;
        self.note(|| format!("FAULT {} to the {}", upset.name(), deed.name()));
        if let (Some(fault), Effect::Call { calls }) = (upset.fault(), effect) {
            // A request is lost or refused whole.
            let all = When::Matches(Arc::new(|_| true), calls.len() as u32);
            self.cloud.faults().add(all, fault);
        }
        Some(upset)
    }

    /// What happens to the node's instances as its request leaves.
    pub(super) fn strike(&mut self, upset: Option<Upset>, node: &NodeId) {
        let Some(upset) = upset else { return };
        let mut living = self.cloud.living(node);
        living.sort_by_key(|id| match self.cloud.truly(id.as_str()) {
            Some(Fact::Instance(i)) => {
                i.tags.get(tags::GENERATION).and_then(|g| g.parse::<u64>().ok())
            }
            _ => None,
        });
        match upset {
            Upset::InstanceDies => {
                if let Some(first) = living.first() {
                    self.cloud.kill(self.now, first);
                }
            }
            Upset::NextDies => {
                if let [_, .., last] = living.as_slice() {
                    self.cloud.kill(self.now, last);
                }
            }
            Upset::Notice => {
                let Some(last) = living.last() else { return };
                let is_spot = matches!(self.cloud.truly(last.as_str()), Some(Fact::Instance(i))
                    if i.lifecycle == Lifecycle::Spot);
                if is_spot {
                    self.cloud.interrupt(self.now, last, Some(NOTICE));
                }
            }
            _ => {}
        }
    }

    /// A look, and what happens to it.
    pub(super) fn look(
        &mut self,
        query: &Query,
        upset: Option<Upset>,
    ) -> (Time, Result<Page, CloudError>) {
        if upset == Some(Upset::LookLost) {
            self.cloud.faults().lose_look();
        }
        let (at, result) = self.cloud.observe(self.now, query);
        let Some(shown) = &mut self.upsets.shown else { return (at, result) };
        let (now, key) = (self.now, format!("{query:?}"));
        shown.retain(|_, (asked, _)| now.since(*asked) <= STALE);
        let result = match (result, shown.get(&key)) {
            (Ok(_), Some((_, before))) if upset == Some(Upset::LookStale) => Ok(before.clone()),
            (Ok(page), _) => {
                if shown.len() < MOST_LOOKS {
                    shown.insert(key, (now, page.clone()));
                }
                Ok(page)
            }
            (Err(e), _) => Err(e),
        };
        (at, result)
    }

    /// On which side of a deed the controller dies.
    pub(super) fn side(upset: Option<Upset>) -> Option<Side> {
        match upset? {
            Upset::DiesBefore => Some(Side::Before),
            Upset::DiesAfter => Some(Side::After),
            _ => None,
        }
    }

    /// The fingerprint of everything that decides what happens from now on, but for what chance
    /// will draw: it stands for the same instant, the same durable records, the same cloud with its
    /// ground truth, and the same memory of the controller with what is on its way to it. So two
    /// simulations with the same one can do the same from now on, and differ at most in how many
    /// milliseconds an answer takes and in what a power cut loses of what nobody was promised.
    ///
    /// Of a dead controller only what is durable and what it has not heard yet counts: its memory
    /// and what was on its way to it are lost.
    #[must_use]
    pub fn likeness(&self) -> u64 {
        let mut digest = Digest::default();
        digest.number(self.now.0);
        for stored in self.stored() {
            digest.bytes(stored.as_bytes());
        }
        digest.debug(&(self.skew, self.dead_until, self.stalled_until, &self.dooms));
        digest.debug(&(&self.unheard, &self.upsets.planned));
        if self.dead_until.is_none() {
            digest.debug(&(&self.wake, &self.messages, &self.upsets.shown));
            // Writing into a digest cannot fail.
            let _ = self.fleet.write_likeness(&mut digest);
        }
        let _ = self.watch.write_likeness(&mut digest);
        let _ = self.cloud.write_likeness(&mut digest);
        digest.value()
    }

    /// What is durable, as it is stored.
    fn stored(&self) -> Vec<String> {
        use holdfast_store::Store;
        let records = self.store.load().unwrap_or_default();
        let records = records.into_iter().map(|r| format!("{} {} {}", r.node, r.revision, r.json));
        let standing = self.store.settings();
        records.chain(standing).collect()
    }
}
