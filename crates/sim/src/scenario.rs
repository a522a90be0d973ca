//! What a seed draws: nodes of random shapes, which faults are on and how often, and what happens
//! when. A [`Mix`] leaves parts of it out, so that a failing history can be made smaller.

use crate::shape::Shape;
use holdfast_cloud_sim::Class;
use holdfast_cloud_sim::rng::SplitMix64;
use holdfast_model::Row;
use holdfast_model::time::{MINUTE, SECOND};
use std::collections::BTreeSet;

/// The most nodes of one run.
pub const MAX_NODES: u64 = 4;
/// Actions of one run, at least and at most.
pub const ACTIONS: (u64, u64) = (40, 80);

/// Which parts of what a seed draws take place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// Classes of faults that may be on.
    pub classes: BTreeSet<Class>,
    /// Only the first so many nodes.
    pub nodes: Option<usize>,
    /// Only the first so many actions.
    pub actions: Option<usize>,
    /// Actions that are left out.
    pub skipped: BTreeSet<usize>,
}

impl Default for Mix {
    /// The ordinary mix: everything.
    fn default() -> Mix {
        Mix {
            classes: Class::ALL.into_iter().collect(),
            nodes: None,
            actions: None,
            skipped: BTreeSet::new(),
        }
    }
}

/// Something that happens to a node, or that its user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Its host fails.
    Kill,
    /// The cloud takes its instance back, without notice.
    TakeBack,
    /// The cloud takes its instance back, with so many milliseconds' notice.
    Notice(u64),
    /// Its status checks fail.
    Impair,
    /// The user wants another instance.
    Recycle,
    /// The user pauses it.
    Pause,
    /// The user resumes it.
    Resume,
    /// The user wants other instance types.
    Retype,
    /// The user gives it up, and makes another one in its place.
    GiveUp,
    /// Somebody deletes one of its resources; the number chooses.
    DeleteBehind(u64),
    /// Spot capacity is gone everywhere for so many milliseconds.
    DrySpot(u64),
    /// All capacity of one zone is gone for so many milliseconds.
    DryZone(usize, u64),
    /// All capacity is gone everywhere for so many milliseconds, while the user wants another
    /// instance.
    DryAll(u64),
    /// The controller is killed.
    KillController,
}

/// A deed, and how long nothing else is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// Its place in what the seed drew.
    pub number: usize,
    /// Which node.
    pub node: usize,
    /// What.
    pub deed: Deed,
    /// If it is to meet a row of the node's replacement: it waits for a while until that row has
    /// begun. So what is seldom and short is met as well.
    pub at: Option<Row>,
    /// Milliseconds until the next one.
    pub then: u64,
}

/// Everything that a seed draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The nodes.
    pub shapes: Vec<Shape>,
    /// Which faults are on, and how often, per million of what they can happen to.
    pub chances: Vec<(Class, u32)>,
    /// What happens.
    pub actions: Vec<Action>,
    /// Whether spot capacity is gone for good at the end, and only on-demand is left.
    pub ends_without_spot: bool,
    /// How often a node on demand looks for a way back to spot, in milliseconds.
    pub revert_interval: u64,
}

/// The greatest chance of a class, per million of what it can happen to (calls, Describes,
/// changes, effects, inputs, commits, boots). Chosen so that a replacement usually meets a few.
#[must_use]
pub fn most(class: Class) -> u32 {
    match class {
        Class::Capacity => 400_000,
        Class::Throttled => 150_000,
        Class::Refused => 30_000,
        Class::Permanent => 6_000,
        Class::Conflict | Class::LostReply | Class::LostRequest => 80_000,
        Class::LostDescribe => 150_000,
        Class::Stale | Class::Missing => 200_000,
        Class::SlowLaunch | Class::SlowTerminate => 150_000,
        Class::SlowAttach | Class::SlowSnapshot => 100_000,
        Class::SlowDetach => 200_000,
        Class::FailedSnapshot => 100_000,
        Class::NoticeLost | Class::NoticeLate | Class::NoticeDoubled | Class::NoticeUnknown => {
            400_000
        }
        Class::Death => 25_000,
        // Drawn as actions.
        Class::Deleted => 0,
        Class::Killed => 12_000,
        Class::ClockJump => 500_000,
        Class::Stall => 600,
        Class::StoreError => 30_000,
    }
}

impl Scenario {
    /// Draws. The same seed draws the same, whatever the mix leaves out of it.
    #[must_use]
    pub fn draw(seed: u64, mix: &Mix) -> Scenario {
        // Beside the cloud's own streams, which begin at the seed itself.
        let mut rng = SplitMix64::new(seed ^ 0x5ca1_ab1e_0ddb_a115);
        let nodes = rng.between(1, MAX_NODES) as usize;
        let shapes: Vec<Shape> = (0..nodes).map(|_| Shape::draw(&mut rng)).collect();
        let mut chances = Vec::new();
        for class in Class::ALL {
            let on = rng.between(0, 1) == 1;
            let most = most(class);
            let chance = rng.between(u64::from(most / 8), u64::from(most)) as u32;
            if on && mix.classes.contains(&class) {
                chances.push((class, chance));
            }
        }
        let length = rng.between(ACTIONS.0, ACTIONS.1) as usize;
        let actions: Vec<Action> =
            (0..length).map(|number| action(number, nodes, &mut rng)).collect();
        let ends_without_spot = rng.between(0, 3) == 0 && mix.classes.contains(&Class::Capacity);
        let revert_interval = rng.between(MINUTE, 10 * MINUTE);
        let kept = mix.nodes.unwrap_or(nodes).clamp(1, nodes);
        let is_on = |a: &Action| {
            a.node < kept
                && !mix.skipped.contains(&a.number)
                && a.deed.class().is_none_or(|class| mix.classes.contains(&class))
        };
        let actions =
            actions.into_iter().take(mix.actions.unwrap_or(usize::MAX)).filter(is_on).collect();
        let shapes = shapes[..kept].to_vec();
        Scenario { shapes, chances, actions, ends_without_spot, revert_interval }
    }
}

impl Deed {
    /// The class of faults that it is one of, if it is one.
    #[must_use]
    pub fn class(self) -> Option<Class> {
        match self {
            Deed::DeleteBehind(_) => Some(Class::Deleted),
            Deed::DrySpot(_) | Deed::DryZone(..) | Deed::DryAll(_) => Some(Class::Capacity),
            Deed::KillController => Some(Class::Killed),
            _ => None,
        }
    }
}

fn action(number: usize, nodes: usize, rng: &mut SplitMix64) -> Action {
    let node = rng.between(0, nodes as u64 - 1) as usize;
    let dry = rng.between(2 * MINUTE, 30 * MINUTE);
    let deed = match rng.between(0, 99) {
        0..=23 => Deed::Kill,
        24..=30 => Deed::TakeBack,
        31..=48 => Deed::Notice(if rng.between(0, 3) == 0 { 30 * SECOND } else { 2 * MINUTE }),
        49..=52 => Deed::Impair,
        53..=71 => Deed::Recycle,
        72..=76 => Deed::Pause,
        77..=84 => Deed::Resume,
        85..=87 => Deed::Retype,
        88..=89 => Deed::GiveUp,
        90..=91 => Deed::DeleteBehind(rng.draw()),
        92..=93 => Deed::DrySpot(dry),
        94..=95 => Deed::DryZone(rng.between(0, 2) as usize, dry),
        96 => Deed::DryAll(dry / 3),
        _ => Deed::KillController,
    };
    let then = match rng.between(0, 3) {
        0 => rng.between(0, 5 * SECOND),
        1 => rng.between(0, MINUTE),
        _ => rng.between(MINUTE, 5 * MINUTE),
    };
    let row = Row::ALL[rng.between(0, Row::ALL.len() as u64 - 1) as usize];
    let at = (rng.between(0, 3) == 0).then_some(row);
    Action { number, node, deed, at, then }
}
