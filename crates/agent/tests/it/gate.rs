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

#[test]
fn a_command_waits_for_the_nodes_volumes_and_says_so_when_they_do_not_come() {
    let machine = Machine::new();
    let volume = Volume::make(machine.dir.path(), "data");
    std::fs::write(volume.at.join("acked"), "1").unwrap();
    let entry = volume.entry("/dev/xvdb", "/data");
    machine.start();
    let waits = |ms: &str| {
        let mut command = std::process::Command::new(crate::machine::program());
        command.args(["exec", "--gate", ms]).arg(&machine.config.dir).args(["--", "ls", "/data"]);
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let output = waits("50").wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125));
    assert!(said.contains("mounting the volumes") && said.contains("within 50 ms"), "{said}");

    let mut waiting = waits("600000");
    let mut first = [0_u8; 9];
    std::io::Read::read_exact(waiting.stderr.as_mut().unwrap(), &mut first).unwrap();
    assert_eq!(&first, b"holdfast:");
    let mut client = machine.client();
    client.mount(&entry.device, &volume.at, &entry.fs_uuid, &entry.target).unwrap();
    assert!(waiting.try_wait().unwrap().is_none(), "it entered before the gate was open");
    client.open_gate(&[entry]).unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("acked"));
    assert_eq!(output.status.code(), Some(0));
}

/// The next instance of the same root.
fn next_instance(machine: &mut Machine) {
    let handle = holdfast_agent::ShimHandle::open(&machine.config.dir).unwrap();
    handle.kill().unwrap();
    handle.wait_exit(60_000).unwrap().unwrap();
    machine.config.generation += 1;
    let generation = machine.config.generation;
    machine.config.dir = machine.dir.path().join(format!("instance-{generation}"));
    machine.config.instance_id = format!("{}-{generation}", machine.config.instance_id);
    machine.start();
}

#[test]
fn nothing_can_be_written_below_a_mount_point_while_its_volume_is_not_there() {
    let mut machine = Machine::new();
    let volume = Volume::make(machine.dir.path(), "data");
    let entry = volume.entry("/dev/xvdb", "/srv/data");
    // Something is there already: the volume hides it, as it does on any machine.
    std::fs::create_dir(machine.root.at.join("srv/data")).unwrap();
    std::fs::write(machine.root.at.join("srv/data/before"), "kept\n").unwrap();
    machine.start();
    machine.shell("echo control > /srv/data/control; rm /srv/data/control");
    let mount = |machine: &Machine| {
        let mut client = machine.client();
        client.mount(&entry.device, &volume.at, &entry.fs_uuid, &entry.target).unwrap();
        client.open_gate(std::slice::from_ref(&entry)).unwrap();
    };
    mount(&machine);
    machine.shell("echo 1 > /srv/data/on-the-volume; test ! -e /srv/data/before");

    next_instance(&mut machine);
    for attempt in [
        "echo 2 > /srv/data/hidden",
        "mkdir /srv/data/hidden",
        "rm /srv/data/before",
        "mv /srv/data /srv/elsewhere",
        "rmdir /srv/data",
        "chmod 777 /srv/data",
        "chattr -i /srv/data",
    ] {
        let output = machine.exec(&["sh", "-c", attempt]);
        assert_ne!(output.status.code(), Some(0), "{attempt}");
    }
    assert_eq!(
        machine.shell("cat /srv/data/before; ls /srv/data; echo x > /srv/beside"),
        "kept\nbefore"
    );
    mount(&machine);
    assert_eq!(
        machine.shell("cat /srv/data/on-the-volume; ls /srv/data | grep -v lost"),
        "1\non-the-volume"
    );
    machine.shell("echo 3 > /srv/data/second");

    // Detached for good: a directory like any other.
    machine.client().unmount("/srv/data").unwrap();
    assert_eq!(
        machine.shell("echo 4 > /srv/data/mine; cat /srv/data/mine /srv/data/before"),
        "4\nkept"
    );
    machine.shell("rm /srv/data/mine");

    // No volume of the next instance's: the same.
    let mut client = machine.client();
    client.mount(&entry.device, &volume.at, &entry.fs_uuid, &entry.target).unwrap();
    next_instance(&mut machine);
    assert_ne!(machine.exec(&["touch", "/srv/data/early"]).status.code(), Some(0));
    machine.client().open_gate(&[]).unwrap();
    machine.shell("rm /srv/data/before && rmdir /srv/data");
}
