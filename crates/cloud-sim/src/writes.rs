//! A set of write numbers, kept as ranges: what a volume holds, or what was acknowledged.

use std::collections::BTreeMap;

/// Numbers as disjoint, merged ranges: first → last, both inclusive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Writes {
    ranges: BTreeMap<u64, u64>,
}

impl Writes {
    /// Adds `first..=last`; nothing if `last < first`.
    pub fn add(&mut self, first: u64, last: u64) {
        if last < first {
            return;
        }
        let (mut first, mut last) = (first, last);
        // Every range that begins at or before the end and reaches the beginning is merged.
        while let Some((&from, &to)) = self.ranges.range(..=last.saturating_add(1)).next_back() {
            if to.saturating_add(1) < first {
                break;
            }
            self.ranges.remove(&from);
            first = first.min(from);
            last = last.max(to);
        }
        self.ranges.insert(first, last);
    }

    /// The ranges, both ends inclusive.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    /// Adds all of another set.
    pub fn add_all(&mut self, other: &Writes) {
        for (&first, &last) in &other.ranges {
            self.add(first, last);
        }
    }

    /// Takes away all of another set.
    pub fn remove_all(&mut self, other: &Writes) {
        if !other.is_empty() {
            *self = self.without(other);
        }
    }

    /// What is here and not in the other set.
    #[must_use]
    pub fn without(&self, other: &Writes) -> Writes {
        let mut rest = Writes::default();
        for (&first, &last) in &self.ranges {
            let mut from = first;
            let before = other.ranges.range(..=first).next_back();
            let within = other.ranges.range(first.saturating_add(1)..=last.max(first + 1));
            for (&a, &b) in before.into_iter().chain(within) {
                if a > last {
                    break;
                }
                if a > from {
                    rest.add(from, a - 1);
                }
                from = from.max(b.saturating_add(1));
            }
            rest.add(from, last);
        }
        rest
    }

    /// Splits off the numbers up to `highest`.
    pub fn take_up_to(&mut self, highest: u64) -> Writes {
        let mut taken = Writes::default();
        for (first, last) in std::mem::take(&mut self.ranges) {
            taken.add(first, last.min(highest));
            self.add(first.max(highest.saturating_add(1)), last);
        }
        taken
    }

    /// Splits off the first `count` numbers.
    pub fn take_first(&mut self, count: u64) -> Writes {
        let mut left = count;
        let mut taken = Writes::default();
        for (first, last) in std::mem::take(&mut self.ranges) {
            let here = left.min(last - first + 1);
            if here > 0 {
                taken.add(first, first + here - 1);
            }
            left -= here;
            self.add(first + here, last);
        }
        taken
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The highest.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.ranges.last_key_value().map(|(_, last)| *last)
    }

    /// Whether all of another set is here.
    #[must_use]
    pub fn holds(&self, other: &Writes) -> bool {
        other.without(self).is_empty()
    }
}

impl std::fmt::Display for Writes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut first = true;
        for (from, to) in &self.ranges {
            f.write_str(if first { "" } else { "," })?;
            first = false;
            if from == to { write!(f, "{from}")? } else { write!(f, "{from}-{to}")? }
        }
        Ok(())
    }
}
