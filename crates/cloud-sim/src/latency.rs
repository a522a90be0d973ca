//! How long things take, as a function of what they are about: the seed, the node, the part of it,
//! its generation. So the order of calls changes no latency, and whoever works out a bound beside a
//! run sees the times that the run will see.

use crate::config::{SimConfig, Span};
use crate::rng::SplitMix64;
use crate::world::World;
use holdfast_model::Time;
use holdfast_model::tags::{self, Tags};

/// What takes time by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Latency {
    /// `pending` to `running`.
    Pending,
    /// `running` until the agent answers.
    Boot,
    /// Gate open until the status checks pass.
    Healthy,
    /// TerminateInstances to `terminated`.
    ShuttingDown,
    /// Power cut to `terminated`.
    Cut,
    /// `terminated` until volumes and interface are free.
    Release,
    /// The shutdown script.
    Drain,
    /// Volume `creating`.
    VolumeCreating,
    /// Volume `attaching`.
    Attaching,
    /// Volume `detaching`.
    Detaching,
    /// Volume `deleting`.
    Deleting,
    /// Snapshot `pending`.
    Snapshot,
    /// Image `pending`.
    Image,
    /// An interruption's announcement to the notice's arrival.
    Notice,
    /// Interface `attaching`.
    InterfaceAttaching,
    /// Interface `detaching`.
    InterfaceDetaching,
}

impl Latency {
    fn span(self, config: &SimConfig) -> Span {
        match self {
            Latency::Pending => config.pending,
            Latency::Boot => config.boot,
            Latency::Healthy => config.healthy,
            Latency::ShuttingDown => config.shutting_down,
            Latency::Cut => config.cut,
            Latency::Release => config.release,
            Latency::Drain => config.drain,
            Latency::VolumeCreating => config.volume_creating,
            Latency::Attaching => config.attaching,
            Latency::Detaching => config.detaching,
            Latency::Deleting => config.deleting,
            Latency::Snapshot => config.snapshot,
            Latency::Image => config.image,
            Latency::Notice => config.notice,
            Latency::InterfaceAttaching => config.interface_attaching,
            Latency::InterfaceDetaching => config.interface_detaching,
        }
    }

    /// The draw for one subject, in milliseconds.
    pub(crate) fn draw(self, config: &SimConfig, seed: u64, subject: &str) -> u64 {
        // FNV-1a gathers the subject; SplitMix64 spreads it.
        const PRIME: u64 = 0x0000_0100_0000_01B3;
        let hash = subject
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |h: u64, byte| (h ^ u64::from(byte)).wrapping_mul(PRIME));
        let mut rng = SplitMix64::new(seed ^ hash.rotate_left(self as u32));
        rng.draw();
        self.span(config).draw(&mut rng)
    }
}

/// What a latency is about: a part of a node (`instance`, `root`, `data:/dev/xvdb`, …) in one of
/// its generations.
#[must_use]
pub fn subject(node: &str, role: &str, generation: u64) -> String {
    format!("{node}/{role}/{generation}")
}

/// The subject that a resource's tags name; its id, if they name none.
pub(crate) fn subject_of(tags: &Tags, id: &str) -> String {
    let generation = tags.get(tags::GENERATION).and_then(|g| g.parse().ok());
    match (tags.get(tags::NODE), tags.get(tags::ROLE), generation) {
        (Some(node), Some(role), Some(generation)) => subject(node, role, generation),
        _ => id.to_owned(),
    }
}

impl World {
    /// When something about a subject will be over that begins now.
    pub(crate) fn ends(&self, what: Latency, subject: &str) -> Time {
        self.now.plus(what.draw(&self.config, self.seed, subject))
    }
}
