//! From the host's view of the file system to the node's: runs in pid 1 of the new namespaces,
//! before its exec.
//!
//! Nothing is written to, and nothing mounted on, a path of the root volume until that volume is
//! `/`: its links were made by a node and would otherwise lead out to the host. And none of them is
//! followed then, for some of `/proc` lead to what this process still holds of the host. Nobody
//! else is in the tree yet, so a path that was found to be without links stays so.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::beneath::Directory;
use crate::cgroup;
use crate::config::NodeConfig;
use crate::error::{Doing, Result};
use crate::skeleton::HIDDEN;
use crate::sys;

/// The first line of files in `/etc` that are written again at every start.
const GENERATED: &str = "# Written by Holdfast at every start; remove this line to keep your own.";

/// Files of `/proc` that show the host, or more than a node should know. Those that the kernel
/// does not have are passed over.
const PROC_MASKED_FILES: &[&str] = &[
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/latency_stats",
    "/proc/kallsyms",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/vmcore",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/mtrr",
    "/proc/sysrq-trigger",
];
const PROC_MASKED_DIRS: &[&str] =
    &["/proc/acpi", "/proc/scsi", "/proc/asound", "/proc/dynamic_debug"];
const PROC_READ_ONLY: &[&str] = &["/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs"];

/// What lies in `/tmp`, `/dev/shm` and `/run` is in the node's memory. One part in so many each:
/// together less than all of it, so that a node can still be looked after when all are full.
const TMP_PART: u64 = 3;
const SHM_PART: u64 = 3;
const RUN_PART: u64 = 10;
/// Each is at least this large, in bytes.
const TMPFS_MIN_BYTES: u64 = 1024 * 1024;
/// The smallest page of Linux, in bytes.
const PAGE_BYTES: u64 = 4096;
/// Terminals at once. All nodes and the host's containers share 3,072 (`kernel.pty.max` without its
/// reserve).
const TERMINALS_MAX: u32 = 256;

const NONE: Option<&str> = None;

/// Makes the root volume `/`, with `/usr` over the host's, and leaves nothing of the host.
pub(crate) fn enter(config: &NodeConfig) -> Result<()> {
    let memory = cgroup::memory_bytes(&config.limits)?;
    // Slave, not private: an unmount on the host in the next milliseconds must not be held up by
    // our copies of its mounts.
    mount(NONE, "/", NONE, MsFlags::MS_SLAVE | MsFlags::MS_REC, NONE)
        .doing(|| "detaching from the host's mounts".into())?;
    let usr = sys::open_tree_clone(Path::new("/usr")).doing(|| "opening the host's /usr".into())?;
    sys::mount_set(usr.as_fd(), sys::MOUNT_ATTR_RDONLY | sys::MOUNT_ATTR_NODEV)
        .doing(|| "making the host's /usr read-only".into())?;

    let root_name = config.root_mount.display();
    let root = sys::open_tree_clone(&config.root_mount)
        .doing(|| format!("opening the root volume at {root_name}"))?;
    sys::mount_set(root.as_fd(), sys::MOUNT_ATTR_NODEV)
        .doing(|| format!("closing the root volume at {root_name} to devices"))?;
    sys::move_mount_to(root.as_fd(), &config.root_mount)
        .doing(|| format!("mounting the root volume at {root_name}"))?;
    std::env::set_current_dir(&config.root_mount).doing(|| format!("entering {root_name}"))?;
    // The old root ends up on top of the new one, and goes (pivot_root(2), `pivot_root(".", ".")`).
    nix::unistd::pivot_root(".", ".").doing(|| format!("making {root_name} the root"))?;
    umount2(".", MntFlags::MNT_DETACH).doing(|| "leaving the host's file systems".into())?;
    std::env::set_current_dir("/").doing(|| "entering the node's root".into())?;

    proc_mount()?;
    usr_mount(&usr)?;
    let nosuid = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    tmpfs("/tmp", &part_of(memory, TMP_PART, "1777"), nosuid)?;
    tmpfs("/run", &part_of(memory, RUN_PART, "0755"), nosuid)?;
    directory("/run/lock", 0o1777)?;
    dev_mount(memory)?;
    proc_restrict()?;
    generated_files(config)
}

/// Options of a tmpfs that holds at most one `part`th of the node's memory. By default it would be
/// half of the host's. As many files as pages: an empty one takes memory as well.
fn part_of(memory: u64, part: u64, mode: &str) -> String {
    let size = (memory / part).max(TMPFS_MIN_BYTES);
    format!("mode={mode},size={size},nr_inodes={}", size / PAGE_BYTES)
}

fn usr_mount(usr: &impl AsFd) -> Result<()> {
    let at = |name: &str| format!("/{HIDDEN}/usr/{name}");
    for name in ["upper", "work", "lower"] {
        directory(&at(name), 0o755)?;
    }
    let lower = at("lower");
    sys::move_mount_to(usr.as_fd(), Path::new(&lower))
        .doing(|| "mounting the host's /usr below the node's".into())?;
    let options =
        format!("lowerdir={lower},upperdir={},workdir={},index=off", at("upper"), at("work"));
    directory("/usr", 0o755)?;
    mount(Some("usr"), "/usr", Some("overlay"), MsFlags::MS_NODEV, Some(options.as_str()))
        .doing(|| "mounting /usr (an overlay; is overlayfs in the kernel?)".into())?;
    umount2(lower.as_str(), MntFlags::MNT_DETACH).doing(|| format!("unmounting {lower}"))?;
    // Writing to an overlay's directories behind its back is undefined; and there is nothing in
    // them for a node.
    let hidden = format!("/{HIDDEN}");
    tmpfs(
        &hidden,
        "mode=0000,size=4k,nr_inodes=2",
        MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
    )
}

fn tmpfs(target: &str, options: &str, flags: MsFlags) -> Result<()> {
    directory(target, 0o755)?;
    mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options))
        .doing(|| format!("mounting {target} (tmpfs)"))
}

fn proc_mount() -> Result<()> {
    directory("/proc", 0o555)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, NONE).doing(|| "mounting /proc".into())
}

fn proc_restrict() -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    for path in PROC_READ_ONLY.iter().filter(|p| Path::new(p).exists()) {
        let doing = || format!("making {path} read-only");
        mount(Some(*path), *path, NONE, MsFlags::MS_BIND, NONE).doing(doing)?;
        mount(NONE, *path, NONE, flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT, NONE)
            .doing(doing)?;
    }
    for path in PROC_MASKED_FILES.iter().filter(|p| Path::new(p).exists()) {
        mount(Some("/dev/null"), *path, NONE, MsFlags::MS_BIND, NONE)
            .doing(|| format!("masking {path}"))?;
    }
    for path in PROC_MASKED_DIRS.iter().filter(|p| Path::new(p).is_dir()) {
        mount(Some("tmpfs"), *path, Some("tmpfs"), flags, Some("mode=0000,size=4k,nr_inodes=2"))
            .doing(|| format!("masking {path}"))?;
    }
    Ok(())
}

fn dev_mount(memory: u64) -> Result<()> {
    tmpfs("/dev", "mode=0755,size=64k,nr_inodes=1024", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC)?;
    // Numbers of the kernel's Documentation/admin-guide/devices.txt.
    for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
        device(name, 1, minor)?;
    }
    device("tty", 5, 0)?;
    let nosuid = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    directory("/dev/pts", 0o755)?;
    let options = format!("newinstance,ptmxmode=0666,mode=0620,gid=5,max={TERMINALS_MAX}");
    mount(Some("devpts"), "/dev/pts", Some("devpts"), nosuid, Some(options.as_str()))
        .doing(|| "mounting /dev/pts".into())?;
    tmpfs("/dev/shm", &part_of(memory, SHM_PART, "1777"), nosuid | MsFlags::MS_NODEV)?;
    for (link, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, Path::new("/dev").join(link)).doing(|| format!("linking /dev/{link}"))?;
    }
    Ok(())
}

fn device(name: &str, major: u64, minor: u64) -> Result<()> {
    let path = Path::new("/dev").join(name);
    let doing = || format!("making {}", path.display());
    mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(major, minor))
        .doing(doing)?;
    // The umask does not apply to what everybody must be able to use.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).doing(doing)
}

fn directory(path: &str, mode: u32) -> Result<()> {
    Directory::root()?.make(Path::new(path), mode).map(drop)
}

/// The files in `/etc` that tell the node its name and address. A node that has put links in
/// their place, or in that of `/etc`, sees to them itself.
pub(crate) fn generated_files(config: &NodeConfig) -> Result<()> {
    let NodeConfig { hostname, private_ip, .. } = config;
    let short = hostname.split('.').next().unwrap_or(hostname);
    let etc = match Directory::root()?.open(Path::new("/etc")) {
        Ok(etc) => etc,
        Err(e) => {
            eprintln!("{} was not told its name and address in files: {e}", config.instance_id);
            return Ok(());
        }
    };
    generated(
        &etc,
        "hosts",
        &format!(
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n\
             {private_ip} {hostname} {short}\n"
        ),
    )?;
    generated(&etc, "resolv.conf", "options timeout:1 attempts:1\n")?;
    // This one cannot hold a comment; it follows the node's name.
    etc.write_file("hostname", &format!("{hostname}\n"), 0, |_| true)
}

fn generated(etc: &Directory, name: &str, text: &str) -> Result<()> {
    let text = format!("{GENERATED}\n{text}");
    etc.write_file(name, &text, GENERATED.len(), |old| {
        old.is_empty() || old == GENERATED.as_bytes()
    })
}
