//! What a seed draws: nodes of random shapes, which faults are on and how often, and what happens
//! when. A [`Mix`] leaves parts of it out, so that a failing history can be made smaller.

use crate::people::Act;
use crate::shape::Shape;
use holdfast_cloud_sim::Class;
use holdfast_cloud_sim::rng::SplitMix64;
use holdfast_model::Row;
use holdfast_model::facts::MAX_PAGE;
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::Deallocation;
use std::collections::BTreeSet;

/// The most nodes of one run.
pub const MAX_NODES: u64 = 4;
/// Actions of one run, at least and at most.
pub const ACTIONS: (u64, u64) = (40, 80);

/// How many things a cloud shows on one page that makes every look one of many pages.
const SMALL_PAGE: usize = 3;
/// All five flags of a deallocation.
pub const ALL_FLAGS: u8 = 31;

/// One of the 32 combinations.
#[must_use]
pub fn flags(bits: u8) -> Deallocation {
    let is = |bit: u8| bits & bit != 0;
    Deallocation {
        should_delete_images: is(1),
        should_delete_network_interfaces: is(2),
        should_delete_volumes: is(4),
        should_delete_snapshots: is(8),
        should_terminate_instance: is(16),
    }
}

/// What people do that is drawn only where it is asked for, and why: the ordinary mix is what holds
/// whatever else happens.
pub const HELD_BACK: &[(Act, &str)] = &[
    (
        Act::DeletePart,
        "seed 61000153: tags that cannot be taken off what is let go count as left behind",
    ),
    (Act::Undelete, "what comes back is judged before what was let go is told apart"),
    (Act::UndeleteWithLoss, "what comes back is judged before what was let go is told apart"),
    (Act::RollbackGeneration, "400 histories break nothing any more: next to be taken up"),
    (Act::RollbackSnapshot, "as for a return to a generation"),
    (Act::DeleteVolume, "400 histories break nothing any more: next to be taken up"),
    (Act::AdoptKnown, "tried too little: what was not chosen is not followed to its end"),
    (Act::AdoptUnknown, "only a lost store leads to it"),
    (Act::Attach, "the ground truth does not follow volumes of users through replacements"),
    (Act::TakeAway, "the ground truth does not follow volumes of users through replacements"),
    (
        Act::LoseStore,
        "seed 920018: with adoption, a node that its user wants stays without a record",
    ),
];

/// Faults that are held back in the same way.
pub const HELD_BACK_FAULTS: &[(Class, &str)] = &[(
    Class::Blind,
    "seed 910087: one-writer; seeds 910080 and 910223: a snapshot no record speaks of",
)];

/// Which parts of what a seed draws take place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// Classes of faults that may be on.
    pub classes: BTreeSet<Class>,
    /// What people may do of their own accord. What they say to reach what they want, they say
    /// always.
    pub acts: BTreeSet<Act>,
    /// Only the first so many nodes.
    pub nodes: Option<usize>,
    /// Only the first so many actions.
    pub actions: Option<usize>,
    /// Actions that are left out.
    pub skipped: BTreeSet<usize>,
}

impl Default for Mix {
    /// The ordinary mix: every fault and every act that is not held back.
    fn default() -> Mix {
        let is_held = |act: &Act| HELD_BACK.iter().any(|(held, _)| held == act);
        let is_out = |class: &Class| HELD_BACK_FAULTS.iter().any(|(held, _)| held == class);
        Mix {
            classes: Class::ALL.into_iter().filter(|class| !is_out(class)).collect(),
            acts: Act::ALL.into_iter().filter(|act| !is_held(act)).collect(),
            nodes: None,
            actions: None,
            skipped: BTreeSet::new(),
        }
    }
}

impl Mix {
    /// Everything, with what is held back.
    #[must_use]
    pub fn wide() -> Mix {
        let classes = Class::ALL.into_iter().collect();
        Mix { classes, acts: Act::ALL.into_iter().collect(), ..Mix::default() }
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
    /// The user changes its spec.
    Change(Change),
    /// The user gives it up, and makes another one in its place; the bits say which kinds of
    /// resources go at once.
    GiveUp(u8),
    /// The user brings back a node that was given up; the number chooses, and says whether its loss
    /// is accepted.
    Undelete(u64, bool),
    /// The user returns to an earlier content, with or without the data of then.
    Rollback(To, Option<bool>),
    /// The user deletes one data volume of it if it is paused, and pauses it otherwise.
    DeleteVolume(u64),
    /// The user attaches a volume of their own to its instance.
    Attach,
    /// The user takes that away again.
    TakeAway,
    /// Somebody sets volumes of its instance to die with it: one, or all.
    Doom(u64),
    /// The controller's store is lost, and replaced by a backup of before; the number chooses.
    Restore(u64),
    /// The cloud shows nothing for so many milliseconds, or answers no Describe.
    Blind(u64, bool),
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

/// What is returned to; the number chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// A generation.
    Generation(u64),
    /// What was taken together with a snapshot.
    Snapshot(u64),
}

/// A change of a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Other instance types.
    Types,
    /// Another image.
    Image,
    /// Larger volumes of another type.
    Volumes,
    /// Another private address.
    Address,
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
    /// How long what a deletion does not select is kept, in milliseconds.
    pub grace: u64,
    /// How many things the cloud shows on one page.
    pub page: usize,
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
        Class::Deleted | Class::Blind => 0,
        Class::Killed => 12_000,
        Class::ClockJump => 500_000,
        Class::Stall => 600,
        Class::StoreError => 30_000,
        Class::SlowCommit => 15_000,
        Class::StuckSnapshot => 30_000,
        Class::Unshown => 20_000,
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
        let grace = rng.between(10 * MINUTE, 5 * HOUR);
        let page = if rng.between(0, 3) == 0 { SMALL_PAGE } else { MAX_PAGE };
        let kept = mix.nodes.unwrap_or(nodes).clamp(1, nodes);
        let is_on = |a: &Action| {
            a.node < kept
                && !mix.skipped.contains(&a.number)
                && a.deed.class().is_none_or(|class| mix.classes.contains(&class))
                && a.deed.act().is_none_or(|act| mix.acts.contains(&act))
        };
        let actions =
            actions.into_iter().take(mix.actions.unwrap_or(usize::MAX)).filter(is_on).collect();
        let shapes = shapes[..kept].to_vec();
        Scenario { shapes, chances, actions, ends_without_spot, revert_interval, grace, page }
    }
}

impl Deed {
    /// The class of faults that it is one of, if it is one.
    #[must_use]
    pub fn class(self) -> Option<Class> {
        match self {
            Deed::DeleteBehind(_) => Some(Class::Deleted),
            Deed::DrySpot(_) | Deed::DryZone(..) | Deed::DryAll(_) => Some(Class::Capacity),
            Deed::Blind(..) => Some(Class::Blind),
            Deed::KillController => Some(Class::Killed),
            _ => None,
        }
    }

    /// What somebody does by it of their own accord, if that is it.
    #[must_use]
    pub fn act(self) -> Option<Act> {
        match self {
            Deed::Recycle => Some(Act::Recycle),
            Deed::Pause => Some(Act::Pause),
            Deed::Resume => Some(Act::Resume),
            Deed::Change(Change::Types) => Some(Act::Update),
            Deed::Change(Change::Image) => Some(Act::UpdateImage),
            Deed::Change(Change::Volumes) => Some(Act::UpdateVolumes),
            Deed::Change(Change::Address) => Some(Act::UpdateAddress),
            Deed::GiveUp(ALL_FLAGS) => Some(Act::Delete),
            Deed::GiveUp(_) => Some(Act::DeletePart),
            Deed::Undelete(_, false) => Some(Act::Undelete),
            Deed::Undelete(_, true) => Some(Act::UndeleteWithLoss),
            Deed::Rollback(To::Generation(_), _) => Some(Act::RollbackGeneration),
            Deed::Rollback(To::Snapshot(_), _) => Some(Act::RollbackSnapshot),
            Deed::DeleteVolume(_) => Some(Act::DeleteVolume),
            Deed::Attach => Some(Act::Attach),
            Deed::TakeAway => Some(Act::TakeAway),
            Deed::Doom(_) => Some(Act::Doom),
            Deed::Restore(_) => Some(Act::LoseStore),
            _ => None,
        }
    }
}

fn action(number: usize, nodes: usize, rng: &mut SplitMix64) -> Action {
    let node = rng.between(0, nodes as u64 - 1) as usize;
    let dry = rng.between(2 * MINUTE, 30 * MINUTE);
    let deed = match rng.between(0, 999) {
        0..=199 => Deed::Kill,
        200..=259 => Deed::TakeBack,
        260..=419 => Deed::Notice(if rng.between(0, 3) == 0 { 30 * SECOND } else { 2 * MINUTE }),
        420..=459 => Deed::Impair,
        460..=629 => Deed::Recycle,
        630..=679 => Deed::Pause,
        680..=759 => Deed::Resume,
        760..=799 => Deed::Change(match rng.between(0, 3) {
            0 => Change::Types,
            1 => Change::Image,
            2 => Change::Volumes,
            _ => Change::Address,
        }),
        800..=819 => Deed::GiveUp(match rng.between(0, 2) {
            0 => ALL_FLAGS,
            _ => rng.between(0, u64::from(ALL_FLAGS)) as u8,
        }),
        820..=839 => Deed::Undelete(rng.draw(), rng.between(0, 1) == 0),
        840..=859 => {
            let which = rng.draw();
            let to =
                if which.is_multiple_of(2) { To::Generation(which) } else { To::Snapshot(which) };
            let data = [None, Some(false), Some(true)][rng.between(0, 2) as usize];
            Deed::Rollback(to, data)
        }
        860..=869 => Deed::DeleteVolume(rng.draw()),
        870..=884 => Deed::Doom(rng.draw()),
        885..=892 => Deed::Attach,
        893..=897 => Deed::TakeAway,
        898..=899 => Deed::Restore(rng.draw()),
        900..=919 => Deed::DeleteBehind(rng.draw()),
        920..=939 => Deed::DrySpot(dry),
        940..=959 => Deed::DryZone(rng.between(0, 2) as usize, dry),
        960..=967 => Deed::DryAll(dry / 3),
        968..=971 => {
            let long = rng.between(0, 3) == 0;
            let (least, most) = if long { (HOUR, 4 * HOUR) } else { (MINUTE, 40 * MINUTE) };
            Deed::Blind(rng.between(least, most), rng.between(0, 1) == 0)
        }
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
