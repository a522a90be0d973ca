//! What a node sees and may do.

use holdfast_agent::populate_root;

use crate::machine::Machine;

#[test]
fn a_node_sees_its_own_root_and_no_secret_of_the_host() {
    let machine = Machine::new();
    std::fs::write(machine.root.at.join("root/mine"), "kept").unwrap();
    machine.start();
    assert_eq!(machine.shell("cat /root/mine"), "kept");
    assert_eq!(machine.shell("hostname; cat /etc/hostname"), "db-1\ndb-1");
    assert_eq!(
        machine.shell("ls /home /srv /opt /root"),
        "/home:\n\n/opt:\n\n/root:\nmine\n\n/srv:"
    );
    // Every account is there, and none has a password.
    let shadow = machine.shell("cut -d: -f2 /etc/shadow | sort -u");
    assert_eq!(shadow, "*");
    for absent in ["/etc/ssh", "/etc/ssl/private", "/etc/sudoers", "/work", "/.holdfast/usr"] {
        let output = machine.exec(&["test", "-e", absent]);
        assert_eq!(output.status.code(), Some(1), "{absent} can be seen");
    }
    // Nothing of the host is mounted but /usr, below an overlay.
    let mounts = machine.shell("cut -d' ' -f2 /proc/mounts | grep -v '^/proc/' | sort | xargs");
    assert_eq!(mounts, "/ /.holdfast /dev /dev/pts /dev/shm /proc /run /tmp /usr");
}

#[test]
fn programs_of_the_host_run_and_usr_can_be_written_for_the_node_alone() {
    let machine = Machine::new();
    machine.start();
    assert_eq!(machine.shell("touch /usr/local/mine && ls /usr/local/mine"), "/usr/local/mine");
    assert!(!std::path::Path::new("/usr/local/mine").exists());
    assert_eq!(machine.shell("su nobody -s /bin/sh -c 'id -un'"), "nobody");
}

#[test]
fn a_root_outlives_its_instances() {
    let mut machine = Machine::new();
    let first = machine.start();
    machine.shell("echo 1 > /usr/local/mine; echo 2 > /var/lib/mine; mkdir -p /usr/lib/x/y");
    let machine_id = machine.shell("cat /etc/machine-id");
    first.kill().unwrap();
    first.wait_exit(60_000).unwrap().unwrap();
    machine.config.dir = machine.dir.path().join("second");
    machine.config.instance_id.push('b');
    machine.config.generation = 8;
    machine.config.private_ip = "10.0.1.6".parse().unwrap();
    populate_root(&machine.root.at).unwrap();
    machine.start();
    assert_eq!(machine.shell("cat /usr/local/mine /var/lib/mine; ls /usr/lib/x"), "1\n2\ny");
    assert_eq!(machine.shell("cat /etc/machine-id"), machine_id);
    assert_eq!(machine.shell("grep db-1 /etc/hosts"), "10.0.1.6 db-1 db-1");
}

#[test]
fn a_hostile_root_leads_nowhere_on_the_host() {
    let machine = Machine::new();
    let outside = machine.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("hosts"), "host").unwrap();
    let etc = machine.root.at.join("etc");
    std::fs::rename(&etc, machine.root.at.join("etc.old")).unwrap();
    std::os::unix::fs::symlink(&outside, &etc).unwrap();
    // It need not start; it must not write there.
    let _ = holdfast_agent::spawn(crate::machine::program(), &machine.config);
    assert_eq!(std::fs::read_to_string(outside.join("hosts")).unwrap(), "host");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn the_workload_has_few_capabilities_and_cannot_change_the_kernel() {
    let machine = Machine::with_user_data(
        "#!/bin/sh\ngrep ^Cap /proc/self/status\n\
         echo 1 > /proc/sys/kernel/sysrq || echo sys refused\n\
         echo b > /proc/sysrq-trigger; mknod /tmp/disk b 254 0 || echo mknod refused\n\
         mount -t tmpfs none /mnt || echo mount refused\n\
         cat /proc/kcore | head -c 1 | wc -c\n\
         (echo x > /proc/1/exe) 2>/dev/null || echo exe refused\n\
         unshare --user true || echo user namespace refused\n",
    );
    machine.start();
    assert_eq!(machine.run_user_data(), 0);
    let console = machine.console();
    let kept = format!("{:016x}", holdfast_agent::CAPABILITIES_KEPT);
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(console.contains(&format!("{set}:\t{kept}")), "{console}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert!(console.contains(&format!("{set}:\t{:016x}", 0)), "{console}");
    }
    for refused in [
        "sys refused",
        "mknod refused",
        "mount refused",
        "exe refused",
        "user namespace refused",
        "\n0\n",
    ] {
        assert!(console.contains(refused), "{refused:?} is not in {console}");
    }
}

#[test]
fn a_command_has_the_same_rights_and_its_exit_code_comes_back() {
    let machine = Machine::new();
    machine.start();
    assert_eq!(machine.exec(&["sh", "-c", "exit 42"]).status.code(), Some(42));
    assert_eq!(machine.exec(&["sh", "-c", "kill -KILL $$"]).status.code(), Some(137));
    assert_eq!(machine.exec(&["no-such-command"]).status.code(), Some(127));
    assert_eq!(machine.shell("pwd; echo $HOLDFAST_GENERATION"), "/root\n7");
    let kept = format!("{:016x}", holdfast_agent::CAPABILITIES_KEPT);
    assert_eq!(machine.shell("grep CapEff /proc/self/status | cut -f2"), kept);
    assert_eq!(machine.shell("grep Seccomp: /proc/self/status | cut -f2"), "2");
    assert_ne!(machine.exec(&["unshare", "--user", "true"]).status.code(), Some(0));
    // Only init and the command itself are there.
    assert_eq!(machine.shell("ls -d /proc/[0-9]* | head -1; hostname"), "/proc/1\ndb-1");
}

#[test]
fn a_command_with_a_terminal_has_one_of_the_nodes() {
    let machine = Machine::new();
    machine.start();
    let output = std::process::Command::new(crate::machine::program())
        .args(["exec", "--tty"])
        .arg(&machine.config.dir)
        .args(["--", "sh", "-c", "tty; exit 3"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("/dev/pts/0"), "{shown} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn limits_are_in_force() {
    let machine = Machine::new();
    machine.start();
    let limited = machine.client().ping().unwrap().limited;
    assert_eq!(limited, ["cpu", "memory", "pids"]);
    // 128 processes are allowed: a hundred more than that cannot start.
    let output = machine.exec(&[
        "perl",
        "-e",
        "while (@p < 228) { my $p = fork; last unless defined $p; \
         if (!$p) { sleep 1000; exit } push @p, $p } print scalar @p; kill 9, @p",
    ]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let started = said.trim().parse::<u32>().unwrap();
    assert!((100..128).contains(&started), "{started} started");
}
