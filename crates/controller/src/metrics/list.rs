//! Every metric: its name, its labels and what it says. The registry is made from this, and the table in
//! `docs/metrics.md`.

/// What kind of metric it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Grows from the server's start on.
    Counter,
    /// What is so now.
    Gauge,
    /// How long something took, in seconds.
    Histogram,
}

impl Type {
    /// Prometheus' name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// Its name as it is scraped.
    pub name: &'static str,
    /// Its type.
    pub type_: Type,
    /// Its labels. None names a node: there would be no end to them.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence without its full stop.
    pub says: &'static str,
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    says: &'static str,
) -> Listed {
    Listed { name, type_: Type::Counter, labels, says }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], says: &'static str) -> Listed {
    Listed { name, type_: Type::Gauge, labels, says }
}

const fn histogram(
    name: &'static str,
    labels: &'static [&'static str],
    says: &'static str,
) -> Listed {
    Listed { name, type_: Type::Histogram, labels, says }
}

pub(super) const BUILD: Listed =
    gauge("holdfast_build_info", &["version"], "Always 1: which version serves");
pub(super) const NODES: Listed = gauge(
    "holdfast_nodes",
    &["state"],
    "Nodes by their status; STOPPED where the record cannot be used",
);
pub(super) const FROZEN: Listed =
    gauge("holdfast_frozen", &["cause"], "1 while nothing is changed for this cause");
pub(super) const REPLACEMENTS: Listed = counter(
    "holdfast_replacements_total",
    &["cause", "result"],
    "Replacements that have ended: completed, lost (before it was ready) or overtaken",
);
pub(super) const BLACKOUT: Listed = histogram(
    "holdfast_blackout_seconds",
    &["cause"],
    "How long a node was away: from its stop, or from when its loss was seen, until it was healthy again",
);
pub(super) const ROWS: Listed = histogram(
    "holdfast_row_duration_seconds",
    &["row"],
    "How long a row of the table took, in replacements that have ended",
);
pub(super) const OVERTAKES: Listed = counter(
    "holdfast_overtakes_total",
    &["line", "while", "when"],
    "How often a line of the table of what overtakes a replacement was followed",
);
pub(super) const CALLS: Listed = counter(
    "holdfast_calls_total",
    &["action", "result"],
    "Calls to the cloud that were answered: done, or the class of the refusal (throttled, capacity, …)",
);
pub(super) const CALL_TIME: Listed = histogram(
    "holdfast_call_duration_seconds",
    &["action"],
    "From when a call left until its answer; what waits for a bucket is not in it",
);
pub(super) const CALLS_IN_FLIGHT: Listed =
    gauge("holdfast_calls_in_flight", &["action"], "Calls that have left and are not answered");
pub(super) const CALLS_WAITING: Listed = gauge(
    "holdfast_calls_waiting",
    &["action"],
    "Calls that could leave, and wait for a bucket or for others to be answered",
);
pub(super) const CALLS_LATER: Listed =
    gauge("holdfast_calls_later", &[], "Calls that wait for a time, to be said again");
pub(super) const MARKET_REFUSALS: Listed = counter(
    "holdfast_market_refusals_total",
    &["instance_type", "zone", "lifecycle", "reason"],
    "Launches that a market refused, for want of capacity or quota",
);
pub(super) const READS: Listed = counter(
    "holdfast_reads_total",
    &["resource", "scope", "result"],
    "Pages that were read of the cloud: of a whole look (sweep), or of what is waited for (look)",
);
pub(super) const READ_TIME: Listed = histogram(
    "holdfast_read_duration_seconds",
    &["resource", "scope"],
    "From when a page was asked for until it came",
);
pub(super) const SWEEP_TIME: Listed = histogram(
    "holdfast_sweep_duration_seconds",
    &["resource"],
    "How long a whole look at all resources of a kind took, with all its pages",
);
pub(super) const SWEPT_AT: Listed = gauge(
    "holdfast_sweep_timestamp_seconds",
    &["resource"],
    "When the newest complete whole look began, as Unix time; time() minus this is its age",
);
pub(super) const COMMITS: Listed = counter(
    "holdfast_commits_total",
    &["result"],
    "Commits of a record to the store: done, conflict (another process wrote it) or failed",
);
pub(super) const COMMIT_TIME: Listed = histogram(
    "holdfast_commit_duration_seconds",
    &[],
    "From when a commit was wanted until it was durable, or had failed",
);
pub(super) const COMMITS_IN_FLIGHT: Listed =
    gauge("holdfast_commits_in_flight", &[], "Commits that are not durable yet");

/// All of them, in the order in which they are shown.
pub const LIST: [Listed; 20] = [
    BUILD,
    NODES,
    FROZEN,
    REPLACEMENTS,
    BLACKOUT,
    ROWS,
    OVERTAKES,
    CALLS,
    CALL_TIME,
    CALLS_IN_FLIGHT,
    CALLS_WAITING,
    CALLS_LATER,
    MARKET_REFUSALS,
    READS,
    READ_TIME,
    SWEEP_TIME,
    SWEPT_AT,
    COMMITS,
    COMMIT_TIME,
    COMMITS_IN_FLIGHT,
];

/// The list as Markdown, for the documentation.
#[must_use]
pub fn render() -> String {
    let mut text = String::from("| metric | type | labels | says |\n|---|---|---|---|\n");
    for Listed { name, type_, labels, says } in LIST {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
        text.push_str(&format!("| `{name}` | {} | {labels} | {says} |\n", type_.name()));
    }
    text
}
