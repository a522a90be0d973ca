//! A record that is being put together.

use crate::context::scene::Scene;
use holdfast_model::adoption::{Candidate, Heads, Question};
use holdfast_model::facts::Fact;
use holdfast_model::{Record, Spec};
use std::sync::Arc;

/// What is being put together.
pub(crate) struct Work<'a> {
    pub record: Record,
    pub spec: Arc<Spec>,
    pub facts: Vec<&'a Fact>,
    pub heads: &'a Heads,
    pub scene: &'a Scene<'a>,
    pub questions: Vec<Question>,
}

impl Work<'_> {
    pub(crate) fn ask(&mut self, part: &str, why: String, candidates: Vec<Candidate>) {
        self.questions.push(Question { part: part.to_owned(), why, candidates });
    }

    /// What a person said of a part.
    pub(crate) fn head(&self, part: &str) -> Option<String> {
        self.heads.get(part).cloned()
    }
}
