//! When a node that runs on demand may go back to spot (`strategy.revertToSpot`).

use super::reader::Reader;
use super::windows::Window;
use crate::Time;

/// The most windows in a spec.
const MAX_WINDOWS: usize = 50;
const EXAMPLE: &str = "[\"Mon:03:30-Wed:02:30\"]";

/// When it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revert {
    /// Never on Holdfast's own account: the next replacement decides anew.
    Never,
    /// Whenever it pays.
    Always,
    /// Whenever it pays and one of `strategy.optimizationWindows` is open.
    Windows(Vec<Window>),
}

impl Revert {
    /// When it next may, if ever; `now` if it may now.
    #[must_use]
    pub fn next(&self, now: Time) -> Option<Time> {
        match self {
            Revert::Never => None,
            Revert::Always => Some(now),
            Revert::Windows(windows) => windows.iter().map(|w| w.next(now)).min(),
        }
    }
}

pub(super) fn read(r: &mut Reader<'_>) -> Revert {
    const NEVER: u8 = 0;
    const ALWAYS: u8 = 1;
    const WINDOW: u8 = 2;
    let texts = r.texts("strategy.optimizationWindows", EXAMPLE);
    if texts.len() > MAX_WINDOWS {
        let problem = format!("has {} windows", texts.len());
        let allowed = format!("at most {MAX_WINDOWS}");
        r.wrong("strategy.optimizationWindows", problem, &allowed, EXAMPLE);
        return Revert::Never;
    }
    let mut windows = Vec::new();
    for text in &texts {
        match Window::read(text) {
            Some(window) => windows.push(window),
            None => {
                let allowed = "ddd:hh:mm-ddd:hh:mm in UTC";
                let problem = format!("has \"{text}\"");
                r.wrong("strategy.optimizationWindows", problem, allowed, EXAMPLE);
            }
        }
    }
    let choices = [("never", NEVER), ("always", ALWAYS), ("timeWindow", WINDOW)];
    match r.one_of("strategy.revertToSpot.performAt", &choices, NEVER) {
        ALWAYS => Revert::Always,
        WINDOW => {
            if texts.is_empty() {
                let allowed = "at least one window when performAt is timeWindow";
                r.wrong("strategy.optimizationWindows", "is missing", allowed, EXAMPLE);
            }
            Revert::Windows(windows)
        }
        _ => Revert::Never,
    }
}
