//! Every command with its options, its help and its examples.

use super::duration;
use super::exit::CODES;
use super::market::{ALL, Number, Price};
use super::options::{DATA_DIR, LISTEN, ServerOptions};
use clap::{Args, Parser, Subcommand, ValueEnum};
use holdfast_controller::fleet::VOLUNTARY_PER_HOUR;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Stateful machines on capacity that can be taken away
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, after_help = CODES, after_long_help = format!("Examples:
  holdfast serve
  holdfast node create -f examples/postgres.yaml
  holdfast node show postgres
  holdfast node interrupt postgres --notice 120s

{CODES}"))]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server: the API, the controller, and the nodes of this host
    Serve(ServeOptions),
    /// Make nodes, look at them, tell them what to do
    Node(NodeCommand),
    /// Show how the fleet is: frozen or not, nodes by state, versions
    #[command(after_help = "Examples:
  holdfast status
  holdfast status --json | jq .nodes")]
    Status(FleetCommand),
    /// Change nothing from now on, through restarts, until it is lifted
    #[command(after_help = "Examples:
  holdfast freeze --reason 'the network is being moved'")]
    Freeze(FreezeCommand),
    /// Lift a freeze
    #[command(after_help = "Examples:
  holdfast thaw

Credentials of another account are put right only by starting the server with the right ones.")]
    Thaw(FleetCommand),
    /// Show what the cloud holds and no record accounts for, or take it up
    #[command(after_help = "Examples:
  holdfast adopt
  holdfast adopt smi-1a2b3c4d
  holdfast adopt smi-1a2b3c4d --spec postgres.yaml
  holdfast adopt smi-1a2b3c4d --head root=ami-0a1b2c3d --head /dev/xvdb=vol-0a1b2c3d

Nothing is deleted. What is not certain is asked: which part of the node, and what could stand for
it; --head answers. The part begins anew with fresh, and its content is given up.")]
    Adopt(AdoptCommand),
    /// What concerns this host's cloud as a whole
    #[command(subcommand)]
    Local(LocalCommand),
    /// Watch a PostgreSQL and a Redis live through hard interruptions
    Demo(crate::demo::DemoArgs),
    /// Do everything to many nodes that can be done to a machine, and count what is lost
    #[command(after_help = "Examples:
  holdfast soak --for 10m
  holdfast soak --for 90s --nodes 4 --seed 7")]
    Soak(crate::soak::SoakArgs),
    /// Prove in virtual time that nothing is lost, whatever goes wrong
    Sim(super::sim::SimOptions),
    /// Measure, on a simulated EC2: nothing of this host is touched
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// Which cloud the server manages.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CloudKind {
    /// Real nodes on this Linux host (needs root)
    Local,
}

/// Options of `holdfast serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  holdfast serve
  holdfast serve --data-dir /srv/holdfast --listen 127.0.0.1:8000
  RUST_LOG=debug holdfast serve

At the first start a token is made and written to the file \"token\" of the data directory; the
commands find it there. Nodes outlive the server: stopped or killed and started again, it goes on
where it was.")]
pub struct ServeOptions {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,
    /// Where the API listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = LISTEN)]
    pub listen: SocketAddr,
    /// Which cloud to manage
    #[arg(long, value_enum, default_value = "local")]
    pub cloud: CloudKind,
    /// Make a new token; the one before is no longer good
    #[arg(long)]
    pub new_token: bool,
    /// Be this installation, where the store was lost: a store with nodes of its own keeps its name
    #[arg(long, value_name = "ID")]
    pub installation: Option<String>,
    /// While a node runs, take snapshots of what is kept so often: at least 1s
    #[arg(long, value_name = "SPAN", value_parser = snapshot_interval, default_value = "5m")]
    pub snapshot_interval: Duration,
    /// At most so many replacements an hour because a node could run somewhere better; 0: none
    #[arg(long, value_name = "N", default_value_t = VOLUNTARY_PER_HOUR)]
    pub voluntary_per_hour: usize,
    /// How long what a deletion does not select is kept before it is removed
    #[arg(long, value_name = "SPAN", value_parser = duration::parse, default_value = "96h")]
    pub deallocation_grace: Duration,
}

fn snapshot_interval(text: &str) -> Result<Duration, String> {
    let span = super::duration::parse(text)?;
    if span < Duration::from_secs(1) {
        return Err("snapshots are at least 1s apart".to_owned());
    }
    Ok(span)
}

/// `holdfast node …`.
#[derive(Debug, Args)]
#[command(after_help = "NAME is a node's name or its id (smi-…).")]
pub struct NodeCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON for programs instead of tables
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: NodeVerb,
}

/// What concerns the fleet as a whole.
#[derive(Debug, Args)]
pub struct FleetCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// `holdfast freeze`.
#[derive(Debug, Args)]
pub struct FreezeCommand {
    /// Why: whoever looks reads it
    #[arg(long, value_name = "SENTENCE")]
    pub reason: String,
    /// Which server.
    #[command(flatten)]
    pub fleet: FleetCommand,
}

/// `holdfast adopt`.
#[derive(Debug, Args)]
pub struct AdoptCommand {
    /// The node's id, or its name if it has a record; without it, everything is listed
    pub node: Option<String>,
    /// The node's spec: needed where there is no record
    #[arg(long, value_name = "SPEC")]
    pub spec: Option<PathBuf>,
    /// Which resource stands for a part of the node: root, interface, instance, or a device
    #[arg(long = "head", value_name = "PART=ID")]
    pub heads: Vec<String>,
    /// Which server.
    #[command(flatten)]
    pub fleet: FleetCommand,
}

/// How to wait for the end of something.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitOptions {
    /// Wait until it is done, and show how far it is (this is so in a terminal)
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait at most, such as 90s or 10m
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// A node, and how to wait for it.
#[derive(Debug, Args)]
pub struct NamedWait {
    /// The node's name or id
    pub name: String,
    /// How to wait.
    #[command(flatten)]
    pub wait: WaitOptions,
}

/// What to do with nodes.
#[derive(Debug, Subcommand)]
pub enum NodeVerb {
    /// Make a node from a spec
    #[command(after_help = "Examples:
  holdfast node create -f examples/redis.yaml
  holdfast node create -f spec.json --no-wait --json
  sed 's/name: redis/name: second/' examples/redis.yaml | holdfast node create -f -")]
    Create {
        /// The spec: JSON or YAML; - reads standard input
        #[arg(short = 'f', long = "file", value_name = "SPEC")]
        file: PathBuf,
        /// How to wait.
        #[command(flatten)]
        wait: WaitOptions,
    },
    /// List nodes
    #[command(after_help = "Examples:
  holdfast node list
  holdfast node list --all --json")]
    List {
        /// Also nodes that were deleted and whose leftovers wait to be removed
        #[arg(long)]
        all: bool,
    },
    /// Show a node: identity, market, volumes, and the timeline of its replacements
    #[command(after_help = "Examples:
  holdfast node show postgres
  holdfast node show smi-1a2b3c4d --json")]
    Show {
        /// The node's name or id
        name: String,
    },
    /// Change a node's spec: what the file leaves out stays, null unsets
    #[command(after_help = "Examples:
  holdfast node update postgres -f change.yaml
  echo '{\"strategy\": {\"drainingTimeout\": 30}}' | holdfast node update postgres -f -")]
    Update {
        /// The node's name or id
        name: String,
        /// What changes: JSON or YAML; - reads standard input
        #[arg(short = 'f', long = "file", value_name = "CHANGE")]
        file: PathBuf,
    },
    /// Keep a node's identity and give up its instance
    #[command(after_help = "Examples:
  holdfast node pause postgres
  holdfast node pause postgres --no-wait")]
    Pause(NamedWait),
    /// Bring a paused node back
    #[command(after_help = "Examples:
  holdfast node resume postgres
  holdfast node resume postgres --timeout 2m")]
    Resume(NamedWait),
    /// Replace a node's instance, in good order
    #[command(after_help = "Examples:
  holdfast node recycle postgres
  holdfast node recycle postgres --wait --json")]
    Recycle(NamedWait),
    /// List what a node can return to, oldest first
    #[command(after_help = "Examples:
  holdfast node generations postgres
  holdfast node generations postgres --json")]
    Generations {
        /// The node's name or id
        name: String,
    },
    /// Return to an earlier root; what there is now is captured first and kept
    #[command(after_help = "Examples:
  holdfast node rollback postgres --to 12
  holdfast node rollback postgres --to 12 --data
  holdfast node rollback postgres --to snap-0a1b2c3d4e5f60718")]
    Rollback {
        /// The node's name or id
        name: String,
        /// A generation, or a snapshot: see holdfast node generations
        #[arg(long, value_name = "GENERATION")]
        to: String,
        /// Data volumes return too (they do by themselves in onLaunch mode)
        #[arg(long, conflicts_with = "no_data")]
        data: bool,
        /// Data volumes stay as they are
        #[arg(long)]
        no_data: bool,
        /// How to wait.
        #[command(flatten)]
        wait: WaitOptions,
    },
    /// Take the instance away as a cloud does: without notice it is a power cut
    #[command(after_help = "Examples:
  holdfast node interrupt postgres
  holdfast node interrupt postgres --notice 120s")]
    Interrupt {
        /// The node's name or id
        name: String,
        /// Announce it this long before, such as 120s
        #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
        notice: Option<Duration>,
    },
    /// Delete a node: everything of it goes, unless something is to be kept
    #[command(after_help = "Examples:
  holdfast node delete postgres
  holdfast node delete postgres --yes --keep-volumes --keep-snapshots

What is kept is kept for a time of grace (96 hours, unless the server was told another), and then
deleted; until then holdfast node undelete brings the node back. An instance that is kept runs on
without Holdfast, with its volumes and its address, for as long as you like.")]
    Delete {
        /// The node's name or id
        name: String,
        /// Do not ask
        #[arg(short = 'y', long)]
        yes: bool,
        /// What stays.
        #[command(flatten)]
        keep: KeepOptions,
        /// How to wait.
        #[command(flatten)]
        wait: WaitOptions,
    },
    /// Bring back a node that was deleted, paused, while what was kept of it is there
    #[command(after_help = "Examples:
  holdfast node undelete postgres
  holdfast node undelete smi-1a2b3c4d --accept-loss

Nodes that can be brought back: holdfast node list --all. What the deletion took is named; with
--accept-loss the node comes back without it, from an older snapshot where one is kept.")]
    Undelete {
        /// The node's name or id
        name: String,
        /// Come back even without what the deletion took
        #[arg(long)]
        accept_loss: bool,
    },
    /// What can be done with one of a node's volumes
    #[command(
        subcommand,
        after_help = "Examples:
  holdfast node volume delete postgres /dev/xvdc"
    )]
    Volume(NodeVolumeVerb),
    /// Decide for a node that cannot go on by itself
    #[command(after_help = "Examples:
  holdfast node decide postgres retry
  holdfast node decide postgres wait")]
    Decide {
        /// The node's name or id
        name: String,
        /// What it should do
        choice: Decision,
    },
    /// Show a node's events, oldest first
    #[command(after_help = "Examples:
  holdfast node events postgres
  holdfast node events postgres -f
  holdfast node events postgres --limit 1000 --json | jq .code")]
    Events {
        /// The node's name or id
        name: String,
        /// Go on with what happens from now on
        #[arg(short = 'f', long)]
        follow: bool,
        /// Begin with the newest so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=1000))]
        limit: u16,
    },
    /// Run a command in a node of this host (as root)
    #[command(after_help = "Examples:
  holdfast node exec postgres -- psql -U postgres
  holdfast node exec redis -- redis-cli info replication
  holdfast node exec redis -- sh")]
    Exec {
        /// The node's name or id
        name: String,
        /// The command and its arguments
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<String>,
    },
}

/// What to do with one of a node's volumes.
#[derive(Debug, Subcommand)]
pub enum NodeVolumeVerb {
    /// Delete one data volume of a paused node, with what is on it
    #[command(after_help = "Examples:
  holdfast node volume delete postgres /dev/xvdc
  holdfast node volume delete postgres vol-0123456789abcdef0 --yes

A volume that the spec names is made anew, as the spec says, at the next resume.")]
    Delete {
        /// The node's name or id
        name: String,
        /// The volume: its device name, or its id
        volume: String,
        /// Do not ask
        #[arg(short = 'y', long)]
        yes: bool,
    },
}

/// What stays of a deleted node.
#[derive(Debug, Clone, Copy, Args)]
pub struct KeepOptions {
    /// Keep its volumes for a while
    #[arg(long)]
    pub keep_volumes: bool,
    /// Keep its snapshots for a while
    #[arg(long)]
    pub keep_snapshots: bool,
    /// Keep its images for a while
    #[arg(long)]
    pub keep_images: bool,
    /// Keep its interface, and so its address, for a while
    #[arg(long)]
    pub keep_interface: bool,
    /// Let its instance run on without Holdfast
    #[arg(long)]
    pub keep_instance: bool,
}

/// What a node should do that cannot go on by itself.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Decision {
    /// Wait for as long again
    Wait,
    /// Ask the cloud again
    Retry,
    /// Return to the newest snapshots, and accept the loss of what came after
    Restore,
}

impl Decision {
    /// As it stands on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Decision::Wait => "wait",
            Decision::Retry => "retry",
            Decision::Restore => "restore",
        }
    }
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// How long until many nodes that are interrupted at once are all back
    #[command(after_help = "Examples:
  holdfast bench storm
  holdfast bench storm --nodes 10,100 --json")]
    Storm(StormArgs),
    /// What a node costs and how long it is away, by policy, on a trace of a spot market
    #[command(after_help = "Examples:
  holdfast bench market --trace trace.csv.gz --on-demand-price 3.06
  holdfast bench market --trace trace.csv --on-demand-price 3.06 --skip-days 20 --json
  holdfast bench market --synthetic 7

A trace is CSV, gzipped or not: the time of each tick in the second column, and for each zone the
columns ZONE_avail (1 or 0) and ZONE_price (US$/h).")]
    Market(MarketArgs),
    /// How long a node is away, and how much of that is Holdfast's own (needs root)
    #[command(after_help = "Examples:
  holdfast bench blackout
  holdfast bench blackout --rounds 20 --workload redis --kind hard,recycle
  holdfast bench blackout --json

Real servers on this host lose their machine again and again: in pairs, once brought back by
Holdfast, and once on the same volumes restarted by hand. The difference of a pair is Holdfast's own
share.")]
    Blackout(crate::blackout::BlackoutArgs),
    /// What it costs to watch over many nodes that do nothing
    #[command(after_help = "Examples:
  holdfast bench scale
  holdfast bench scale --nodes 1000 --json")]
    Scale(ScaleArgs),
}

/// Options of `holdfast bench scale`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// How many nodes; a row for each number
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1000,10000,100000")]
    pub nodes: Vec<usize>,
    /// Decides every latency
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write JSON for programs instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Options of `holdfast bench market`.
#[derive(Debug, Args)]
pub struct MarketArgs {
    /// The trace; without one, a made-up one of four zones and 45 days
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Decides the made-up trace
    #[arg(long, value_name = "SEED", default_value_t = 1, conflicts_with = "trace")]
    pub synthetic: u64,
    /// On-demand price, US dollars for an hour
    #[arg(long, value_name = "USD", default_value_t = 1.0, value_parser = positive)]
    pub on_demand_price: f64,
    /// Blackout of a replacement in the same zone, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub same_zone: u64,
    /// Blackout of a move to another zone, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    pub zone_move: u64,
    /// Begin so many days into the trace, with nothing learnt
    #[arg(long, value_name = "DAYS", default_value_t = 0.0, value_parser = not_negative)]
    pub skip_days: f64,
    /// Use only so many days
    #[arg(long, value_name = "DAYS", value_parser = positive)]
    pub days: Option<f64>,
    /// Write JSON for programs instead of a table
    #[arg(long)]
    pub json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = not_negative(text)?;
    if number > 0.0 { Ok(number) } else { Err("a number above 0 is needed".to_owned()) }
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0 && *n <= 1e6);
    number.ok_or_else(|| "a number from 0 to 1,000,000 is needed".to_owned())
}

/// Options of `holdfast bench storm`.
#[derive(Debug, Args)]
pub struct StormArgs {
    /// How many nodes; a row for each number
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "10,100,1000,10000")]
    pub nodes: Vec<usize>,
    /// Data volumes of each node
    #[arg(long, value_name = "D", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=20))]
    pub volumes: u8,
    /// Decides every latency
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write JSON for programs instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What concerns this host's cloud as a whole.
#[derive(Debug, Subcommand)]
pub enum LocalCommand {
    /// Remove every trace of all nodes, and the installation, from this host
    #[command(after_help = "Examples:
  holdfast local reset
  holdfast local reset --yes --data-dir /srv/holdfast

The server must not be running. Every node is killed and every volume deleted.")]
    Reset(ResetOptions),
    /// Volumes of your own on this host: attach one to a node, and it belongs to the node
    Volume(super::user_volumes::VolumeCommand),
    /// Elastic IPs of this host: addresses that lead to a node wherever it runs
    Address(super::addresses::AddressCommand),
    /// Prices, capacity and quota of the markets: play droughts, see where nodes go
    Market(MarketCommand),
}

/// `holdfast local market …`.
#[derive(Debug, Args)]
#[command(
    after_help = "TYPE is an instance type (t3.small), ZONE a zone (local-1a); \"all\" means every one."
)]
pub struct MarketCommand {
    /// Which server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Write JSON for programs instead of tables
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: MarketVerb,
}

/// What to do with markets.
#[derive(Debug, Subcommand)]
pub enum MarketVerb {
    /// List markets: price, capacity, quota, and how many instances run
    #[command(after_help = "Examples:
  holdfast local market list
  holdfast local market list t3.small
  holdfast local market list all local-1a --json
  holdfast local market list --changed")]
    List {
        /// Of this instance type
        #[arg(value_name = "TYPE", default_value = ALL)]
        instance_type: String,
        /// In this zone
        #[arg(value_name = "ZONE", default_value = ALL)]
        zone: String,
        /// Only where something was set
        #[arg(long)]
        changed: bool,
    },
    /// Set price, capacity or quota; what is not named stays, and what runs goes on
    #[command(after_help = "Examples:
  holdfast local market set t3.small local-1a --spot-capacity 0
  holdfast local market set all local-1a --spot-capacity 0 --interrupt
  holdfast local market set t3.small local-1b --price 0.03 --quota 2
  holdfast local market set all all --usual")]
    Set(MarketSetting),
}

/// What is set for markets.
#[derive(Debug, Args)]
pub struct MarketSetting {
    /// The instance type, or all
    #[arg(value_name = "TYPE")]
    pub instance_type: String,
    /// The zone, or all
    pub zone: String,
    /// How many spot instances there is room for (a number, or any)
    #[arg(long, value_name = "N")]
    pub spot_capacity: Option<Number>,
    /// What spot costs, in US dollars for an hour (or usual)
    #[arg(long, alias = "spot-price", value_name = "USD")]
    pub price: Option<Price>,
    /// How many spot instances you may have (a number, or any)
    #[arg(long, value_name = "N")]
    pub spot_quota: Option<Number>,
    /// How many on-demand instances there is room for (a number, or any)
    #[arg(long, value_name = "N")]
    pub on_demand_capacity: Option<Number>,
    /// What on-demand costs, in US dollars for an hour (or usual)
    #[arg(long, value_name = "USD")]
    pub on_demand_price: Option<Price>,
    /// How many on-demand instances you may have (a number, or any)
    #[arg(long, value_name = "N")]
    pub on_demand_quota: Option<Number>,
    /// How many of each you may have: --spot-quota and --on-demand-quota in one
    #[arg(long, value_name = "N", conflicts_with_all = ["spot_quota", "on_demand_quota"])]
    pub quota: Option<Number>,
    /// Forget all that was set for these markets; what else is given counts after that
    #[arg(long)]
    pub usual: bool,
    /// Take back the spot instances for which there is no room any more, newest first
    #[arg(long)]
    pub interrupt: bool,
    /// Announce that this long before, such as 120s
    #[arg(long, value_name = "SPAN", requires = "interrupt", value_parser = duration::parse)]
    pub notice: Option<Duration>,
}

/// Options of `holdfast local reset`.
#[derive(Debug, Args)]
pub struct ResetOptions {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub yes: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_has_examples() {
        let command = Arguments::command();
        let of = |name: &str| command.find_subcommand(name).unwrap().get_subcommands();
        for verb in of("node").chain(of("bench")) {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:"), "{}", verb.get_name());
        }
        let market = command.find_subcommand("local").unwrap().find_subcommand("market").unwrap();
        for verb in market.get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:"), "{}", verb.get_name());
        }
    }
}
