//! What people read.

use super::client::printable;
use super::whereabouts;
use comfy_table::{ContentArrangement, Table, presets};
use holdfast_model::{Row, Spec, Time};
use holdfast_terminal::duration;
use holdfast_wire::record::{DataHead, Finished, HeldInterface, Replacement, RootHead};
use holdfast_wire::{NodeSummary, WholeNode, local};

/// How many replacements the timeline shows; the record keeps more, for `--json`.
const TIMELINE: usize = 20;
/// How long a line of progress may be: it must fit into the narrowest usual terminal.
pub const PROGRESS_WIDTH: usize = 79;

/// A table for people.
pub fn table(header: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    // A cell is one line, whatever the server says.
    let safe = |row: Vec<String>| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>();
    table.add_rows(rows.into_iter().map(safe));
    // Every cell has a space before it, the first ones too.
    let lines = table.lines().map(|line| {
        let line = line.trim_end();
        format!("{}\n", line.strip_prefix(' ').unwrap_or(line))
    });
    lines.collect()
}

/// Words of a header.
pub fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

/// A node's name, or its id where it has none.
pub fn title(node: &NodeSummary) -> String {
    if node.name.is_empty() { node.id.clone() } else { printable(&node.name) }
}

/// A cell: the text, or a dash where there is none.
pub fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// Nodes in a table.
pub fn list(nodes: &[NodeSummary]) -> String {
    if nodes.is_empty() {
        return "There are no nodes. Make one with: holdfast node create -f SPEC\n".to_owned();
    }
    let header = words(&["NAME", "ID", "STATUS", "MARKET", "PRIVATE IP", "GEN", "WAITS FOR"]);
    let rows = nodes.iter().map(|node| {
        vec![
            printable(&node.name),
            node.id.clone(),
            node.status.clone(),
            or_dash(node.market.as_ref().map(ToString::to_string)),
            or_dash(node.private_ip.clone()),
            or_dash(node.generation.map(|g| g.to_string())),
            node.waits_for.as_deref().map(printable).unwrap_or_default(),
        ]
    });
    table(header, rows.collect())
}

/// Elastic IPs in a table.
pub fn addresses(addresses: &[local::Address]) -> String {
    if addresses.is_empty() {
        let hint = "Allocate one with: holdfast local address allocate";
        return format!("There are no Elastic IPs. {hint}\n");
    }
    let header = words(&["ALLOCATION", "ADDRESS", "INTERFACE", "INSTANCE"]);
    let rows = addresses.iter().map(|a| {
        let (interface, instance) = (a.network_interface_id.clone(), a.instance_id.clone());
        vec![a.allocation_id.clone(), a.public_ip.clone(), or_dash(interface), or_dash(instance)]
    });
    table(header, rows.collect())
}

/// Where a row stands among the others.
pub fn place_of(row: &str) -> usize {
    Row::ALL.iter().position(|known| known.name() == row).unwrap_or(Row::ALL.len())
}

/// A node with all that is known of it.
pub fn show(node: &WholeNode, now: Time) -> String {
    let record = &node.record;
    let spec = whereabouts::spec(record);
    let mut text = format!(
        "{} ({})  {}  generation {}\n",
        title(&node.summary),
        record.id,
        node.summary.status,
        record.generation
    );
    for (label, value) in facts(node, spec.as_ref(), now) {
        text.push_str(&format!("  {label:<11} {value}\n"));
    }
    // What is left of a node that was given up stands above, with the time that it has.
    if !record.deallocated {
        text.push_str("\nVolumes\n");
        text.push_str(&indented(&volumes(node, spec.as_ref())));
    }
    text.push_str("\nReplacements\n");
    text.push_str(&indented(&timeline(node, now)));
    let hidden = record.history.len().saturating_sub(TIMELINE);
    if hidden > 0 {
        text.push_str(&format!("  {hidden} earlier ones: --json has them\n"));
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n").collect()
}

fn facts(node: &WholeNode, spec: Option<&Spec>, now: Time) -> Vec<(&'static str, String)> {
    let record = &node.record;
    let mut facts = Vec::new();
    if let Some(stuck) = &record.stuck {
        let since = duration::show(now.since(Time(stuck.since)));
        let row = printable(&stuck.row);
        facts.push(("stuck", format!("{row} for {since}: {}", printable(&stuck.why))));
        if !stuck.choices.is_empty() {
            let words: Vec<&str> = stuck.choices.iter().map(|c| c.word()).collect();
            let words = words.join("|");
            facts.push(("decide", format!("holdfast node decide {} {words}", record.id)));
        }
    }
    if let Some(what) = &node.summary.waits_for {
        facts.push(("waits for", printable(what)));
    }
    if let Some(interface) = &record.interface {
        let kept = spec.is_some_and(|s| s.persistence.private_ip);
        let kept = if kept { "kept" } else { "of this instance" };
        facts.push(("private IP", format!("{}  {kept}", interface.private_ip)));
        facts.push(("MAC", interface.mac.clone()));
        facts.push(("interface", format!("{} in {}", interface.id, interface.subnet)));
    } else if let Some(ip) = &node.summary.private_ip {
        facts.push(("private IP", format!("{ip}  of this instance")));
    }
    for further in &record.secondary {
        let HeldInterface { device_index, private_ip, mac, id, .. } = further;
        facts.push(("interface", format!("{device_index}: {private_ip}  kept, {mac}, {id}")));
    }
    if let Some(association) = node.interfaces.iter().find_map(|i| i.association.as_ref()) {
        let what = format!("{}  {}", association.public_ip, association.allocation);
        facts.push(("elastic IP", what));
    }
    let pinned = record.interface.iter().chain(&record.secondary).next();
    if let Some(pinned) = pinned.filter(|_| record.generation > 0) {
        let why = "a kept address cannot leave its zone";
        facts.push(("zone", format!("{}  for good: {why}", pinned.zone)));
    }
    for kept in record.superseded.iter().filter(|s| s.grace_ms > 0) {
        let left = duration::show(kept.grace_ms);
        facts.push(("kept", format!("{} for {left}: {}", kept.id, printable(&kept.reason))));
    }
    facts.extend(whereabouts::facts(record, spec, now));
    if let Some(holder) = &record.holder {
        let age = duration::show(now.since(Time(holder.launched_at)));
        let state = node.instance.as_ref().map(|i| {
            let why = i.health_why.as_deref().map(printable);
            let why = why.map(|w| format!(" ({w})")).unwrap_or_default();
            format!(", {}, health {}{why}", printable(&i.state), printable(&i.health))
        });
        let state = state.unwrap_or_default();
        facts.push(("instance", format!("{} for {age}{state}", holder.id)));
    }
    let wanted = spec.map(|s| s.types.join(", ")).unwrap_or_default();
    if !wanted.is_empty() {
        facts.push(("types", printable(&wanted)));
    }
    facts.push(("created", second(Time(record.created_at))));
    let changed = second(Time(record.updated_at));
    facts.push(("spec", format!("revision {} of {changed}", record.spec_revision)));
    facts
}

/// An instant in UTC, to the second.
fn second(at: Time) -> String {
    let text = holdfast_api::rfc3339(at);
    format!("{} UTC", text.get(..19).unwrap_or(&text).replace('T', " "))
}

fn volumes(node: &WholeNode, spec: Option<&Spec>) -> String {
    let header = words(&["DEVICE", "CONTENT", "SIZE", "ZONE", "STATE", "KEPT", "MOUNTED AT"]);
    let record = &node.record;
    let kept = |kept: Option<bool>| match kept {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => "-".to_owned(),
    };
    let row = |device: String, content: String, id: Option<&String>, is_kept, mount: String| {
        let fact = id.and_then(|id| node.volumes.iter().find(|v| &v.id == id));
        vec![
            device,
            content,
            or_dash(fact.map(|v| format!("{} GiB", v.size_gib))),
            or_dash(fact.map(|v| v.zone.clone())),
            or_dash(fact.map(|v| v.state.clone())),
            is_kept,
            mount,
        ]
    };
    let (root, content, id) = match &record.root {
        RootHead::Fresh => ("root", "from the spec's image".to_owned(), None),
        RootHead::Captured { snapshot, image, root_device } => {
            (root_device.as_str(), format!("{snapshot}, {image}"), None)
        }
        RootHead::Live { volume, root_device, .. } => {
            let id = volume.as_ref();
            let device = root_device.as_deref().unwrap_or("root");
            (device, id.cloned().unwrap_or_else(|| "being made".to_owned()), id)
        }
    };
    let is_kept = kept(spec.map(|s| s.persistence.root));
    let mut rows = vec![row(root.to_owned(), content, id, is_kept, "/".to_owned())];
    for data in &record.data {
        let (content, id) = match &data.head {
            DataHead::Fresh => ("not made yet".to_owned(), None),
            DataHead::Volume { id, .. } => (id.clone(), Some(id)),
        };
        let mount = spec.and_then(|s| s.data.iter().find(|d| d.device == data.device));
        let mount = mount.map(|d| &d.mount).or(data.joined.as_ref().map(|j| &j.mount));
        let mount = or_dash(mount.map(|m| printable(m)));
        let is_kept = kept(spec.map(|s| s.persistence.data.is_some()));
        rows.push(row(printable(&data.device), content, id, is_kept, mount));
    }
    table(header, rows)
}

/// One line of the timeline.
struct Line {
    number: u64,
    why: String,
    generations: String,
    market: String,
    began: Time,
    rows: Vec<(String, u64, Option<u64>)>,
    /// When rows that are not done were given up, or now.
    until: Time,
    total: String,
}

fn finished(f: &Finished) -> Line {
    let took = duration::show(Time(f.finished_at).since(Time(f.started_at)));
    Line {
        number: f.number,
        why: printable(&f.kind),
        generations: format!("{} > {}", f.from_generation, f.to_generation),
        market: or_dash(f.market.as_ref().map(ToString::to_string)),
        began: Time(f.started_at),
        rows: f.rows.clone(),
        until: Time(f.finished_at),
        total: if f.completed { took } else { format!("given up after {took}") },
    }
}

fn in_flight(r: &Replacement, generation: u64, now: Time) -> Line {
    let rows = r
        .rows
        .iter()
        .filter_map(|(row, state)| Some((row.clone(), state.started_at?, state.done_at)));
    Line {
        number: r.number,
        why: printable(&r.kind),
        generations: format!("{} > {generation}", r.from_generation),
        market: or_dash(r.market.as_ref().map(ToString::to_string)),
        began: Time(r.started_at),
        rows: rows.collect(),
        until: now,
        total: format!("{} so far", duration::show(now.since(Time(r.started_at)))),
    }
}

fn timeline(node: &WholeNode, now: Time) -> String {
    let record = &node.record;
    let skip = record.history.len().saturating_sub(TIMELINE);
    let mut lines: Vec<Line> = record.history.iter().skip(skip).map(finished).collect();
    lines.extend(record.replacement.as_ref().map(|r| in_flight(r, record.generation, now)));
    if lines.is_empty() {
        return "none yet\n".to_owned();
    }
    // Only rows that occur have a column.
    let rows = lines.iter().flat_map(|line| &line.rows);
    let mut columns: Vec<String> = rows.map(|(row, _, _)| row.clone()).collect();
    columns.sort_by(|a, b| place_of(a).cmp(&place_of(b)).then_with(|| a.cmp(b)));
    columns.dedup();
    let mut header = words(&["#", "WHY", "GEN", "MARKET", "BEGAN"]);
    header.extend(columns.iter().map(|row| row.to_uppercase()));
    header.push("TOTAL".to_owned());
    let rows = lines.into_iter().map(|line| {
        let mut cells = vec![
            line.number.to_string(),
            line.why,
            line.generations,
            line.market,
            second(line.began),
        ];
        cells.extend(columns.iter().map(|column| {
            let row = line.rows.iter().find(|(row, _, _)| row == column);
            row.map(|(_, began, done)| match done {
                Some(done) => duration::show(done.saturating_sub(*began)),
                None => format!("{} …", duration::show(line.until.since(Time(*began)))),
            })
            .unwrap_or_default()
        }));
        cells.push(line.total);
        cells
    });
    table(header, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::super::sample::{BEGIN, new, sample};
    use super::*;
    use holdfast_wire::record::Superseded;

    #[test]
    fn a_node_is_shown_with_identity_volumes_and_timeline() {
        let expected = "\
db (smi-00000001)  RECYCLING  generation 1
  waits for   the shutdown script
  private IP  10.77.1.20  kept
  MAC         02:00:00:00:00:01
  interface   eni-1 in subnet-local-1a
  zone        local-1a  for good: a kept address cannot leave its zone
  market      m5.large spot in local-1a
  because     $0.0350/h; nothing is known of it yet
  instance    i-1 for 1 m 2 s
  types       m5.large
  created     2020-05-05 08:53:12 UTC
  spec        revision 1 of 2020-05-05 08:53:12 UTC

Volumes
  DEVICE     CONTENT                SIZE  ZONE  STATE  KEPT  MOUNTED AT
  root       from the spec's image  -     -     -      no    /
  /dev/xvdb  vol-1                  -     -     -      yes   /mnt/xvdb

Replacements
  #  WHY     GEN    MARKET                     BEGAN                    DRAIN    PLACE  LAUNCH  TOTAL
  1  create  0 > 1  m5.large spot in local-1a  2020-05-05 08:53:12 UTC           3 ms   1.2 s   1.2 s
  2  notice  1 > 1  -                          2020-05-05 08:54:12 UTC  2.5 s …                 2.5 s so far
";
        assert_eq!(show(&sample(), Time(BEGIN + 62_500)), expected);
    }

    #[test]
    fn of_a_node_that_was_given_up_only_what_is_kept_is_shown() {
        let mut node = sample();
        node.record.deallocated = true;
        node.record.superseded.push(Superseded {
            id: "vol-1".to_owned(),
            reason: "the node was given up".to_owned(),
            grace_ms: 3_600_000,
        });
        let text = show(&node, Time(BEGIN + 62_500));
        assert!(text.contains("  kept        vol-1 for 1 h"), "{text}");
        assert!(!text.contains("Volumes") && text.contains("Replacements"), "{text}");
    }

    #[test]
    fn a_row_that_was_given_up_is_as_long_as_it_took_until_then() {
        let mut node = sample();
        node.record.replacement = None;
        let given_up = &mut node.record.history[0];
        given_up.completed = false;
        given_up.rows[1].2 = None;
        let text = show(&node, Time(BEGIN + 3_600_000));
        assert!(text.contains("3 ms   1.2 s …  given up after 1.2 s"), "{text}");
    }

    #[test]
    fn a_node_without_anything_is_shown_too() {
        let mut node = sample();
        node.record = new();
        node.summary.private_ip = None;
        let text = show(&node, Time(BEGIN));
        assert!(text.contains("none yet"), "{text}");
        assert!(!text.contains("instance "), "{text}");
    }

    #[test]
    fn nodes_are_listed_and_what_is_hidden_is_shown() {
        let mut node = sample().summary;
        node.waits_for = None;
        node.name = "d\x1b[31m\nb".to_owned();
        let expected = "\
NAME            ID            STATUS     MARKET                     PRIVATE IP  GEN  WAITS FOR
d\\u{1b}[31m\\nb  smi-00000001  RECYCLING  m5.large spot in local-1a  10.77.1.20  1
";
        assert_eq!(list(&[node]), expected);
        assert!(list(&[]).contains("holdfast node create"));
    }
}
