//! Which process is that? A number is used again; a number with a start time and a boot is not.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::error::{AgentError, Doing, Result};
use crate::sys;

/// A process, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub pid: i32,
    /// Clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
    pub start_ticks: u64,
}

/// What the shim leaves in `DIR/running.json` for a restarted server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub instance_id: String,
    pub boot_id: String,
    pub shim: Identity,
    pub init: Identity,
}

impl Identity {
    pub fn of(pid: i32) -> Result<Self> {
        let start_ticks = start_ticks(pid).doing(|| format!("reading /proc/{pid}/stat"))?;
        Ok(Self { pid, start_ticks })
    }

    /// A pidfd of exactly this process, or `None` if it is gone.
    pub fn open(&self) -> Result<Option<OwnedFd>> {
        let doing = || format!("looking for process {}", self.pid);
        let pidfd = match sys::pidfd_open(self.pid) {
            Ok(pidfd) => pidfd,
            Err(e) if is_gone(&e) => return Ok(None),
            Err(e) => return Err(e).doing(doing),
        };
        // After opening: the pidfd holds whichever process had the number then, and if that one
        // has the right start time now, it is ours.
        match start_ticks(self.pid) {
            Ok(found) if found == self.start_ticks => Ok(Some(pidfd)),
            Ok(_) => Ok(None),
            Err(e) if is_gone(&e) => Ok(None),
            Err(e) => Err(e).doing(doing),
        }
    }
}

/// Whether there is no such process (any more). One that is being reaped in this moment has no file
/// for its pidfd: newer kernels then say `ENOENT`.
fn is_gone(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

fn start_ticks(pid: i32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_ticks(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse_start_ticks(stat: &str) -> Option<u64> {
    // The second field is the command in parentheses and may hold anything, parentheses too.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

pub(crate) fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path).doing(|| format!("reading {path}"))?;
    match text.trim() {
        "" => Err(AgentError::Protocol(format!("{path} is empty"))),
        id => Ok(id.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_start_time() {
        let mut stat = String::from("7 (a) b (c) S");
        for field in 4..=21 {
            stat.push_str(&format!(" {field}"));
        }
        stat.push_str(" 4242 23");
        assert_eq!(parse_start_ticks(&stat), Some(4242));
    }

    #[test]
    fn a_process_that_has_been_reaped_is_gone_whatever_the_kernel_calls_it() {
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let pid = i32::try_from(child.id()).expect("a pid");
        let identity = Identity::of(pid).expect("it is not reaped yet");
        child.wait().expect("its end");
        assert!(identity.open().expect("can be looked for").is_none());
        for code in [libc::ENOENT, libc::ESRCH] {
            assert!(is_gone(&io::Error::from_raw_os_error(code)));
        }
        assert!(!is_gone(&io::Error::from_raw_os_error(libc::EMFILE)));
    }

    #[test]
    fn a_recycled_number_is_not_the_same_process() {
        let me = i32::try_from(std::process::id()).expect("a pid");
        let mut identity = Identity::of(me).expect("this process exists");
        assert!(identity.open().expect("can be opened").is_some());
        identity.start_ticks += 1;
        assert!(identity.open().expect("can be looked for").is_none());
    }
}
