//! Attacks on people and on what they keep, through the program as people use it.

mod records;
mod terminal;
