//! Eventual consistency: for a while Describe does not know a new resource, or shows one as it was
//! before a change (EC2 developer guide, "Eventual consistency in the Amazon EC2 API").

use holdfast_model::Time;
use holdfast_model::facts::Fact;
use std::collections::BTreeMap;

/// What is shown instead of the truth, by id, and until when. `None` shows nothing.
#[derive(Debug, Default)]
pub(crate) struct Veil {
    covers: BTreeMap<String, (Option<Fact>, Time)>,
    swept: usize,
}

/// Covers below which none are swept away.
const FEW: usize = 256;

impl Veil {
    /// A new resource is not shown yet.
    pub(crate) fn hide(&mut self, id: &str, now: Time, until: Time) {
        self.cover(id, None, now, until);
    }

    /// A resource that is changed or goes is shown as it was. What is covered already stays
    /// covered as before, so that what is shown never goes backwards.
    pub(crate) fn keep(&mut self, before: Fact, now: Time, until: Time) {
        if until > now {
            let id = before.id().to_owned();
            self.cover(&id, Some(before), now, until);
        }
    }

    fn cover(&mut self, id: &str, fact: Option<Fact>, now: Time, until: Time) {
        if until <= now || self.get(id, now).is_some() {
            return;
        }
        self.covers.insert(id.to_owned(), (fact, until));
        if self.covers.len() > self.swept.max(FEW) * 2 {
            self.covers.retain(|_, (_, until)| *until > now);
            self.swept = self.covers.len();
        }
    }

    /// What is shown instead of the truth.
    pub(crate) fn get(&self, id: &str, now: Time) -> Option<Option<&Fact>> {
        let (fact, until) = self.covers.get(id)?;
        (*until > now).then_some(fact.as_ref())
    }

    /// Whether the cloud's other calls do not know it yet either.
    pub(crate) fn hides(&self, id: &str, now: Time) -> bool {
        self.get(id, now) == Some(None)
    }

    /// Ids after `after` that begin with `prefix` and are covered, in order.
    pub(crate) fn after<'a>(
        &'a self,
        after: &'a str,
        prefix: &'a str,
        now: Time,
    ) -> impl Iterator<Item = &'a String> {
        let from = after.max(prefix).to_owned();
        self.covers
            .range(from..)
            .take_while(move |(id, _)| id.starts_with(prefix))
            .filter(move |(id, (_, until))| id.as_str() > after && *until > now)
            .map(|(id, _)| id)
    }
}
