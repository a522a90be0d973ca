//! What the tags of a resource say of its maker.

use holdfast_model::facts::Fact;
use holdfast_model::{Epoch, tags};

/// The generation that a resource was made for, by its tag.
#[must_use]
pub fn generation(fact: &Fact) -> Option<u64> {
    fact.tags().get(tags::GENERATION)?.parse().ok()
}

/// The epoch that a resource was made in, by its tag.
#[must_use]
pub fn epoch(fact: &Fact) -> Option<Epoch> {
    Epoch::read(fact.tags().get(tags::EPOCH)?)
}
