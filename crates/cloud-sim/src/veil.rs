//! Eventual consistency: for a while Describe does not know a new resource, or shows one as it was
//! before a change (EC2 developer guide, "Eventual consistency in the Amazon EC2 API").

use holdfast_model::Time;
use holdfast_model::facts::Fact;
use std::collections::BTreeMap;

/// What is shown instead of the truth, by id, and until when. `None` shows nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Veil {
    covers: BTreeMap<String, Cover>,
    swept: usize,
}

#[derive(Debug, Clone)]
struct Cover {
    instead: Option<Fact>,
    until: Time,
    /// Now it is shown so, now as it is: replicas differ.
    wavers: bool,
}

impl Cover {
    fn covers(&self, id: &str, now: Time) -> bool {
        let turn = now.0 / WAVE + id.bytes().map(u64::from).sum::<u64>();
        self.until > now && !(self.wavers && turn.is_multiple_of(2))
    }
}

/// How long one replica answers before another does, in milliseconds.
const WAVE: u64 = 1_700;
/// Covers below which none are swept away.
const FEW: usize = 256;

impl Veil {
    /// A new resource is not shown yet.
    pub(crate) fn hide(&mut self, id: &str, now: Time, until: Time, wavers: bool) {
        self.cover(id, None, now, until, wavers);
    }

    /// A resource that is changed or goes is shown as it was. What is covered already stays
    /// covered as before, so that what is shown never goes further back.
    pub(crate) fn keep(&mut self, before: Fact, now: Time, until: Time, wavers: bool) {
        if until > now {
            let id = before.id().to_owned();
            self.cover(&id, Some(before), now, until, wavers);
        }
    }

    fn cover(&mut self, id: &str, instead: Option<Fact>, now: Time, until: Time, wavers: bool) {
        if until <= now || self.covers.get(id).is_some_and(|c| c.until > now) {
            return;
        }
        self.covers.insert(id.to_owned(), Cover { instead, until, wavers });
        if self.covers.len() > self.swept.max(FEW) * 2 {
            self.covers.retain(|_, cover| cover.until > now);
            self.swept = self.covers.len();
        }
    }

    /// What is shown instead of the truth.
    pub(crate) fn get(&self, id: &str, now: Time) -> Option<Option<&Fact>> {
        let cover = self.covers.get(id)?;
        cover.covers(id, now).then_some(cover.instead.as_ref())
    }

    /// Whether the cloud's other calls do not know it yet either.
    pub(crate) fn hides(&self, id: &str, now: Time) -> bool {
        self.get(id, now) == Some(None)
    }

    /// Ids after `after` that begin with `prefix` and are covered, in order, and what is shown
    /// instead.
    pub(crate) fn after<'a>(
        &'a self,
        after: &'a str,
        prefix: &'a str,
        now: Time,
    ) -> impl Iterator<Item = (&'a String, Option<&'a Fact>)> {
        let from = after.max(prefix).to_owned();
        self.covers
            .range(from..)
            .take_while(move |(id, _)| id.starts_with(prefix))
            .filter(move |(id, cover)| id.as_str() > after && cover.covers(id, now))
            .map(|(id, cover)| (id, cover.instead.as_ref()))
    }
}
