//! What a soak found.

use super::action::Action;
use super::field::{NodeFigures, Outcome};
use super::ledger::Ledger;
use crate::trial::Spread;
use crate::trial::control::Control;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// What came of one kind of action.
#[derive(Debug, Clone, Serialize)]
pub struct Tally {
    /// What was done.
    pub action: &'static str,
    /// How often.
    pub tried: usize,
    /// How long the nodes were away.
    pub blackout_ms: Option<Spread>,
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What chance began with.
    pub seed: u64,
    /// How long it was played.
    pub seconds: u64,
    /// By action.
    pub actions: Vec<Tally>,
    /// By node.
    pub nodes: Vec<NodeFigures>,
    /// The control.
    pub control: Control,
    /// What there was before the first node.
    pub before: Ledger,
    /// What there was after the last was deleted.
    pub after: Ledger,
    /// What was still there after the installation was removed.
    pub left_at_the_end: Vec<String>,
}

/// By action, in their order.
pub fn tally(outcomes: &[Outcome]) -> Vec<Tally> {
    let of = |action: Action| {
        let these = || outcomes.iter().filter(move |o| o.action == action);
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let away: Vec<i64> = these().filter_map(|o| o.away).map(millis).collect();
        Tally {
            action: action.name(),
            tried: these().count(),
            blackout_ms: (!away.is_empty()).then(|| Spread::of(away)),
        }
    };
    Action::ALL.iter().map(|(action, _)| of(*action)).collect()
}

impl Report {
    /// Whether nothing was lost, nothing changed that was to be kept, nothing is left over, and the
    /// control shows that this means something.
    pub fn is_good(&self) -> bool {
        let sound = |n: &NodeFigures| n.acked > 0 && n.lost == 0 && n.address_kept != Some(false);
        self.nodes.iter().all(sound)
            && !self.nodes.is_empty()
            && self.control.lost > 0
            && self.leaks().is_empty()
    }

    fn leaks(&self) -> Vec<String> {
        let mut leaks = self.after.differences(&self.before);
        leaks.extend(self.left_at_the_end.iter().cloned());
        leaks
    }

    /// Writes it.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        std::fs::write(path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))
    }

    /// For people.
    pub fn tables(&self) -> String {
        let mut actions = table(&["WHAT WAS DONE", "TIMES", "AWAY MS MIN", "MEDIAN", "MAX"]);
        for tally in &self.actions {
            let away = tally.blackout_ms.map_or(["-".to_owned(), "-".into(), "-".into()], |s| {
                [s.min, s.median, s.max].map(|n| n.to_string())
            });
            let mut row = vec![tally.action.to_owned(), tally.tried.to_string()];
            row.extend(away);
            actions.add_row(row);
        }
        let mut nodes = table(&["NODE", "ACKNOWLEDGED", "LOST", "INSTANCES", "ADDRESS"]);
        for node in &self.nodes {
            nodes.add_row(vec![
                node.name.clone(),
                node.acked.to_string(),
                node.lost.to_string(),
                node.instances.to_string(),
                match node.address_kept {
                    None => "roams",
                    Some(true) => "kept",
                    Some(false) => "CHANGED",
                }
                .to_owned(),
            ]);
        }
        let mut left = table(&["ON THE HOST", "BEFORE", "AFTER"]);
        for ((name, before), (_, after)) in
            self.before.counts().into_iter().zip(self.after.counts())
        {
            left.add_row(vec![name.to_owned(), before.to_string(), after.to_string()]);
        }
        format!("{actions}\n\n{nodes}\n\n{left}\n")
    }

    /// In a sentence.
    pub fn verdict(&self) -> String {
        let acked: usize = self.nodes.iter().map(|n| n.acked).sum();
        let lost: usize = self.nodes.iter().map(|n| n.lost).sum();
        let done: usize = self.actions.iter().map(|a| a.tried).sum();
        let mut text = format!(
            "{done} actions in {} s (seed {}): {lost} of {acked} acknowledged writes lost. {}.",
            self.seconds,
            self.seed,
            self.control.sentence()
        );
        let leaks = self.leaks();
        if leaks.is_empty() {
            text.push_str(" Nothing is left over.");
        }
        for leak in leaks {
            text.push_str(&format!("\nLEFT OVER: {leak}"));
        }
        for node in self.nodes.iter().filter(|n| n.address_kept == Some(false)) {
            text.push_str(&format!("\nCHANGED: the address of {}", node.name));
        }
        text
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.to_vec());
    table
}
