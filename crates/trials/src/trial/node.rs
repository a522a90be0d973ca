//! One node, used from outside: made, looked at, interrupted, waited for.

use super::commands::Commands;
use super::patience::Patience;
use super::workload::Workload;
use super::writer::Writer;
use holdfast_agent::console_path;
use holdfast_wire::WholeNode;
use holdfast_wire::record::DataHead;
use std::io::{Read, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How long a node may take to serve.
pub const SERVE_TIMEOUT: Duration = Duration::from_secs(90);
/// So much of the end of a console is read, in bytes.
const CONSOLE_END: u64 = 64 << 10;
/// How often the node is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// What a node looks like from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Its generation.
    pub generation: u64,
    /// Its status.
    pub status: String,
    /// Its private IP.
    pub ip: String,
    /// Its MAC address.
    pub mac: String,
    /// Its data volume.
    pub volume: String,
    /// Its market.
    pub market: String,
}

/// Looks at a node.
pub fn look(commands: &Commands, name: &str) -> Result<Look, String> {
    let WholeNode { summary, record, .. } = whole(commands, name)?;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let market = record.holder.map(|h| h.market);
    let market = market.map(|m| format!("{} {} {}", m.instance_type, m.lifecycle, m.zone));
    let (ip, mac) = record.interface.map(|i| (i.private_ip, i.mac)).unzip();
    let volume = record.data.into_iter().next().and_then(|data| match data.head {
        DataHead::Volume { id, .. } => Some(id),
        DataHead::Fresh => None,
    });
    Ok(Look {
        generation: record.generation,
        status: summary.status,
        ip: or_dash(ip),
        mac: or_dash(mac),
        volume: or_dash(volume),
        market: or_dash(market),
    })
}

/// A node with all that is known of it.
pub fn whole(commands: &Commands, name: &str) -> Result<WholeNode, String> {
    let shown = commands.node(&["show", name])?;
    serde_json::from_value(shown).map_err(|e| format!("{name} is shown otherwise: {e}"))
}

/// Creates a node from a spec's text and waits until it is active.
pub fn create(commands: &Commands, name: &str, spec: &str) -> Result<Look, String> {
    let path = commands.data_dir().join(format!("{name}.yaml"));
    std::fs::write(&path, spec).map_err(|e| format!("{}: {e}", path.display()))?;
    commands.node(&["create", "-f", &path.display().to_string(), "--wait"])?;
    look(commands, name)
}

/// Starts a writer, and waits until its first write is acknowledged.
pub fn start_writer(
    commands: &Commands,
    name: &str,
    workload: Workload,
    ip: &str,
    patience: Patience,
) -> Result<Writer, String> {
    let address: Ipv4Addr = ip.parse().map_err(|e| format!("{name} has the address {ip}: {e}"))?;
    let writer = Writer::start(&commands.cloud_dir(), workload, address, patience);
    wait_for_ack(&writer, name, now())?;
    Ok(writer)
}

/// What the node's instance has said last on its console.
pub fn console(commands: &Commands, name: &str) -> Result<String, String> {
    let holder = whole(commands, name)?.record.holder;
    let instance = holder.ok_or_else(|| format!("{name} has no instance"))?.id;
    let path = console_path(&commands.instance_dir(&instance));
    let doing = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = std::fs::File::open(&path).map_err(doing)?;
    let length = file.metadata().map_err(doing)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(CONSOLE_END))).map_err(doing)?;
    let mut end = Vec::new();
    file.take(CONSOLE_END).read_to_end(&mut end).map_err(doing)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}

pub fn now() -> Instant {
    Instant::now()
}

/// Waits until a write that began after `since` is acknowledged.
pub fn wait_for_ack(writer: &Writer, name: &str, since: Instant) -> Result<(), String> {
    let began = now();
    while writer.last_ack().is_none_or(|at| at <= since) {
        if began.elapsed() > SERVE_TIMEOUT {
            let last = writer.last_error().unwrap_or_default();
            return Err(format!("{name} does not serve: {last}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Waits until the node is active in a later generation.
pub fn wait_for_generation(commands: &Commands, name: &str, after: u64) -> Result<Look, String> {
    let began = now();
    let mut last = String::new();
    while began.elapsed() < SERVE_TIMEOUT {
        match look(commands, name) {
            // A server that was just restarted knows the node before it has looked at its instance.
            Ok(seen)
                if seen.generation > after && seen.status == "ACTIVE" && !seen.ip.is_empty() =>
            {
                return Ok(seen);
            }
            Ok(seen) => last = format!("it is {} in generation {}", seen.status, seen.generation),
            Err(error) => last = error,
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Err(format!("{name} did not come back: {last}"))
}

/// Interrupts, however long the server is away.
pub fn interrupt(commands: &Commands, name: &str, notice: Option<&str>) -> Result<(), String> {
    let began = now();
    let mut arguments = vec!["interrupt", name];
    arguments.extend(notice.iter().flat_map(|n| ["--notice", n]));
    loop {
        match commands.node(&arguments) {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > SERVE_TIMEOUT => return Err(error),
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}
