//! What concerns the adoption of resources that no record accounts for.

use crate::facts::Fact;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Answers of a person: which resource stands for which part. Parts are `instance`, `root`,
/// `interface`, and device names; [`FRESH`] says that the part begins anew, and its content is
/// given up knowingly.
pub type Heads = BTreeMap<String, String>;

/// The answer that gives a part up.
pub const FRESH: &str = "fresh";

/// What could stand for a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// What is known of it.
    pub what: String,
}

/// What only a person can decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Which part of the node.
    pub part: String,
    /// What is not certain, and what would help.
    pub why: String,
    /// What could stand for it.
    pub candidates: Vec<Candidate>,
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.part, self.why)?;
        for (index, candidate) in self.candidates.iter().enumerate() {
            let before = if index == 0 { ". There is" } else { ", and" };
            write!(f, "{before} {} ({})", candidate.id, candidate.what)?;
        }
        Ok(())
    }
}

/// What one node has, or had, that no record accounts for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stray {
    /// Of which installation.
    pub installation: String,
    /// Of which node, by the tags.
    pub node: String,
    /// Whether it is of this installation: only then it can be adopted.
    pub ours: bool,
    /// The generation of this installation's record, if there is one.
    pub recorded: Option<u64>,
    /// What this means, and what would help.
    pub why: String,
    /// What an adoption would find without further answers.
    pub found: Option<String>,
    /// What only a person can decide.
    pub questions: Vec<Question>,
    /// The resources.
    pub resources: Vec<Fact>,
}
