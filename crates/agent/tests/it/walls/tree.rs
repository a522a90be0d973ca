//! Links, pipes and moved directories in the way of what the host does in a node's tree.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use holdfast_agent::{ManifestEntry, ShimHandle, spawn};

use crate::machine::{Machine, Volume, program};

/// Once its parent is a link to `/proc`, this leads to what keeps the kernel's settings read-only.
const TARGET: &str = "/srv/sys";
const TURN_INTO_A_LINK: &str = "mv /srv /old && ln -s /proc /srv";

fn with_a_volume() -> (Machine, ShimHandle, Volume, ManifestEntry) {
    let machine = Machine::new();
    let volume = Volume::make(machine.dir.path(), "data");
    let entry = volume.entry("/dev/xvdb", TARGET);
    let handle = machine.start();
    let mounting = machine.client().mount(&entry.device, &volume.at, &entry.fs_uuid, TARGET);
    mounting.unwrap();
    (machine, handle, volume, entry)
}

fn is_mounted(machine: &Machine, path: &str) -> bool {
    machine.shell("cut -d' ' -f2 /proc/mounts").lines().any(|mount| mount == path)
}

/// As the host, by path, in the node's mounts: what Holdfast does not do.
fn by_path(handle: &ShimHandle, argv: &[&str]) {
    let init = handle.init_pid().to_string();
    let done = Command::new("nsenter")
        .args(["--target", &init, "--mount", "--pid"])
        .args(argv)
        .output()
        .unwrap();
    assert!(done.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn unmounting_takes_the_volume_and_nothing_that_a_link_leads_to() {
    let (machine, _handle, _volume, _) = with_a_volume();
    machine.shell(TURN_INTO_A_LINK);
    assert!(is_mounted(&machine, "/old/sys"));
    machine.client().unmount(TARGET).unwrap();
    assert!(!is_mounted(&machine, "/old/sys"), "the volume is still there");
    assert!(is_mounted(&machine, "/proc/sys"), "the kernel's settings lost their wall");
    assert_ne!(machine.exec(&["test", "-w", "/proc/sys/kernel/domainname"]).status.code(), Some(0));
    // Twice is once.
    machine.client().unmount(TARGET).unwrap();
    assert!(is_mounted(&machine, "/proc/sys"));
}

#[test]
fn control_an_unmount_by_path_takes_what_the_link_leads_to() {
    let (machine, handle, _volume, _) = with_a_volume();
    machine.shell(TURN_INTO_A_LINK);
    by_path(&handle, &["umount", TARGET]);
    assert!(!is_mounted(&machine, "/proc/sys"));
    assert!(is_mounted(&machine, "/old/sys"));
}

#[test]
fn what_was_never_mounted_as_a_volume_is_never_unmounted() {
    let machine = Machine::new();
    machine.start();
    machine.client().unmount("/tmp").unwrap();
    assert!(is_mounted(&machine, "/tmp"));
}

#[test]
fn nothing_is_made_or_mounted_through_a_link() {
    let machine = Machine::new();
    let volume = Volume::make(machine.dir.path(), "data");
    let entry = volume.entry("/dev/xvdb", TARGET);
    machine.start();
    machine.shell("rmdir /srv && ln -s /proc /srv && ln -s /usr/local /opt/link");
    for target in [TARGET, "/opt/link", "/opt/link/deep"] {
        let mounted = machine.client().mount(&entry.device, &volume.at, &entry.fs_uuid, target);
        let refused = mounted.unwrap_err().to_string();
        assert!(refused.contains("is a link"), "{target}: {refused}");
    }
    assert_eq!(machine.exec(&["test", "-e", "/usr/local/deep"]).status.code(), Some(1));
    let mounts = machine.shell("grep -c ext4 /proc/mounts");
    assert_eq!(mounts, "1", "only the root volume is there");
}

#[test]
fn control_a_directory_made_by_path_appears_where_the_link_leads() {
    let machine = Machine::new();
    let handle = machine.start();
    machine.shell("ln -s /usr/local /opt/link");
    by_path(&handle, &["mkdir", "-p", "/opt/link/deep"]);
    assert_eq!(machine.exec(&["test", "-e", "/usr/local/deep"]).status.code(), Some(0));
}

#[test]
fn the_gate_stays_closed_over_a_volume_that_was_moved_away() {
    let (machine, _handle, volume, entry) = with_a_volume();
    machine.shell("mv /srv /old && mkdir -p /srv/sys");
    let refused = machine.client().open_gate(std::slice::from_ref(&entry)).unwrap_err();
    assert!(refused.to_string().contains(TARGET), "{refused}");
    // Mounted again it is where it belongs, and nowhere else.
    let again = machine.client().mount(&entry.device, &volume.at, &entry.fs_uuid, TARGET);
    again.unwrap();
    assert!(is_mounted(&machine, TARGET) && !is_mounted(&machine, "/old/sys"));
    machine.client().open_gate(&[entry]).unwrap();
}

#[test]
fn the_files_that_name_a_node_are_not_written_through_its_links_and_pipes() {
    let machine = Machine::new();
    let etc = machine.root.at.join("etc");
    fs::write(machine.root.at.join("root/victim"), "kept").unwrap();
    let _ = fs::remove_file(etc.join("hostname"));
    symlink("../root/victim", etc.join("hostname")).unwrap();
    // Larger than a host's memory, and nothing is in it.
    let huge = fs::File::create(etc.join("hosts")).unwrap();
    huge.set_len(4 << 40).or_else(|_| huge.set_len(8 << 30)).unwrap();
    nix::unistd::mkfifo(&etc.join("resolv.conf"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    machine.start();
    assert_eq!(machine.shell("cat /root/victim; hostname"), "keptdb-1");
    let address = "10.0.1.9".parse().unwrap();
    machine.client().known_by(address, "02:00:00:00:00:09", "db-9").unwrap();
    assert_eq!(machine.shell("cat /root/victim; hostname"), "keptdb-9");
    assert_eq!(machine.shell("test -p /etc/resolv.conf && head -c 1 /etc/hosts | wc -c"), "1");
}

#[test]
fn a_root_with_a_link_in_the_place_of_a_mount_point_does_not_start() {
    for (name, leads_to) in [("run", "proc"), ("tmp", "proc/sys"), (".holdfast", "root")] {
        let machine = Machine::new();
        let place = machine.root.at.join(name);
        fs::rename(&place, machine.root.at.join("elsewhere")).unwrap();
        symlink(leads_to, &place).unwrap();
        let refused = spawn(program(), &machine.config).unwrap_err().to_string();
        assert!(refused.contains(&format!("/{name} in the node is a link")), "{name}: {refused}");
    }
}

#[test]
fn a_script_does_not_wait_for_a_pipe_in_its_place() {
    let mut machine = Machine::new();
    machine.config.shutdown_script = Some("exit 5".into());
    machine.start();
    machine.shell("mkdir -p /run/holdfast && mkfifo /run/holdfast/shutdown-script");
    let outcome = machine.client().run_shutdown_script(60_000).unwrap();
    assert_eq!(outcome, holdfast_agent::ScriptOutcome::Exited { code: 5 });
    machine.client().check().unwrap();
}
