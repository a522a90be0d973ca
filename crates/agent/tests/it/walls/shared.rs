//! What a node could take from the host beside its memory: processes, and the work of its shim.

use std::fs;
use std::time::{Duration, Instant};

use holdfast_agent::{CONSOLE_BYTES_PER_S, CONSOLE_MAX_BYTES, console_path};

use crate::machine::{Machine, eventually};

/// One file of one of the nodes' control groups, on whichever hierarchy the host has it.
fn group_file(below: &str, controller: &str, names: &[&str]) -> Option<u64> {
    let bases = [
        format!("/sys/fs/cgroup/{controller}/holdfast/nodes"),
        "/sys/fs/cgroup/holdfast/nodes".into(),
    ];
    let paths = bases.iter().flat_map(|b| names.iter().map(move |n| format!("{b}/{below}/{n}")));
    paths.filter_map(|p| fs::read_to_string(p).ok()).find_map(|text| text.trim().parse().ok())
}

#[test]
fn a_fork_bomb_stays_in_its_node_and_the_node_still_answers() {
    let machine = Machine::with_user_data(
        "#!/usr/bin/perl\n$| = 1; $SIG{CHLD} = 'IGNORE';\nfor (1 .. 100000) { fork // do { print \"full\\n\"; last } }\n\
         sleep 600;\n",
    );
    let handle = machine.start();
    machine.client().open_gate(&[]).unwrap();
    eventually("a refusal", || machine.console().contains("full"));
    let running = group_file(&machine.config.instance_id, "pids", &["pids.current"]).unwrap();
    assert!(running <= u64::from(machine.config.limits.pids_max), "{running} processes");
    machine.client().check().unwrap();
    assert!(handle.is_alive().unwrap());
    assert!(std::process::Command::new("true").status().unwrap().success());
}

#[test]
fn all_nodes_together_leave_the_host_memory_and_processes() {
    let machine = Machine::new();
    machine.start();
    let number = |path: &str| fs::read_to_string(path).unwrap().trim().parse::<u64>().unwrap();
    let ids = number("/proc/sys/kernel/pid_max").min(number("/proc/sys/kernel/threads-max"));
    assert_eq!(group_file("", "pids", &["pids.max"]), Some(ids / 2));
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let kib = memory.lines().find_map(|l| l.strip_prefix("MemTotal:")).unwrap().trim();
    let host: u64 = kib.trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
    let together = group_file("", "memory", &["memory.limit_in_bytes", "memory.max"]).unwrap();
    assert!((host / 2..host).contains(&together), "{together} of {host}");
}

#[test]
fn a_node_has_no_more_swap_and_buffers_of_connections_than_memory() {
    let machine = Machine::new();
    machine.start();
    let id = &machine.config.instance_id;
    let memory = machine.config.limits.memory_bytes;
    let with_swap = group_file(id, "memory", &["memory.memsw.limit_in_bytes"]);
    let swap = group_file(id, "memory", &["memory.swap.max"]);
    assert!(with_swap.is_none_or(|limit| limit == memory) && swap.is_none_or(|limit| limit == 0));
    let tcp = group_file(id, "memory", &["memory.kmem.tcp.limit_in_bytes"]);
    assert!(tcp.is_none_or(|limit| limit < memory), "{tcp:?}");
}

#[test]
fn who_floods_the_console_waits_and_the_log_stays_small_and_says_why() {
    const PRINTED: u64 = CONSOLE_MAX_BYTES + 3 * CONSOLE_BYTES_PER_S;
    // What is in pipes may not have passed yet.
    const ON_THE_WAY: u64 = 256 * 1024;
    let machine = Machine::with_user_data(&format!("#!/bin/sh\nyes | head -c {PRINTED}\n"));
    machine.start();
    let begun = Instant::now();
    machine.run_user_data();
    let least = (PRINTED - CONSOLE_MAX_BYTES - ON_THE_WAY) as f64 / CONSOLE_BYTES_PER_S as f64;
    assert!(begun.elapsed() >= Duration::from_secs_f64(least), "{:?}", begun.elapsed());
    let log = console_path(&machine.config.dir);
    let before = log.with_extension("log.1");
    let size =
        || [&log, &before].iter().map(|p| fs::metadata(p).map_or(0, |m| m.len())).sum::<u64>();
    // Nothing of what was printed is lost.
    eventually("the last line", || size() >= PRINTED);
    assert!(size() <= 2 * CONSOLE_MAX_BYTES, "{} bytes", size());
    let text = [&log, &before].map(|p| fs::read_to_string(p).unwrap_or_default()).concat();
    assert!(text.contains("holdfast: the console takes"), "it does not say that it waits");
}

#[test]
fn the_last_words_of_a_node_that_floods_its_console_are_kept() {
    let machine = Machine::with_user_data(&format!(
        "#!/bin/sh\nyes | head -c {CONSOLE_MAX_BYTES}; yes | head -c 40000; echo last words; kill -KILL -1\n"
    ));
    let handle = machine.start();
    machine.run_user_data();
    handle.kill().unwrap();
    handle.wait_exit(60_000).unwrap().unwrap();
    assert!(machine.console().contains("last words"));
}

#[test]
fn who_floods_the_metadata_service_waits() {
    let machine = Machine::new();
    machine.start();
    // Each is a connection and a request; a burst of a thousand passes at once, then 100 a second.
    let begun = Instant::now();
    for _ in 0..700 {
        assert_eq!(machine.metadata("GET", "/latest/meta-data/", &[]).0, 401);
    }
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn measured_work_of_a_shim_during_a_flood_is_printed() {
    let machine = Machine::with_user_data("#!/bin/sh\ntimeout 3 yes\nexit 0\n");
    let shim = machine.start().shim_pid();
    // Ticks of 10 ms in user and system mode: fields 14 and 15 of proc_pid_stat(5).
    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{shim}/stat")).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1;
        fields.split(' ').skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum()
    };
    let (before, begun) = (ticks(), Instant::now());
    machine.run_user_data();
    println!("{} ms of work in {:?} of flood", (ticks() - before) * 10, begun.elapsed());
}
