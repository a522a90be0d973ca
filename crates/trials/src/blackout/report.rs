//! What the benchmark found.

use super::pair::{Half, Kind, Order, Pair};
use crate::trial::Spread;
use crate::trial::workload::Workload;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// One server, one way of losing the machine, one order. Where both orders are measured, that which
/// nodes have by themselves comes first.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The server.
    pub name: String,
    /// How the machine was lost.
    pub kind: Kind,
    /// In which order the replacement went.
    pub order: Order,
    /// Whether the node keeps its root volume.
    pub keeps_root: bool,
    /// How many pairs.
    pub pairs: usize,
    /// Holdfast's replacement: from the last acknowledgement before to the first after.
    pub blackout_ms: Spread,
    /// The bare restart, measured by the same client in the same way.
    pub bare_ms: Spread,
    /// The differences of the pairs.
    pub own_share_ms: Spread,
    /// Where the replacement's time goes, at the median; rows may overlap.
    pub rows_ms: BTreeMap<String, i64>,
    /// Where the bare restart's time goes, at the median.
    pub bare_rows_ms: BTreeMap<String, i64>,
    /// Writes that this server acknowledged in all.
    pub acked: usize,
    /// Of these, lost.
    pub lost: usize,
    #[serde(skip)]
    row_names: Vec<String>,
    #[serde(skip)]
    bare_row_names: Vec<String>,
}

impl Entry {
    /// Of some pairs.
    pub fn of(
        workload: Workload,
        kind: Kind,
        (order, keeps_root): (Order, bool),
        pairs: &[Pair],
    ) -> Entry {
        let holdfast: Vec<&Half> = pairs.iter().map(|p| &p.holdfast).collect();
        let bare: Vec<&Half> = pairs.iter().map(|p| &p.bare).collect();
        let own = pairs.iter().map(|p| millis(p.holdfast.blackout) - millis(p.bare.blackout));
        let (row_names, rows_ms) = medians(&holdfast);
        let (bare_row_names, bare_rows_ms) = medians(&bare);
        Entry {
            name: workload.name().to_owned(),
            kind,
            order,
            keeps_root,
            pairs: pairs.len(),
            blackout_ms: Spread::of(holdfast.iter().map(|h| millis(h.blackout))),
            bare_ms: Spread::of(bare.iter().map(|h| millis(h.blackout))),
            own_share_ms: Spread::of(own),
            rows_ms,
            bare_rows_ms,
            acked: 0,
            lost: 0,
            row_names,
            bare_row_names,
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The median of each row, and the rows in their order.
fn medians(halves: &[&Half]) -> (Vec<String>, BTreeMap<String, i64>) {
    let mut names: Vec<String> = Vec::new();
    let mut lengths: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for half in halves {
        for (name, length) in &half.rows {
            if !names.contains(name) {
                names.push(name.clone());
            }
            lengths.entry(name.clone()).or_default().push(millis(*length));
        }
    }
    let medians = lengths.into_iter().map(|(n, all)| (n, Spread::of(all).median)).collect();
    (names, medians)
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Pairs of each.
    pub rounds: usize,
    /// What the servers wrote right before each loss, in MiB.
    pub behind_mib: u64,
    /// The figures.
    pub workloads: Vec<Entry>,
}

impl Report {
    /// Whether every acknowledged write was there at the end.
    pub fn nothing_lost(&self) -> bool {
        self.workloads.iter().all(|e| e.acked > 0 && e.lost == 0)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = self.figures().to_string();
        if self.behind_mib > 0 {
            let behind = self.behind_mib;
            text.push_str(&format!("\n\nRight before each loss the servers wrote {behind} MiB."));
        }
        text.push_str("\n\nWhere the time goes (median, ms; rows may overlap)\n");
        for entry in &self.workloads {
            let Entry { name, kind, .. } = entry;
            let (order, kind) = (entry.order.name(), kind.name());
            let rows = listed(&entry.row_names, &entry.rows_ms);
            text.push_str(&format!("  {name}, {kind}, {order}: {rows}\n"));
            let rows = listed(&entry.bare_row_names, &entry.bare_rows_ms);
            text.push_str(&format!("  {name}, {kind}, bare: {rows}\n"));
        }
        text.push('\n');
        for line in self.compared() {
            text.push_str(&line);
            text.push('\n');
        }
        let acked: BTreeMap<&str, (usize, usize)> =
            self.workloads.iter().map(|e| (e.name.as_str(), (e.acked, e.lost))).collect();
        for (name, (acked, lost)) in acked {
            text.push_str(&format!("{name}: {lost} of {acked} acknowledged writes are lost.\n"));
        }
        text
    }

    fn figures(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["", "kind", "order", "root", "blackout", "bare restart", "own share"]);
        for e in &self.workloads {
            table.add_row([
                e.name.clone(),
                e.kind.name().to_owned(),
                e.order.name().to_owned(),
                if e.keeps_root { "kept" } else { "not kept" }.to_owned(),
                spread(e.blackout_ms),
                spread(e.bare_ms),
                spread(e.own_share_ms),
            ]);
        }
        table.add_row(["", "", "", "", "min / median / max ms", "", ""]);
        table
    }

    /// How an interruption without any notice compares, of a node of the same kind.
    fn compared(&self) -> Vec<String> {
        let hard = |of: &Entry| {
            let same = |e: &&Entry| e.name == of.name && e.order == of.order;
            self.workloads.iter().filter(same).find(|e| e.kind == Kind::Hard)
        };
        let planned = self.workloads.iter().filter(|e| e.kind != Kind::Hard);
        planned
            .filter_map(|e| {
                let hard = hard(e)?.blackout_ms.median;
                let (this, of) = (e.blackout_ms.median, hard.max(1));
                Some(format!(
                    "{}, {} ({}): {this} ms, {}% of the {hard} ms of an interruption without \
                     any notice in the same order.",
                    e.name,
                    e.kind.name(),
                    e.order.name(),
                    this * 100 / of,
                ))
            })
            .collect()
    }
}

fn listed(names: &[String], medians: &BTreeMap<String, i64>) -> String {
    let each = names.iter().map(|n| format!("{n} {}", medians.get(n).copied().unwrap_or(0)));
    each.collect::<Vec<_>>().join(", ")
}

fn spread(s: Spread) -> String {
    format!("{} / {} / {}", s.min, s.median, s.max)
}
