//! No workload before its volumes.

use holdfast_agent::{AgentError, WorkloadState};

use crate::machine::{Machine, Volume, eventually};

const SAY: &str = "#!/bin/sh\necho started $HOLDFAST_NODE $HOLDFAST_INSTANCE; ls /data\n";

#[test]
fn user_data_runs_once_the_gate_is_open_and_not_before() {
    let machine = Machine::with_user_data(SAY);
    machine.start();
    let status = machine.client().ping().unwrap();
    assert_eq!(status.workload, WorkloadState::Waiting);
    assert_eq!(status.gate_opened_at_ms, None);
    assert_eq!(machine.shell("ls /run/holdfast 2>/dev/null | wc -l"), "0");
    assert_eq!(machine.console(), "");
    let opened = machine.client().open_gate(&[]).unwrap();
    eventually("the workload's word", || machine.console().contains("started smi-0123abcd"));
    // Again: still open, and nothing runs twice.
    assert_eq!(machine.client().open_gate(&[]).unwrap(), opened);
    machine.run_user_data();
    assert_eq!(machine.console().matches("started").count(), 1);
}

#[test]
fn a_volume_appears_in_the_running_node_and_the_gate_wants_every_member() {
    let machine = Machine::with_user_data(SAY);
    let volume = Volume::make(machine.dir.path(), "data");
    std::fs::write(volume.at.join("acked"), "1").unwrap();
    let entry = volume.entry("/dev/xvdb", "/data");
    let mut other = entry.clone();
    other.target = "/log".into();
    other.fs_uuid = "00000000-0000-0000-0000-000000000001".into();
    machine.start();
    let mut client = machine.client();

    let refused = client.open_gate(std::slice::from_ref(&entry)).unwrap_err();
    assert!(matches!(refused, AgentError::Refused(_)));
    assert!(refused.to_string().contains(&entry.fs_uuid), "{refused}");
    assert_eq!(client.ping().unwrap().workload, WorkloadState::Waiting);

    // Twice is once.
    for _ in 0..2 {
        client.mount(&entry.device, &volume.at, &entry.fs_uuid, &entry.target).unwrap();
    }
    assert_eq!(client.ping().unwrap().mounts, std::slice::from_ref(&entry));
    assert!(client.open_gate(&[entry.clone(), other]).is_err());

    client.open_gate(&[entry]).unwrap();
    machine.run_user_data();
    assert!(machine.console().contains("acked"), "{}", machine.console());
    machine.shell("echo 2 > /data/written");
    assert_eq!(std::fs::read_to_string(volume.at.join("written")).unwrap(), "2\n");
    client.unmount("/data").unwrap();
    client.unmount("/data").unwrap();
    assert_eq!(machine.shell("ls /data"), "");
}

#[test]
fn a_volume_with_another_identity_is_not_mounted() {
    let machine = Machine::new();
    let volume = Volume::make(machine.dir.path(), "data");
    machine.start();
    let uuid = "00000000-0000-0000-0000-000000000001";
    let refused = machine.client().mount("/dev/xvdb", &volume.at, uuid, "/data").unwrap_err();
    assert!(refused.to_string().contains("not 00000000"), "{refused}");
    assert_eq!(machine.exec(&["test", "-e", "/data"]).status.code(), Some(1));
}

#[test]
fn user_data_that_is_no_script_is_not_run() {
    let machine = Machine::with_user_data("key=value\n");
    machine.start();
    machine.client().open_gate(&[]).unwrap();
    assert_eq!(machine.client().ping().unwrap().workload, WorkloadState::None);
}
