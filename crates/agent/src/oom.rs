//! Who goes first when memory runs out.
//!
//! The kernel ends the largest process, and in a node with many small ones that is init: then the
//! node is gone, for the sake of one program in it. So the shim and init are left out, and whatever
//! else runs in a node goes before them: also where Holdfast itself lacks the capability
//! (CAP_SYS_RESOURCE, in a container, say) to leave them out.
//!
//! What init starts must not inherit its score, nor the right to have it back, which goes with the
//! *lowest* score that somebody with that capability has set. Only who has it can take the right
//! away.

use std::fs;
use std::io;

/// proc_pid_oom_score_adj(5): never chosen.
const NEVER: &str = "-1000";
/// As if it had a tenth of all memory beside its own: more than init ever has.
const BEFORE_INIT: &str = "100";
/// In whichever `/proc` the caller sees.
const OWN_SCORE: &str = "/proc/self/oom_score_adj";

/// Leaves the calling process, and what it forks, out. Needs CAP_SYS_RESOURCE.
pub(crate) fn spare_this_process() -> io::Result<()> {
    fs::write(OWN_SCORE, NEVER)
}

/// Whether the calling process is left out.
pub(crate) fn is_spared() -> bool {
    fs::read_to_string(OWN_SCORE).is_ok_and(|score| score.trim() == NEVER)
}

/// Puts the calling process, and what it starts, before init and the host's own. With
/// CAP_SYS_RESOURCE it cannot go back to less without it.
pub(crate) fn go_before_init() -> io::Result<()> {
    match fs::write(OWN_SCORE, BEFORE_INIT) {
        // That is refused only to who goes even earlier.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}
