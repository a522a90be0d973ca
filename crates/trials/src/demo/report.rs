//! What the demonstration found.

use crate::trial::Spread;
use crate::trial::control::Control;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::path::Path;

/// Something that must not change, or (for the generation) must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed<T> {
    /// At the start.
    pub before: T,
    /// At the end.
    pub after: T,
}

impl<T: PartialEq + std::fmt::Display> Changed<T> {
    fn text(&self) -> String {
        if self.before == self.after {
            format!("{} (same)", self.after)
        } else {
            format!("{} → {}", self.before, self.after)
        }
    }
}

/// One node's figures.
#[derive(Debug, Clone, Serialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Writes acknowledged.
    pub acked: usize,
    /// Acknowledged writes that are not there.
    pub lost: usize,
    /// How often it was interrupted.
    pub interruptions: usize,
    /// From the last acknowledgement before to the first after.
    pub blackout_ms: Spread,
    /// Private IP.
    pub ip: Changed<String>,
    /// MAC address.
    pub mac: Changed<String>,
    /// Data volume.
    pub data_volume: Changed<String>,
    /// Generation.
    pub generation: Changed<u64>,
    /// Where it runs at the end.
    pub market: String,
}

impl NodeReport {
    fn is_good(&self) -> bool {
        self.acked > 0
            && self.lost == 0
            && self.ip.before == self.ip.after
            && self.mac.before == self.mac.after
            && self.data_volume.before == self.data_volume.after
            && self.ip.before != "-"
            && self.data_volume.before != "-"
            && self.generation.after >= self.generation.before + self.interruptions as u64
    }
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The nodes.
    pub nodes: Vec<NodeReport>,
    /// The control.
    pub control: Control,
}

impl Report {
    /// Whether nothing was lost or changed, and the control shows that this means something.
    pub fn is_good(&self) -> bool {
        self.nodes.iter().all(NodeReport::is_good) && self.control.lost > 0
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let mut header = vec![String::new()];
        header.extend(self.nodes.iter().map(|n| n.name.clone()));
        header.push("control, no fsync".to_owned());
        table.set_header(header);
        let mut row = |name: &str, value: &dyn Fn(&NodeReport) -> String, control: &str| {
            let mut cells = vec![name.to_owned()];
            cells.extend(self.nodes.iter().map(value));
            cells.push(control.to_owned());
            table.add_row(cells);
        };
        row("acknowledged", &|n| n.acked.to_string(), &self.control.acked.to_string());
        row("lost", &|n| n.lost.to_string(), &self.control.losses());
        row("interruptions", &|n| n.interruptions.to_string(), "1");
        let blackout = |n: &NodeReport| {
            let b = n.blackout_ms;
            format!("{} / {} / {} ms", b.min, b.median, b.max)
        };
        row("blackout min / median / max", &blackout, "");
        row("private IP", &|n| n.ip.text(), "");
        row("MAC", &|n| n.mac.text(), "");
        row("data volume", &|n| n.data_volume.text(), "");
        row("generation", &|n| n.generation.text(), "");
        row("market", &|n| n.market.clone(), "");
        table.to_string()
    }

    /// What it means.
    pub fn verdict(&self) -> String {
        let proves = match self.control.lost {
            0 => "this proves nothing!",
            _ => "the power cuts are real.",
        };
        let control = format!("{}: {proves}", self.control.sentence());
        let nodes = if self.nodes.iter().all(NodeReport::is_good) {
            "Nothing acknowledged was lost, and no identity has changed."
        } else {
            "SOMETHING ACKNOWLEDGED WAS LOST, OR AN IDENTITY HAS CHANGED."
        };
        format!("{nodes}\n{control}")
    }

    /// Writes the figures as JSON.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let json = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        std::fs::write(path, json + "\n").map_err(|e| format!("{}: {e}", path.display()))
    }
}
