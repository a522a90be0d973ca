//! How a command speaks to people and to programs: the spans of time that it takes, the codes that it
//! ends with, what it prints and asks. It knows no server.

/// Spans of time.
pub mod duration;
/// How commands end.
mod exit;
/// What is printed.
mod print;

pub use exit::{CODES, Code, Failure};
pub use print::{complain, confirm, end, print, print_json, print_line_of_json};
