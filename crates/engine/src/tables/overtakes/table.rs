//! The table of what overtakes a replacement.

use crate::context::progress::Report;
use holdfast_model::Kind;

/// How far a replacement is, as far as it matters to what overtakes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Anywhere.
    Any,
    /// A deletion.
    Deleting,
    /// Nothing but tidying up.
    Tidying,
    /// The new instance serves; what is superseded is deleted.
    Serving,
    /// The launch has left, and its instance is known.
    Launched,
    /// A pause.
    Pausing,
    /// Anything else: no new instance is known yet.
    Before,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The user wants the node to rest.
    Pause,
    /// The user gives up the node.
    Delete,
    /// The user takes the deletion back.
    Undelete,
    /// The user wants another instance.
    Recycle,
    /// The user wants an earlier content.
    Rollback,
    /// The node is to run, and has no instance.
    Resume,
    /// Its instance is lost.
    Loss,
    /// Its instance is taken back soon.
    Notice,
    /// Its instance fails its status check.
    Unwell,
    /// The instance that was taken for lost shows again and runs.
    Reappearance,
    /// The launch was carried out, and its instance has ended and is shown no more.
    LaunchLost,
    /// The launch was definitely refused: it has not left.
    LaunchRefused,
    /// A row reports.
    Reported(Report),
    /// Every row is done.
    AllDone,
}

/// What must hold besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum If {
    /// Nothing.
    Always,
    /// The node has an instance.
    HasInstance,
    /// Nothing has been done to the instance.
    Untouched,
    /// No call that makes something waits for its answer.
    NoCreationOpen,
    /// The same; and an instance that is to be let go has its volumes, or the node is stuck.
    NotCompletedFirst,
    /// No call that makes something waits for its answer, and no launch may have left.
    NothingLeft,
    /// No launch may have left, and the node is not new.
    HasContent,
}

/// How a replacement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It reached its end.
    Completed,
    /// The new instance was lost before it was ready.
    LostAgain,
    /// Something else overtook it.
    Overtaken,
    /// Nothing was given up for it, and nothing came of it: it leaves no trace in the history.
    NotBegun,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Then {
    /// It ends.
    Close(End),
    /// It goes on as another kind; rows that are done stay done.
    TurnInto(Kind),
    /// It goes on as a rollback, and captures again.
    Join,
    /// A market is chosen anew, and what that needs is captured.
    BackToPlace,
    /// A spot market is asked anew.
    ProbeAnew,
    /// The root's head is where it was before the launch.
    TakeBack,
    /// The root that the lost instance left is where the newest content is.
    TakeRoot,
    /// The root of the lost instance is noted, if it was ever seen.
    LearnRoot,
    /// The market is left alone for a while.
    Cool,
    /// People are told that the instance was only hidden.
    TellFound,
}

/// One line.
pub struct Line {
    /// How far the replacement is.
    pub phase: Phase,
    /// What happens.
    pub when: &'static [When],
    /// What must hold besides.
    pub provided: If,
    /// What is done, in this order.
    pub then: &'static [Then],
}

/// A line that was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Followed {
    /// Its place in [`OVERTAKES`].
    pub line: usize,
    /// What happened.
    pub when: When,
}

const fn line(phase: Phase, when: &'static [When], provided: If, then: &'static [Then]) -> Line {
    Line { phase, when, provided, then }
}

use If::{
    Always, HasContent, HasInstance, NoCreationOpen, NotCompletedFirst, NothingLeft, Untouched,
};
use Phase::{Any, Before, Deleting, Launched, Pausing, Serving, Tidying};
use Then::{
    BackToPlace, Close, Cool, Join, LearnRoot, ProbeAnew, TakeBack, TakeRoot, TellFound, TurnInto,
};
use When::{
    AllDone, Delete, LaunchLost, LaunchRefused, Loss, Notice, Pause, Reappearance, Recycle,
    Reported, Resume, Rollback, Undelete, Unwell,
};

/// The table. Of the lines of a phase the first that applies is followed; those of *any* phase come
/// before them.
#[rustfmt::skip]
pub const OVERTAKES: &[Line] = &[
    line(Any, &[LaunchLost], Always, &[TakeRoot, Close(End::LostAgain)]),
    line(Any, &[LaunchRefused], Always, &[TakeBack]),
    line(Any, &[Reported(Report::NoMarket)], Always, &[BackToPlace]),
    line(Any, &[Reported(Report::MarketRefused)], Always, &[BackToPlace]),
    line(Any, &[Reported(Report::SpecTakenUp)], Always, &[BackToPlace]),
    line(Any, &[Reported(Report::ProbeRefused)], Always, &[ProbeAnew]),
    line(Any, &[Reported(Report::NoSpot)], Always, &[Close(End::NotBegun)]),
    line(Any, &[AllDone], Always, &[Close(End::Completed)]),
    line(Deleting, &[Undelete], Always, &[Close(End::Overtaken)]),
    line(Tidying, &[Delete, Recycle, Rollback, Resume], Always, &[Close(End::Completed)]),
    line(Tidying, &[Pause], HasInstance, &[Close(End::Completed)]),
    line(Tidying, &[Loss, Notice, Unwell], Always, &[Close(End::Completed)]),
    line(Serving, &[Pause, Delete, Recycle, Rollback], Always, &[Close(End::Completed)]),
    line(Serving, &[Loss, Notice, Unwell], Always, &[Close(End::Completed)]),
    line(Launched, &[Loss], NoCreationOpen, &[LearnRoot, Cool, Close(End::LostAgain)]),
    line(Launched, &[Unwell], NoCreationOpen, &[LearnRoot, Close(End::LostAgain)]),
    line(Launched, &[Pause, Recycle, Rollback], NoCreationOpen, &[Close(End::Overtaken)]),
    line(Launched, &[Delete], NotCompletedFirst, &[Close(End::Overtaken)]),
    line(Pausing, &[Delete], NoCreationOpen, &[TurnInto(Kind::Delete)]),
    line(Before, &[Reappearance], Untouched, &[TellFound, Close(End::Overtaken)]),
    line(Before, &[Rollback], HasContent, &[Join]),
    line(Before, &[Pause], NothingLeft, &[TurnInto(Kind::Pause)]),
    line(Before, &[Delete], NothingLeft, &[TurnInto(Kind::Delete)]),
];
