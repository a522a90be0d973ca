//! The numbers of the node's generations: each launch has one of its own.

use serde::{Deserialize, Serialize};

/// Which generations the node has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Generations {
    /// The generation that holds the identity, or held it last; none before the first launch.
    current: Option<u64>,
    /// The highest number that was ever given to a launch that may have left and has not become
    /// the node's generation (yet).
    promised: Option<u64>,
    /// The newest generation that became ready, where it is known.
    ready: Option<u64>,
}

impl Generations {
    /// Of a node whose newest generation is this one.
    #[must_use]
    pub fn at(number: u64) -> Generations {
        Generations { current: Some(number), promised: None, ready: None }
    }

    /// The generation that holds the identity, or held it last; none before the first launch.
    #[must_use]
    pub fn current(self) -> Option<u64> {
        self.current
    }

    /// The highest number that was given to a launch beside the node's own.
    #[must_use]
    pub fn promised(self) -> Option<u64> {
        self.promised
    }

    /// The newest generation that became ready, where it is known.
    #[must_use]
    pub fn ready(self) -> Option<u64> {
        self.ready
    }

    /// Whether the node's generation has become ready; one that nobody noted counts as ready.
    #[must_use]
    pub fn has_been_ready(self, generation: u64) -> bool {
        self.ready.is_none_or(|ready| ready == generation)
    }

    /// A launch leaves that gets the identity. Returns its number, which nothing has had.
    pub fn launch(&mut self) -> u64 {
        let next = self.newest() + 1;
        self.current = Some(next);
        next
    }

    /// A launch leaves that may get the identity later. Returns its number, which nothing has had.
    pub fn promise(&mut self) -> u64 {
        let next = self.newest() + 1;
        self.promised = Some(next);
        next
    }

    /// The instance that was launched beside gets the identity. Its number is the promised one where
    /// it cannot be told.
    pub fn hand_over(&mut self, to: Option<u64>) {
        self.current = to.or(self.promised);
    }

    /// A launch was definitely refused: the generation before it is the node's again.
    pub fn take_back(&mut self, before: Option<u64>) {
        self.current = before;
    }

    /// The node's generation has become ready.
    pub fn note_ready(&mut self) {
        self.ready = self.current;
    }

    /// The cloud shows this generation: no later launch has its number.
    pub fn at_least(&mut self, seen: Option<u64>) {
        self.current = self.current.max(seen);
    }

    /// The number that stands in tags, tokens and on the wire: 0 before the first launch.
    #[must_use]
    pub fn number(self) -> u64 {
        self.current.unwrap_or_default()
    }

    /// The highest number that was ever given to a launch, 0 before the first: no number is given
    /// twice.
    #[must_use]
    pub fn newest(self) -> u64 {
        self.number().max(self.promised.unwrap_or_default())
    }

    /// Whether the node has never had an instance.
    #[must_use]
    pub fn is_first(self) -> bool {
        self.current.is_none()
    }
}
