//! Everything that can happen to a replacement, one after the other: every single fault at every
//! deed of the controller.
//!
//! A [`Course`] is what is brought about; a [`Play`] is one course of one shape under way, which can
//! be copied at any instant. [`walk`] goes through a course once, and at each deed lets a copy of it
//! meet each fault ([`crate::upset::Upset`]).

pub mod course;
pub mod play;
pub mod point;
pub mod walk;

pub use course::{Course, SHAPES};
pub use play::Play;
pub use point::{Pair, Point};
