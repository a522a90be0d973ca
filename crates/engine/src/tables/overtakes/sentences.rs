//! The table of what overtakes a replacement, in words.

use super::table::{End, If, OVERTAKES, Phase, Then, When};
use crate::context::progress::Report;

impl Phase {
    /// In words.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Phase::Any => "any replacement",
            Phase::Deleting => "the node is being deleted",
            Phase::Tidying => "only tidying up is left",
            Phase::Serving => "the next instance serves",
            Phase::Launched => "the launch has left, and its instance is known",
            Phase::Pausing => "the node is being paused",
            Phase::Before => "no next instance is known",
        }
    }
}

impl When {
    /// In words.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            When::Pause => "pause",
            When::Delete => "delete",
            When::Undelete => "undelete",
            When::Recycle => "recycle",
            When::Rollback => "rollback",
            When::Resume => "resume without an instance",
            When::Loss => "loss",
            When::Notice => "notice",
            When::Unwell => "unhealthy",
            When::Reappearance => "the instance that was lost shows again",
            When::LaunchLost => "the launch was carried out, and its instance is gone",
            When::LaunchRefused => "the launch was refused",
            When::Reported(Report::NoMarket) => "*launch*: no market is chosen",
            When::Reported(Report::MarketRefused) => {
                "*launch*: the market has no capacity or quota"
            }
            When::Reported(Report::SpecTakenUp) => "*launch*: a person has mended the spec",
            When::Reported(Report::ProbeRefused) => "*probe*: the market has no capacity",
            When::Reported(Report::NoSpot) => "*place*, *probe*: no spot market has capacity",
            When::AllDone => "every row is done",
        }
    }
}

impl If {
    /// In words.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            If::Always => "-",
            If::HasInstance => "the node has an instance",
            If::Untouched => "nothing was done to it",
            If::NoCreationOpen => "nothing is being made",
            If::NotCompletedFirst => {
                "nothing is being made, and no instance is to be completed before it is let go"
            }
            If::NothingLeft => "nothing is being made, and no launch may have left",
            If::HasContent => "no launch may have left, and the node is not new",
        }
    }
}

impl Then {
    /// In words.
    #[must_use]
    pub fn says(self) -> String {
        let says = match self {
            Then::Close(End::Completed) => "it is complete",
            Then::Close(End::LostAgain) => {
                "it ends as lost before ready; the next one fences and captures"
            }
            Then::Close(End::Overtaken) => "it ends as overtaken",
            Then::Close(End::NotBegun) => "it ends without a trace",
            Then::TurnInto(kind) => return format!("it turns into {}", kind.name()),
            Then::Join => "it goes on as a rollback, and captures again",
            Then::BackToPlace => "back to *place*, and *capture* again",
            Then::ProbeAnew => "back to *place*",
            Then::TakeBack => "the root's head goes back to where it was",
            Then::TakeRoot => "the root that it left is the newest",
            Then::LearnRoot => "its root is noted if it was ever seen",
            Then::Cool => "the market is left alone for a while",
            Then::TellFound => "people are told",
        };
        says.to_owned()
    }
}

/// The table as Markdown, for the documentation.
#[must_use]
pub fn render() -> String {
    let mut text = String::from("| while | when | if | then |\n|---|---|---|---|\n");
    for line in OVERTAKES {
        let when: Vec<&str> = line.when.iter().map(|when| when.says()).collect();
        let then: Vec<String> = line.then.iter().map(|then| then.says()).collect();
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            line.phase.says(),
            when.join(", "),
            line.provided.says(),
            then.join("; "),
        ));
    }
    text
}
