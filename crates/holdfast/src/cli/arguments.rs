//! Every command with its options, its help and its examples.

mod local;
mod market;
mod server;

pub use local::{
    AddressCommand, AddressVerb, InstanceCommand, InstanceVerb, LocalCommand, PoolCommand,
    RebuildOptions, ResetOptions, UnaccountedCommand, UnaccountedVerb, VolumeCommand, VolumeVerb,
};
pub use market::{ALL, MarketCommand, MarketSetting, MarketVerb, Number, Price};
pub use server::{BackupOptions, CloudKind, ServeOptions};

use super::options::ServerOptions;
use clap::{Args, Parser, Subcommand, ValueEnum};
use holdfast_terminal::CODES;
use holdfast_terminal::duration;
use std::path::PathBuf;
use std::time::Duration;

/// Stateful machines on capacity that can be taken away
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, after_help = codes(), after_long_help = format!("Examples:
  holdfast serve
  holdfast node create -f examples/postgres.yaml
  holdfast node show postgres
  holdfast node interrupt postgres --notice 120s

{}", codes()))]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The exit codes; `node exec` has those of its command as well.
fn codes() -> String {
    format!(
        "{CODES}
  node exec ends with the exit code of its command; 125 if the node could not be entered"
    )
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
    /// Copy what Holdfast must not forget, whether the server runs or not
    #[command(after_help = "Examples:
  holdfast backup
  holdfast backup /root/holdfast-backup

The server makes such a copy at its start and every 6 hours; the newest 8 are kept.")]
    Backup(BackupOptions),
    /// What concerns this host's cloud as a whole
    #[command(subcommand)]
    Local(LocalCommand),
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
    ///
    /// The command gets a terminal of the node's if standard input and output are terminals, and
    /// pipes otherwise; never the caller's own terminal or files. What it starts in the
    /// background is not waited for, and what that prints after the command's end is lost.
    /// Until the node's volumes are mounted the command waits, 30 seconds at most.
    #[command(after_help = "Examples:
  holdfast node exec postgres -- psql -U postgres
  holdfast node exec redis -- redis-cli info replication
  holdfast node exec redis -- sh")]
    Exec {
        /// The node's name or id
        name: String,
        /// Give the command a terminal of the node's in any case
        #[arg(short = 't', long)]
        tty: bool,
        /// Enter also before the node's volumes are mounted (to look why they are not)
        #[arg(long)]
        before_gate: bool,
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
    /// As it goes over the wire.
    pub fn meant(self) -> holdfast_wire::Choice {
        match self {
            Decision::Wait => holdfast_wire::Choice::Wait,
            Decision::Retry => holdfast_wire::Choice::Retry,
            Decision::Restore => holdfast_wire::Choice::Restore,
        }
    }
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
        for verb in of("node") {
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
