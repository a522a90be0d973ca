//! Calls that wait to leave, in lines: one for each action, for each action has a bucket of its
//! own, so that a call that may not leave keeps no other kind waiting. Within a line the more urgent
//! go first, then whoever came first. Nothing here looks through what only waits.

use super::buckets::Buckets;
use super::priority::Priority;
use holdfast_model::{CallState, Command, NodeId, Record, Row, Time, Token};
use std::collections::{BTreeMap, BTreeSet};

/// One call that should leave.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) node: NodeId,
    pub(super) row: Row,
    pub(super) name: String,
    pub(super) command: Command,
    priority: Priority,
    /// Its place among its equals: who came first.
    place: u64,
    /// Not in its line before.
    at: Time,
    pub(super) tries: u32,
    /// When it first left.
    pub(super) first_left: Option<Time>,
    /// When it last left.
    pub(super) left: Time,
    /// Since when it may have been done by an attempt whose answer never came.
    pub(super) unknown_since: Option<Time>,
    /// It left in one request with others.
    pub(super) together: bool,
    /// A request with others was refused: it leaves by itself.
    pub(super) alone: bool,
}

impl Waiting {
    pub(super) fn is_drain(&self) -> bool {
        matches!(self.command, Command::Drain { .. })
    }
}

type Line = BTreeSet<(Priority, u64, Token)>;

/// Calls by their tokens: waiting, or under way.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) buckets: Buckets,
    waiting: BTreeMap<Token, Waiting>,
    of_node: BTreeMap<NodeId, BTreeSet<Token>>,
    /// By action; none is empty.
    lines: BTreeMap<&'static str, Line>,
    /// Those that wait for a time, not for a bucket.
    later: BTreeSet<(Time, Token)>,
    under_way: BTreeMap<u64, (Token, Waiting)>,
    sent: BTreeSet<Token>,
    /// Calls under way that count against the limit.
    busy: usize,
    /// Tokens that an earlier process may have sent, last at the time given.
    suspects: BTreeMap<Token, Time>,
    came: u64,
    /// Nothing may leave at the moment, whatever the buckets hold.
    pub(super) held: bool,
}

impl Queue {
    pub(super) fn new(buckets: Buckets) -> Queue {
        Queue {
            buckets,
            waiting: BTreeMap::new(),
            of_node: BTreeMap::new(),
            lines: BTreeMap::new(),
            later: BTreeSet::new(),
            under_way: BTreeMap::new(),
            sent: BTreeSet::new(),
            busy: 0,
            suspects: BTreeMap::new(),
            came: 0,
            held: false,
        }
    }

    /// Every started call of a record that an earlier process committed may have left.
    pub(super) fn suspect(&mut self, record: &Record, now: Time) {
        for call in record.rows().flat_map(|(_, row)| row.calls.values()) {
            if call.state == CallState::Started {
                self.suspects.insert(call.token.clone(), now);
            }
        }
    }

    /// Takes in the started calls of a committed record, and drops what it no longer asks for.
    pub(super) fn offer(&mut self, node: &NodeId, record: &Record) {
        let kind = record.work.as_ref().map(|r| r.kind);
        for (row, state) in record.rows() {
            for (name, call) in state.open_calls() {
                if self.sent.contains(&call.token) || self.waiting.contains_key(&call.token) {
                    continue;
                }
                self.came += 1;
                let waiting = Waiting {
                    node: node.clone(),
                    row,
                    name: name.clone(),
                    command: call.command.clone(),
                    priority: kind.map_or(Priority::Backup, |kind| Priority::of(kind, row)),
                    place: self.came,
                    at: Time(0),
                    tries: 0,
                    first_left: None,
                    left: Time(0),
                    unknown_since: self.suspects.remove(&call.token),
                    together: false,
                    alone: false,
                };
                self.put(call.token.clone(), waiting, Time(0));
            }
        }
        self.keep_only(node, record);
    }

    /// Drops what a committed record no longer asks for. What it still asks for stays as it is: whether
    /// an attempt without an answer may have done it is known nowhere else.
    pub(super) fn keep_only(&mut self, node: &NodeId, record: &Record) {
        let open = record.rows().flat_map(|(_, row)| row.open_calls());
        let asked: BTreeSet<&Token> = open.map(|(_, call)| &call.token).collect();
        let waiting = self.of_node.get(node).into_iter().flatten();
        let dropped: Vec<Token> = waiting.filter(|t| !asked.contains(t)).cloned().collect();
        for token in dropped {
            self.remove(&token);
        }
    }

    /// Nothing of this node leaves any more.
    pub(super) fn withdraw(&mut self, node: &NodeId) {
        for token in self.of_node.get(node).cloned().unwrap_or_default() {
            self.remove(&token);
        }
    }

    /// Puts a call into its line, or to those that wait until `at`.
    pub(super) fn put(&mut self, token: Token, mut waiting: Waiting, at: Time) {
        waiting.at = at;
        self.of_node.entry(waiting.node.clone()).or_default().insert(token.clone());
        self.waiting.insert(token.clone(), waiting);
        self.later.insert((at, token));
    }

    /// Takes a call that waits in its line.
    pub(super) fn remove(&mut self, token: &Token) -> Option<Waiting> {
        let waiting = self.waiting.remove(token)?;
        if let Some(tokens) = self.of_node.get_mut(&waiting.node) {
            tokens.remove(token);
            if tokens.is_empty() {
                self.of_node.remove(&waiting.node);
            }
        }
        let action = waiting.command.action();
        let place = (waiting.priority, waiting.place, token.clone());
        let in_line = self.lines.get_mut(action).is_some_and(|line| line.remove(&place));
        if !in_line {
            self.later.remove(&(waiting.at, token.clone()));
        } else if self.lines.get(action).is_some_and(Line::is_empty) {
            // Every input looks through the lines.
            self.lines.remove(action);
        }
        Some(waiting)
    }

    /// Lets those go to their lines whose time has come.
    pub(super) fn ripen(&mut self, now: Time) {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, token)) = self.later.pop_first() else { return };
            if let Some(waiting) = self.waiting.get(&token) {
                let line = self.lines.entry(waiting.command.action()).or_default();
                line.insert((waiting.priority, waiting.place, token));
            }
        }
    }

    /// The call that leaves next, if any may leave: the most urgent that has a token, and which
    /// others may leave with it in one request.
    pub(super) fn next(&mut self, now: Time, at_once: usize) -> Option<Token> {
        if self.busy >= at_once {
            return None;
        }
        let mut best: Option<&(Priority, u64, Token)> = None;
        for (action, line) in &self.lines {
            let Some(first) = line.first() else { continue };
            if best.is_none_or(|b| (first.0, first.1) < (b.0, b.1))
                && self.buckets.room(action, now) > 0
            {
                best = Some(first);
            }
        }
        best.map(|(_, _, token)| token.clone())
    }

    /// Who is next in the line of an action, after those that have been taken.
    pub(super) fn first_of(&self, action: &str) -> Option<(&Token, &Waiting)> {
        let (_, _, token) = self.lines.get(action)?.first()?;
        self.waiting.get(token).map(|waiting| (token, waiting))
    }

    /// A call is under way.
    pub(super) fn leaves(&mut self, id: u64, token: Token, waiting: Waiting) {
        // Drains take as long as their scripts: they do not keep others waiting.
        self.busy += usize::from(!waiting.is_drain());
        self.sent.insert(token.clone());
        self.under_way.insert(id, (token, waiting));
    }

    /// A call is no longer under way.
    pub(super) fn returns(&mut self, id: u64) -> Option<(Token, Waiting)> {
        let (token, waiting) = self.under_way.remove(&id)?;
        self.busy -= usize::from(!waiting.is_drain());
        self.sent.remove(&token);
        Some((token, waiting))
    }

    /// When a waiting call may leave, as far as time decides it.
    pub(super) fn next_try(&self, at_once: usize) -> Option<Time> {
        let later = self.later.first().map(|(at, _)| *at);
        let held = self.held || self.busy >= at_once;
        let lines = self.lines.iter().filter(|_| !held);
        let tokens = lines.map(|(action, _)| self.buckets.next(action)).min();
        later.into_iter().chain(tokens).min()
    }

    /// How many calls are kept, waiting or under way.
    pub(super) fn kept(&self) -> usize {
        self.waiting.len() + self.under_way.len() + self.suspects.len()
    }

    /// How many calls wait to leave, by action.
    pub(super) fn lengths(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.lines.iter().map(|(action, line)| (*action, line.len()))
    }

    /// How many calls wait for a time.
    pub(super) fn later(&self) -> usize {
        self.later.len()
    }

    /// How many calls of an action wait to leave.
    pub(super) fn waiting(&self, action: &str) -> usize {
        self.lines.get(action).map_or(0, BTreeSet::len)
    }

    /// How many milliseconds until the longest line has left.
    pub(super) fn backlog(&self) -> u64 {
        let lines = self.lines.iter();
        lines.map(|(action, line)| self.buckets.takes(action, line.len())).max().unwrap_or(0)
    }
}
