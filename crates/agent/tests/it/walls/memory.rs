//! A node that uses up its memory.

use std::fs;
use std::process::Command;

use crate::machine::{Machine, eventually, program};

/// Fills what lies in memory, and then the rest of it, many times over, by processes that are smaller
/// than init. They hold no stream of the command's, which would keep it from ending.
const USE_UP: &str = "for d in /tmp /dev/shm /run; do \
                          dd if=/dev/zero of=$d/fill bs=64k 2>/dev/null; done; \
                      perl -e 'for (1 .. 300) { my $p = fork; last if !defined $p; \
                          if (!$p) { my $x = \"x\" x 400000; sleep 600; exit } }' \
                          < /dev/null > /dev/null 2>&1";

fn score(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().to_owned()
}

fn small(pids_max: u32) -> Machine {
    let mut machine = Machine::new();
    machine.config.limits.memory_bytes = 128 << 20;
    machine.config.limits.pids_max = pids_max;
    machine
}

/// How often the kernel has ended a process of this node for want of memory.
fn kills(machine: &Machine) -> u64 {
    let id = &machine.config.instance_id;
    let files = [
        format!("/sys/fs/cgroup/memory/holdfast/nodes/{id}/memory.oom_control"),
        format!("/sys/fs/cgroup/holdfast/nodes/{id}/memory.events"),
    ];
    let text = files.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    text.lines().find_map(|l| l.strip_prefix("oom_kill ")).map_or(0, |n| n.trim().parse().unwrap())
}

#[test]
fn what_lies_in_memory_is_limited_by_the_nodes_memory_and_not_by_the_hosts() {
    let machine = Machine::new();
    machine.start();
    let memory = machine.config.limits.memory_bytes;
    let sizes = machine.shell("df --output=fstype,size,itotal -B1 | grep ^tmpfs");
    let (mut bytes, mut files, mut mounts) = (0, 0, 0);
    for line in sizes.lines() {
        let numbers: Vec<u64> =
            line.split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
        (bytes, files, mounts) = (bytes + numbers[0], files + numbers[1], mounts + 1);
        assert!(numbers.iter().all(|n| *n > 0), "without a limit: {line}");
    }
    assert!(mounts >= 4, "{sizes}");
    assert!(bytes < memory / 10 * 8, "{bytes} of {memory} bytes: {sizes}");
    // An empty file takes about a kibibyte of the kernel's memory.
    assert!(files * 1024 < memory / 2, "{files} files: {sizes}");
}

#[test]
fn init_outlives_a_node_that_uses_up_its_memory() {
    let machine = small(8_000);
    let handle = machine.start();
    machine.exec(&["sh", "-c", USE_UP]);
    eventually("the kernel's end of some process", || kills(&machine) > 0);
    assert!(handle.is_alive().unwrap());
    machine.client().check().unwrap();
    // Somebody who looks after the node gets in again, once the processes are gone.
    let processes = holdfast_agent::Cgroup::open(&machine.config.instance_id).unwrap();
    for pid in processes.processes().unwrap() {
        if pid != handle.init_pid() {
            // SAFETY: plain numbers; the processes are the node's.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
    eventually("room for a command", || machine.exec(&["true"]).status.success());
}

#[test]
fn control_an_init_that_is_not_spared_is_what_ends() {
    let machine = small(8_000);
    let handle = machine.start();
    // No better than everything else that runs there.
    fs::write(format!("/proc/{}/oom_score_adj", handle.init_pid()), "100").unwrap();
    machine.exec(&["sh", "-c", USE_UP]);
    eventually("the end of the node", || !handle.is_alive().unwrap());
}

/// Whether this host lets anybody be spared (CAP_SYS_RESOURCE, number 24).
fn can_spare() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let set = status.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap().trim();
    u64::from_str_radix(set, 16).unwrap() & (1 << 24) != 0
}

#[test]
fn nothing_but_init_is_spared_and_nothing_in_a_node_can_spare_itself() {
    let look = "cat /proc/self/oom_score_adj; \
                for s in -1000 -1; do echo $s > /proc/self/oom_score_adj || echo refused; done; \
                cat /proc/self/oom_score_adj; exit 0";
    let expected = "100\nrefused\nrefused\n100";
    let mut machine = Machine::with_user_data(&format!("#!/bin/sh\n({look}) 2>/dev/null\n"));
    machine.config.shutdown_script = Some(format!("({look}) > /root/script 2>/dev/null"));
    let handle = machine.start();
    let spared = if can_spare() { "-1000" } else { "0" };
    assert_eq!([score(handle.shim_pid()), score(handle.init_pid())], [spared, spared]);
    assert_eq!(machine.run_user_data(), 0);
    eventually("the words of the user data", || machine.console().trim() == expected);
    machine.client().run_shutdown_script(60_000).unwrap();
    let said = fs::read_to_string(machine.root.at.join("root/script")).unwrap();
    assert_eq!(said.trim(), expected);
    // Also where whoever calls is spared itself.
    let output = Command::new("choom")
        .args(["--adjust", spared, "--"])
        .arg(program())
        .arg("exec")
        .arg(&machine.config.dir)
        .args(["--", "sh", "-c", &format!("({look}) 2>/dev/null")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected);
    // What Holdfast's init has for that, nothing else has.
    let kept = format!("{:016x}", holdfast_agent::CAPABILITIES_KEPT);
    assert_eq!(machine.shell("grep -E 'CapPrm|CapBnd' /proc/self/status | cut -f2 | uniq"), kept);
}
