//! Nodes outlive the server, and are found again.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use holdfast_agent::{AgentError, ShimHandle, spawn};

use crate::machine::{Machine, eventually, program};

#[test]
fn a_node_outlives_the_killed_process_that_started_it_and_is_adopted() {
    let machine = Machine::new();
    let path = machine.config.write().unwrap();
    let mut server =
        Command::new(program()).arg("spawn").arg(path).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "started\n");
    let parent = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse::<u32>().unwrap()
    };
    let shim = ShimHandle::open(&machine.config.dir).unwrap().shim_pid();
    assert_ne!(parent(shim), server.id());
    server.kill().unwrap();
    server.wait().unwrap();

    let adopted = ShimHandle::open(&machine.config.dir).unwrap();
    assert_eq!(adopted.shim_pid(), shim);
    assert!(adopted.is_alive().unwrap());
    let status = adopted.client().unwrap().ping().unwrap();
    assert_eq!(status.instance_id, machine.config.instance_id);
    assert_eq!(status.init_pid, adopted.init_pid());
    // Starting it once more is finding it.
    assert_eq!(spawn(program(), &machine.config).unwrap().shim_pid(), shim);
}

#[test]
fn a_shim_has_one_thread_and_no_file_of_the_server() {
    let machine = Machine::new();
    let shim = machine.start().shim_pid();
    assert_eq!(std::fs::read_dir(format!("/proc/{shim}/task")).unwrap().count(), 1);
    let inherited: Vec<_> = std::fs::read_dir(format!("/proc/{shim}/fd"))
        .unwrap()
        .filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .filter(|to| to.starts_with("/"))
        .filter(|to| !to.starts_with(&machine.config.dir) && !to.starts_with("/dev/null"))
        .collect();
    assert!(inherited.is_empty(), "{inherited:?}");
}

#[test]
fn a_node_does_not_outlive_its_shim_and_what_is_left_can_be_cleared() {
    let machine = Machine::new();
    let handle = machine.start();
    assert!(matches!(holdfast_agent::clear(&machine.config.dir), Err(AgentError::Refused(_))));
    // SAFETY: plain numbers; the shim is ours.
    assert_eq!(unsafe { libc::kill(handle.shim_pid(), libc::SIGKILL) }, 0);
    eventually("the end of the node", || !handle.is_alive().unwrap());
    let status = handle.wait_exit(60_000).unwrap().unwrap();
    assert_eq!((status.code, status.signal), (None, None));
    assert!(matches!(ShimHandle::open(&machine.config.dir), Err(AgentError::NotRunning { .. })));
    holdfast_agent::clear(&machine.config.dir).unwrap();
    holdfast_agent::clear(&machine.config.dir).unwrap();
}

#[test]
fn a_node_that_cannot_be_set_up_says_why_and_leaves_nothing() {
    let mut machine = Machine::new();
    machine.config.root_mount = machine.dir.path().join("no-such-volume");
    let refused = spawn(program(), &machine.config).unwrap_err();
    assert!(refused.to_string().contains("no-such-volume"), "{refused}");
    assert!(ShimHandle::open(&machine.config.dir).is_err());
    let group = holdfast_agent::Cgroup::open(&machine.config.instance_id).unwrap();
    assert!(group.processes().unwrap().is_empty());
}

#[test]
fn a_shim_that_comes_after_its_instance_was_given_up_starts_nothing_and_leaves_nothing() {
    let machine = Machine::new();
    let path = machine.config.write().unwrap();
    // It has read its configuration; then the instance is given up, before it has the lock.
    let read_before = machine.config.dir.with_extension("read");
    std::fs::rename(&path, &read_before).unwrap();
    let late = Command::new(program())
        .arg(holdfast_agent::SHIM_SUBCOMMAND)
        .arg(&read_before)
        .output()
        .unwrap();
    std::fs::remove_file(&read_before).unwrap();
    assert!(!late.status.success());
    let said = String::from_utf8_lossy(&late.stdout);
    assert!(said.contains("was given up before it started"), "{said}");
    assert!(matches!(ShimHandle::open(&machine.config.dir), Err(AgentError::NotRunning { .. })));
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap() {
        let group = hierarchy.unwrap().path().join("holdfast/nodes");
        assert!(!group.join(&machine.config.instance_id).exists(), "{}", group.display());
    }
}
