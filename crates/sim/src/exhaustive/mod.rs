//! Everything that can happen to a replacement, one after the other: every single fault at every
//! deed of the controller, and every pair of them.
//!
//! A [`Course`] is what is brought about; a [`Play`] is one course of one shape under way, which can
//! be copied at any instant. [`walk`] goes through a course once, and at each deed lets a copy of it
//! meet each fault ([`crate::upset::Upset`]). [`pairs`] goes on from each of these copies, and lets
//! a second fault happen at each later deed; [`sum`] adds them up.

pub mod course;
pub mod pairs;
pub mod play;
pub mod point;
pub mod sum;
pub mod walk;

pub use course::{Course, SHAPES};
pub use pairs::{Cell, Outcome, Plan};
pub use play::Play;
pub use point::{Pair, Point};
pub use sum::Sum;
