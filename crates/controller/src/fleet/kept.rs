//! What the fleet keeps in memory, counted.

use super::Fleet;
use holdfast_model::NodeId;

impl Fleet {
    /// Lets a node's runner go, and what is remembered of what it waited for.
    pub(super) fn forget_runner(&mut self, node: &NodeId) {
        if let Some(runner) = self.runners.remove(node) {
            self.reads.watch(node, &runner.watch, &[]);
        }
        self.reads.await_sweep(node, false);
        self.waiting.remove(node);
    }

    /// How many things are kept in memory, whatever they are: what a node that is gone leaves
    /// behind, goes too.
    #[must_use]
    pub fn kept(&self) -> usize {
        let nodes = self.runners.len() + self.dirty.len() + self.waiting.len();
        let plans = self.wakes.len() + self.commits.len();
        nodes + plans + self.world.remembers() + self.queue.kept() + self.reads.kept()
    }
}
