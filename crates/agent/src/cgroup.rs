//! One control group per instance, under `holdfast/nodes/` of every hierarchy that matters: v2, v1,
//! or both. Nothing outside `holdfast/` is ever written to, except that on v2 the controllers are
//! switched on for the children of the hierarchy's root, without which no limit can exist.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Limits;
use crate::error::{AgentError, Doing, Result};

/// A removal waits for the kernel to let go of the last process: tries, with 10 ms between.
const REMOVE_TRIES: u32 = 100;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);
/// Where there is no `cgroup.kill`: how often the list of processes is killed until it is empty.
const KILL_ROUNDS: u32 = 200;
/// The length of a v1/v2 bandwidth period, in microseconds: the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// Of a node's memory, one part in so many may be held by its connections.
const TCP_PART: u64 = 8;
/// Of the host's memory, one part in so many stays out of the nodes' reach.
const HOST_MEMORY_PART: u64 = 16;
/// Of the host's processes and threads, the nodes together may be one part in so many.
const HOST_IDS_PART: u64 = 2;
/// `cpu.cfs_quota_us` is never below this; the kernel refuses less.
const CPUS_MIN: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A v1 hierarchy with at least one of memory, cpu, pids.
    V1,
    /// v1 without a controller, kept by systemd: membership only.
    V1Named,
    /// The unified hierarchy.
    V2,
}

#[derive(Debug, Clone)]
struct Hierarchy {
    kind: Kind,
    mount: PathBuf,
    controllers: Vec<String>,
}

/// The control group of one instance.
#[derive(Debug, Clone)]
pub struct Cgroup {
    /// The group in each hierarchy.
    places: Vec<(Hierarchy, PathBuf)>,
    /// The limits that are in force; the host may lack a controller.
    limited: Vec<&'static str>,
}

impl Cgroup {
    /// Creates the group of instance `name` with `limits`, each capped to what the host has.
    /// A group that exists already is taken over and its limits are set again.
    ///
    /// # Errors
    /// `Invalid` for a name that is not one path component, `Io` naming the file, and `Invalid`
    /// when no hierarchy is mounted at all.
    pub fn create(name: &str, limits: &Limits) -> Result<Self> {
        let mut group = Self::at(&Path::new("nodes").join(component(name)?))?;
        for (hierarchy, path) in &group.places {
            if hierarchy.kind == Kind::V2 {
                enable_controllers(hierarchy, path)?;
            }
            fs::create_dir_all(path)
                .doing(|| format!("making control group {}", path.display()))?;
        }
        group.limited = group.limit(limits)?;
        group.limit_together();
        Ok(group)
    }

    /// The group of instance `name`, existing or not.
    ///
    /// # Errors
    /// As [`Cgroup::create`].
    pub fn open(name: &str) -> Result<Self> {
        Self::at(&Path::new("nodes").join(component(name)?))
    }

    /// The group that all shims share. It has no limits: it only takes them out of the server's
    /// own group, so that a service manager that stops the server leaves the nodes alone.
    pub(crate) fn shims() -> Result<Self> {
        let group = Self::at(Path::new("shims"))?;
        for (_, path) in &group.places {
            fs::create_dir_all(path)
                .doing(|| format!("making control group {}", path.display()))?;
        }
        Ok(group)
    }

    fn at(below: &Path) -> Result<Self> {
        let places: Vec<_> = hierarchies()?
            .into_iter()
            .map(|h| {
                let path = h.mount.join("holdfast").join(below);
                (h, path)
            })
            .collect();
        if places.is_empty() {
            return Err(AgentError::Invalid(
                "no control group hierarchy is mounted; mount one: \
                 mount -t cgroup2 none /sys/fs/cgroup"
                    .into(),
            ));
        }
        Ok(Self { places, limited: Vec::new() })
    }

    /// Which limits are in force: of `cpu`, `memory`, `pids`.
    pub fn limited(&self) -> &[&'static str] {
        &self.limited
    }

    /// Moves the calling process into the group, in every hierarchy.
    ///
    /// # Errors
    /// `Io` naming the group.
    pub fn join(&self) -> Result<()> {
        for (_, path) in &self.places {
            // 0 is the writer itself: right in any pid namespace.
            fs::write(path.join("cgroup.procs"), "0")
                .doing(|| format!("joining control group {}", path.display()))?;
        }
        Ok(())
    }

    /// The processes in the group, as the caller's pid namespace numbers them.
    ///
    /// # Errors
    /// `Io`; a group that does not exist has no processes.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut found = Vec::new();
        for (_, path) in &self.places {
            match fs::read_to_string(path.join("cgroup.procs")) {
                Ok(text) => found.extend(text.lines().filter_map(|l| l.parse::<i32>().ok())),
                Err(e) if gone(&e) => {}
                Err(e) => return Err(e).doing(|| format!("reading {}", path.display())),
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Kills every process in the group: at once where the kernel has `cgroup.kill`, otherwise
    /// by repeated signals until none is left.
    ///
    /// # Errors
    /// `Io`, or `TimedOut` when processes were still being made after the last round.
    pub fn kill(&self) -> Result<()> {
        for (hierarchy, path) in &self.places {
            if hierarchy.kind == Kind::V2 {
                match fs::write(path.join("cgroup.kill"), "1") {
                    Ok(()) => return Ok(()),
                    // Linux before 5.14, or the group is gone.
                    Err(e) if gone(&e) => {}
                    Err(e) => return Err(e).doing(|| format!("killing {}", path.display())),
                }
            }
        }
        for _ in 0..KILL_ROUNDS {
            let processes = self.processes()?;
            if processes.is_empty() {
                return Ok(());
            }
            for pid in processes.into_iter().filter(|pid| *pid > 1) {
                // It may have ended in between, which is what is wanted.
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(AgentError::TimedOut {
            doing: "killing the node's control group".into(),
            limit_ms: KILL_ROUNDS.into(),
        })
    }

    /// Removes the group. One that is gone already is no error.
    ///
    /// # Errors
    /// `Io` when processes stay in it; kill it first.
    pub fn remove(&self) -> Result<()> {
        for (_, path) in &self.places {
            let mut tries = 0;
            loop {
                match fs::remove_dir(path) {
                    Ok(()) => break,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                    Err(e) if e.raw_os_error() == Some(libc::EBUSY) && tries < REMOVE_TRIES => {
                        tries += 1;
                        std::thread::sleep(REMOVE_PAUSE);
                    }
                    Err(e) => {
                        return Err(e)
                            .doing(|| format!("removing control group {}", path.display()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes `holdfast/` itself from every hierarchy, for a host that is to show no trace. Groups
    /// that are in use stay, and so does what is above them.
    ///
    /// # Errors
    /// `Io` naming the group.
    pub fn remove_base() -> Result<()> {
        for hierarchy in hierarchies()? {
            for below in ["holdfast/nodes", "holdfast/shims", "holdfast"] {
                let path = hierarchy.mount.join(below);
                match fs::remove_dir(&path) {
                    Ok(()) => {}
                    Err(e) if gone(&e) => {}
                    // Children, or processes.
                    Err(e) if matches!(e.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY)) => {}
                    Err(e) => {
                        return Err(e)
                            .doing(|| format!("removing control group {}", path.display()));
                    }
                }
            }
        }
        Ok(())
    }

    fn limit(&self, limits: &Limits) -> Result<Vec<&'static str>> {
        let cpus = u64::from(limits.cpus.max(CPUS_MIN)).min(host_cpus());
        let memory = memory_bytes(limits)?;
        let quota = cpus * CPU_PERIOD_US;
        let mut limited = Vec::new();
        for (hierarchy, path) in &self.places {
            let set = |file: &str, value: String| -> Result<bool> {
                let file = path.join(file);
                match fs::write(&file, &value) {
                    Ok(()) => Ok(true),
                    // The kernel was built without it, or the controller is not delegated to us.
                    Err(e) if gone(&e) => Ok(false),
                    Err(e) => Err(e).doing(|| format!("writing {value} to {}", file.display())),
                }
            };
            let has = |controller: &str| hierarchy.controllers.iter().any(|c| c == controller);
            let (memory_ok, cpu_ok, pids_ok) = match hierarchy.kind {
                Kind::V1Named => continue,
                Kind::V1 => {
                    let memory_ok =
                        has("memory") && set("memory.limit_in_bytes", memory.to_string())? && {
                            // With swap, which would otherwise be all of the host's; and what
                            // connections hold, which v1 does not count as memory.
                            set("memory.memsw.limit_in_bytes", memory.to_string())?;
                            let tcp = memory / TCP_PART;
                            set("memory.kmem.tcp.limit_in_bytes", tcp.to_string())?;
                            true
                        };
                    let cpu_ok = has("cpu") && {
                        set("cpu.cfs_period_us", CPU_PERIOD_US.to_string())?;
                        set("cpu.cfs_quota_us", quota.to_string())?
                    };
                    let pids_ok = has("pids") && set("pids.max", limits.pids_max.to_string())?;
                    (memory_ok, cpu_ok, pids_ok)
                }
                Kind::V2 => (
                    has("memory") && set("memory.max", memory.to_string())? && {
                        set("memory.swap.max", "0".to_owned())?;
                        true
                    },
                    has("cpu") && set("cpu.max", format!("{quota} {CPU_PERIOD_US}"))?,
                    has("pids") && set("pids.max", limits.pids_max.to_string())?,
                ),
            };
            for (ok, name) in [(cpu_ok, "cpu"), (memory_ok, "memory"), (pids_ok, "pids")] {
                if ok {
                    limited.push(name);
                }
            }
        }
        limited.sort_unstable();
        Ok(limited)
    }

    /// What all nodes together leave to the host, however many there are. A host on which this
    /// cannot be set has the limits of each node all the same.
    fn limit_together(&self) {
        let together = host_memory_bytes().map(|memory| memory - memory / HOST_MEMORY_PART);
        let ids = host_ids().map(|ids| ids / HOST_IDS_PART);
        for (hierarchy, path) in &self.places {
            let Some(nodes) = path.parent() else { continue };
            let memory_file = match hierarchy.kind {
                Kind::V1Named => continue,
                Kind::V1 => "memory.limit_in_bytes",
                Kind::V2 => "memory.max",
            };
            for (controller, file, value) in
                [("memory", memory_file, &together), ("pids", "pids.max", &ids)]
            {
                if !hierarchy.controllers.iter().any(|c| c == controller) {
                    continue;
                }
                let file = nodes.join(file);
                match value {
                    Ok(value) => {
                        let written = fs::write(&file, value.to_string());
                        if let Err(e) = written {
                            eprintln!(
                                "the nodes have no limit together in {}: {e}",
                                file.display()
                            );
                        }
                    }
                    Err(e) => eprintln!("the nodes have no limit together: {e}"),
                }
            }
        }
    }
}

fn gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::EACCES))
}

fn component(name: &str) -> Result<&str> {
    let fine = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    if (1..=64).contains(&name.len()) && name.bytes().all(fine) {
        Ok(name)
    } else {
        Err(AgentError::Invalid(format!("{name:?} cannot name a control group")))
    }
}

/// On v2 a group has only the controllers that each of its ancestors hands down.
fn enable_controllers(hierarchy: &Hierarchy, path: &Path) -> Result<()> {
    let mut ancestors: Vec<&Path> =
        path.ancestors().skip(1).take_while(|p| p.starts_with(&hierarchy.mount)).collect();
    ancestors.reverse();
    for ancestor in ancestors {
        fs::create_dir_all(ancestor)
            .doing(|| format!("making control group {}", ancestor.display()))?;
        for controller in ["cpu", "memory", "pids"] {
            if hierarchy.controllers.iter().any(|c| c == controller) {
                let file = ancestor.join("cgroup.subtree_control");
                fs::write(&file, format!("+{controller}"))
                    .doing(|| format!("switching on {controller} in {}", file.display()))?;
            }
        }
    }
    Ok(())
}

/// The hierarchies that are mounted, from `/proc/self/mountinfo` (proc(5)).
fn hierarchies() -> Result<Vec<Hierarchy>> {
    let text = fs::read_to_string("/proc/self/mountinfo")
        .doing(|| "reading /proc/self/mountinfo".into())?;
    Ok(parse_hierarchies(&text, |mount| {
        fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default()
    }))
}

fn parse_hierarchies(text: &str, v2_controllers: impl Fn(&Path) -> String) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in text.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (Some(mount), mut right) = (left.split(' ').nth(4), right.split(' ')) else { continue };
        let mount = PathBuf::from(mount);
        let (fs_type, _source, options) = (right.next(), right.next(), right.next());
        let hierarchy = match fs_type {
            Some("cgroup2") => {
                let controllers = v2_controllers(&mount);
                let controllers = controllers.split_whitespace().map(str::to_owned).collect();
                Hierarchy { kind: Kind::V2, mount, controllers }
            }
            Some("cgroup") => {
                let options: Vec<&str> = options.unwrap_or_default().split(',').collect();
                let controllers: Vec<String> = options
                    .iter()
                    .filter(|o| matches!(**o, "cpu" | "memory" | "pids"))
                    .map(|o| (*o).to_owned())
                    .collect();
                if !controllers.is_empty() {
                    Hierarchy { kind: Kind::V1, mount, controllers }
                } else if options.contains(&"name=systemd") {
                    Hierarchy { kind: Kind::V1Named, mount, controllers }
                } else {
                    continue;
                }
            }
            _ => continue,
        };
        // The same hierarchy may be mounted twice; one mount of it is enough.
        let same =
            |h: &Hierarchy| h.kind == hierarchy.kind && h.controllers == hierarchy.controllers;
        if !found.iter().any(same) {
            found.push(hierarchy);
        }
    }
    found
}

/// How much memory a node with these limits has, in bytes: no more than the host.
pub(crate) fn memory_bytes(limits: &Limits) -> Result<u64> {
    Ok(limits.memory_bytes.min(host_memory_bytes()?))
}

fn host_cpus() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u64)
}

/// How many processes and threads the host can have.
fn host_ids() -> Result<u64> {
    let mut least = u64::MAX;
    for path in ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"] {
        let text = fs::read_to_string(path).doing(|| format!("reading {path}"))?;
        let number = text.trim().parse::<u64>();
        let number = number.map_err(|_| AgentError::Protocol(format!("{path} is no number")))?;
        least = least.min(number);
    }
    Ok(least)
}

fn host_memory_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").doing(|| "reading /proc/meminfo".into())?;
    text.lines()
        .find_map(|l| l.strip_prefix("MemTotal:"))
        .and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| AgentError::Protocol("/proc/meminfo has no MemTotal".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_hosts_give_the_v1_controllers_and_the_unified_hierarchy() {
        let text = "\
31 28 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n\
32 28 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
33 28 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
34 28 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
35 28 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw,nsdelegate\n";
        let found = parse_hierarchies(text, |_| String::new());
        let kinds: Vec<_> = found.iter().map(|h| (h.kind, h.controllers.join(","))).collect();
        assert_eq!(
            kinds,
            [
                (Kind::V1, "cpu".to_owned()),
                (Kind::V1, "memory".to_owned()),
                (Kind::V1Named, String::new()),
                (Kind::V2, String::new()),
            ]
        );
    }

    #[test]
    fn a_name_with_a_slash_is_refused() {
        assert!(Cgroup::open("../other").is_err());
        assert!(Cgroup::open("").is_err());
    }
}
