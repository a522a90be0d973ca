//! What helps to understand a trial that failed, kept before its nodes are removed.

use super::commands::Commands;
use std::path::Path;

/// The most nodes, and the most instances, of which something is kept.
const MAX_KEPT: usize = 500;

/// Keeps the server's log, the nodes with their events, and the instances' consoles in `dir`, and
/// says where. What cannot be had is left out: a server that failed may not answer.
pub fn keep(commands: &Commands, dir: &Path) {
    let _ = std::fs::create_dir_all(dir);
    let _ = std::fs::copy(commands.server_log(), dir.join("server.log"));
    let listed = commands.node(&["list", "--all"]).unwrap_or_default();
    let nodes = listed.as_array().into_iter().flatten();
    for id in nodes.filter_map(|n| n["id"].as_str()).take(MAX_KEPT) {
        for verb in ["show", "events"] {
            if let Ok(value) = commands.node(&[verb, id]) {
                let _ = std::fs::write(dir.join(format!("{id}-{verb}.json")), value.to_string());
            }
        }
    }
    let instances = std::fs::read_dir(commands.instances_dir()).into_iter().flatten().flatten();
    for instance in instances.take(MAX_KEPT) {
        let to = dir.join(instance.file_name());
        let _ = std::fs::create_dir_all(&to);
        for file in std::fs::read_dir(instance.path()).into_iter().flatten().flatten() {
            // Consoles and logs; configurations hold user data.
            if file.path().extension().is_some_and(|e| e == "log" || e == "1") {
                let _ = std::fs::copy(file.path(), to.join(file.file_name()));
            }
        }
    }
    eprintln!("What there was to see is kept in {}.", dir.display());
}
