//! What is said while a trial goes on.

use std::io::IsTerminal;

/// One line of progress, on standard error: standard output is for what was found.
pub fn say(what: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("\x1b[2m·\x1b[0m {what}");
    } else {
        eprintln!("· {what}");
    }
}
