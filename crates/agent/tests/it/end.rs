//! How nodes end.

use holdfast_agent::{Cgroup, ScriptOutcome, exit_status};

use crate::machine::{Machine, eventually};

const LIMIT_MS: u64 = 60_000;

/// Ends a moment after it is asked to, and leaves a mark.
const GRACEFUL: &str = "#!/bin/bash\n\
    trap 'sleep 0.1; echo clean > /root/end; exit 0' TERM\n\
    echo up; while :; do sleep 0.05; done\n";
/// Does not care.
const STUBBORN: &str = "#!/bin/bash\ntrap '' TERM\necho up; while :; do sleep 0.05; done\n";

fn start_and_wait_for_up(machine: &Machine) -> holdfast_agent::ShimHandle {
    let handle = machine.start();
    machine.client().open_gate(&[]).unwrap();
    eventually("the workload", || machine.console().contains("up"));
    handle
}

#[test]
fn a_stop_lets_the_workload_end_cleanly() {
    let machine = Machine::with_user_data(GRACEFUL);
    let handle = start_and_wait_for_up(&machine);
    machine.client().stop(None).unwrap();
    let status = handle.wait_exit(LIMIT_MS).unwrap().unwrap();
    assert_eq!((status.code, status.signal), (Some(0), None));
    assert_eq!(std::fs::read_to_string(machine.root.at.join("root/end")).unwrap(), "clean\n");
    assert_eq!(exit_status(&machine.config.dir).unwrap(), Some(status));
}

#[test]
fn a_stop_has_an_end() {
    let machine = Machine::with_user_data(STUBBORN);
    let handle = start_and_wait_for_up(&machine);
    machine.client().stop(Some(200)).unwrap();
    let status = handle.wait_exit(LIMIT_MS).unwrap().unwrap();
    assert_eq!(status.code, Some(1));
}

#[test]
fn a_kill_leaves_no_process_and_no_control_group() {
    let machine = Machine::with_user_data(
        "#!/bin/bash\nfor i in $(seq 40); do setsid sleep 1000 & done\n\
         trap '' TERM\necho up; while :; do sleep 0.05; done\n",
    );
    let handle = start_and_wait_for_up(&machine);
    let group = Cgroup::open(&machine.config.instance_id).unwrap();
    assert!(group.processes().unwrap().len() > 40);
    handle.kill().unwrap();
    assert!(!handle.is_alive().unwrap());
    assert!(group.processes().unwrap().is_empty());
    let status = handle.wait_exit(LIMIT_MS).unwrap().unwrap();
    assert_eq!(status.signal, Some(libc::SIGKILL));
    handle.kill().unwrap();
    // Nothing of the node holds its volume any more.
    let umount = std::process::Command::new("umount").arg(&machine.root.at).status().unwrap();
    assert!(umount.success());
    let left = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name", &machine.config.instance_id])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn after_a_power_cut_a_kill_still_ends_the_node_and_lets_go_of_its_volume() {
    const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
    let no_log_flush: u32 = 2;
    let machine = Machine::with_user_data(
        "#!/bin/bash\necho up; while :; do echo x >> /root/log; sync; done\n",
    );
    let handle = start_and_wait_for_up(&machine);
    let root = std::fs::File::open(&machine.root.at).unwrap();
    // SAFETY: the argument is a pointer to a 32-bit number, alive across the call.
    let cut = unsafe {
        use std::os::fd::AsRawFd;
        libc::ioctl(root.as_raw_fd(), EXT4_IOC_SHUTDOWN as _, &raw const no_log_flush)
    };
    assert_eq!(cut, 0);
    drop(root);
    handle.kill().unwrap();
    let status = handle.wait_exit(LIMIT_MS).unwrap().unwrap();
    assert_eq!(status.signal, Some(libc::SIGKILL));
    let umount = std::process::Command::new("umount").arg(&machine.root.at).status().unwrap();
    assert!(umount.success());
}

#[test]
fn a_kill_through_the_shim_ends_the_node() {
    let machine = Machine::with_user_data(STUBBORN);
    let handle = start_and_wait_for_up(&machine);
    machine.client().kill().unwrap();
    let status = handle.wait_exit(LIMIT_MS).unwrap().unwrap();
    assert_eq!(status.signal, Some(libc::SIGKILL));
}

#[test]
fn a_shutdown_script_runs_in_the_node_and_says_how_it_ended() {
    let mut machine = Machine::new();
    machine.config.shutdown_script = Some("hostname > /root/script; exit 5".into());
    machine.start();
    let outcome = machine.client().run_shutdown_script(LIMIT_MS).unwrap();
    assert_eq!(outcome, ScriptOutcome::Exited { code: 5 });
    assert_eq!(std::fs::read_to_string(machine.root.at.join("root/script")).unwrap(), "db-1\n");
}

#[test]
fn a_shutdown_script_has_an_end_and_a_node_without_one_says_so() {
    let mut machine = Machine::new();
    machine.config.shutdown_script = Some("sleep 1000".into());
    machine.start();
    assert_eq!(machine.client().run_shutdown_script(50).unwrap(), ScriptOutcome::TimedOut);

    let without = Machine::new();
    without.start();
    assert_eq!(without.client().run_shutdown_script(50).unwrap(), ScriptOutcome::None);
}

#[test]
fn daemons_go_on_after_the_user_data_has_ended() {
    let machine = Machine::with_user_data("#!/bin/sh\nsetsid sleep 1000 &\n");
    let handle = machine.start();
    assert_eq!(machine.run_user_data(), 0);
    assert!(handle.is_alive().unwrap());
    assert_eq!(machine.shell("pgrep -c sleep"), "1");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the node's clock is this clock, and is only shown")]
fn measured_times_are_printed() {
    let machine = Machine::with_user_data("#!/bin/sh\ndate +%s%N > /root/at\n");
    let begun = std::time::Instant::now();
    let handle = machine.start();
    let spawned = begun.elapsed();
    let boot_us = machine.client().ping().unwrap().boot_us;
    let nanos =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let asked = nanos();
    machine.run_user_data();
    let at = std::fs::read_to_string(machine.root.at.join("root/at")).unwrap();
    let started = at.trim().parse::<u128>().unwrap().saturating_sub(asked);
    let begun = std::time::Instant::now();
    handle.kill().unwrap();
    let killed = begun.elapsed();
    let ended = handle.wait_exit(LIMIT_MS).unwrap();
    println!(
        "spawn {spawned:?} (in the shim {boot_us} us), gate to user data {} us, kill {killed:?}, \
         shim gone {:?}",
        started / 1000,
        begun.elapsed()
    );
    assert!(ended.is_some());
}

#[test]
fn an_init_that_is_stopped_gives_no_sign_of_life_until_it_goes_on() {
    let machine = Machine::new();
    let handle = machine.start();
    machine.client().check().unwrap();
    // SAFETY: plain numbers; the node is ours.
    let signal = |signal| assert_eq!(unsafe { libc::kill(handle.init_pid(), signal) }, 0);
    signal(libc::SIGSTOP);
    for _ in 0..2 {
        let silent = machine.client().check().unwrap_err();
        assert!(silent.to_string().contains("has not answered"), "{silent}");
    }
    // The shim itself goes on answering.
    machine.client().ping().unwrap();
    signal(libc::SIGCONT);
    machine.client().check().unwrap();
}
