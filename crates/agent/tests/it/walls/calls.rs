//! System calls that reach the host's kernel past every namespace.

use std::process::Command;

use crate::machine::Machine;

/// Makes each call and prints its name and error number (0: it worked). Upper halves of arguments
/// that the kernel reads as 32 bits are set where the name says "high".
const CALLS: &str = r#"
my $x86 = qx(uname -m) =~ /x86_64/;
my ($ioctl, $socket, $pair, $init, $mark, $log) =
    $x86 ? (16, 41, 53, 300, 301, 103) : (29, 198, 199, 262, 263, 116);
sub call { my ($name, $number, @args) = @_; $! = 0; my $done = syscall($number, @args);
           print "$name ", ($done < 0 ? $! + 0 : 0), "\n" }
my $room = "\0" x 256; my $high = 1 << 32;
call('io_uring_setup', 425, 1, $room);
call('io_uring_enter', 426, 99, 0, 0, 0, 0, 0);
call('io_uring_register', 427, 99, 0, 0, 0);
call('fanotify_init', $init, 0x200, 0);
call('fanotify_mark', $mark, 99, 1, 1, -100, 0);
call('open_by_handle', $x86 ? 304 : 265, 99, $room, 0);
call('syslog', $log, 3, $room, 200);
call("family $_", $socket, $_, 2, 0) for 0 .. 50;
call("stream $_", $socket, $_, 1, 0) for 0 .. 50;
call('high family 40', $socket, $high + 40, 1, 0);
call('high family 1', $socket, $high + 1, 1, 0);
call('pair 40', $pair, 40, 1, 0, $room);
call('pair 1', $pair, 1, 1, 0, $room);
call('setd', $ioctl, 0, 0x5423, $room);
call('high setd', $ioctl, 0, $high + 0x5423, $room);
"#;

/// Numbers of asm-generic/errno.h.
const EPERM: i32 = 1;
const ENOSYS: i32 = 38;
const EAFNOSUPPORT: i32 = 97;

fn answer(said: &str, name: &str) -> i32 {
    let line = said.lines().find_map(|l| l.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} is not in {said}")).parse().unwrap()
}

#[test]
fn a_node_asks_the_kernel_for_nothing_that_has_no_namespace() {
    let machine = Machine::new();
    machine.start();
    let output = machine.exec(&["perl", "-e", CALLS]);
    let said = String::from_utf8_lossy(&output.stdout);
    for name in ["io_uring_setup", "io_uring_enter", "io_uring_register"] {
        assert_eq!(answer(&said, name), ENOSYS, "{name}");
    }
    for name in ["fanotify_init", "fanotify_mark", "open_by_handle", "syslog", "setd", "high setd"]
    {
        assert_eq!(answer(&said, name), EPERM, "{name}");
    }
    for family in 0..=50 {
        for kind in ["family", "stream"] {
            let found = answer(&said, &format!("{kind} {family}"));
            let kept = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
            let refused = !kept.contains(&family);
            assert_eq!(found == EAFNOSUPPORT, refused, "{kind} {family}: {found}");
            // Netlink has no streams.
            assert!(refused || found == 0 || kind == "stream", "{kind} {family}: {found}");
        }
    }
    assert_eq!(answer(&said, "high family 40"), EAFNOSUPPORT);
    assert_eq!(answer(&said, "pair 40"), EAFNOSUPPORT);
    assert_eq!(answer(&said, "high family 1"), 0);
    assert_eq!(answer(&said, "pair 1"), 0);
}

#[test]
fn control_outside_of_the_filter_the_kernel_itself_answers() {
    let output = Command::new("perl").args(["-e", CALLS]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    for (name, answer_of_the_filter) in [
        ("io_uring_setup", ENOSYS),
        ("io_uring_enter", ENOSYS),
        ("io_uring_register", ENOSYS),
        ("fanotify_init", EPERM),
        ("fanotify_mark", EPERM),
        ("open_by_handle", EPERM),
        ("syslog", EPERM),
        ("setd", EPERM),
        ("high setd", EPERM),
        ("stream 40", EAFNOSUPPORT),
        ("high family 40", EAFNOSUPPORT),
        ("family 17", EAFNOSUPPORT),
    ] {
        if answer(&said, name) == answer_of_the_filter {
            eprintln!(
                "ATTENTION: this host's kernel itself answers {name} as the filter does, so the \
                 test of the filter proves nothing of it here"
            );
        }
    }
    // At least these are in every kernel that runs nodes.
    for name in ["fanotify_init", "syslog", "setd", "high setd"] {
        assert_ne!(answer(&said, name), EPERM, "{name}: {said}");
    }
}

#[test]
fn a_crash_in_a_node_starts_no_program_on_the_host() {
    let machine = Machine::with_user_data("#!/bin/sh\ngrep 'core file' /proc/self/limits\n");
    machine.start();
    let limit = |text: &str| {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        words[words.len().saturating_sub(3)..].join(" ")
    };
    assert_eq!(limit(&machine.shell("grep 'core file' /proc/self/limits")), "1 1 bytes");
    assert_eq!(machine.run_user_data(), 0);
    assert_eq!(limit(&machine.console()), "1 1 bytes");
    assert_ne!(machine.exec(&["sh", "-c", "ulimit -H -c unlimited"]).status.code(), Some(0));
    let host = std::fs::read_to_string("/proc/self/limits").unwrap();
    let host = host.lines().find(|l| l.contains("core file")).unwrap();
    assert_ne!(limit(host), "1 1 bytes", "control: the host's own limit is another");
}

#[test]
fn what_stands_in_a_nodes_etc_is_read_no_further_than_the_first_line() {
    let machine = Machine::new();
    let hosts = machine.root.at.join("etc/hosts");
    let _ = std::fs::remove_file(&hosts);
    // In the node, a file without an end.
    std::os::unix::fs::symlink("/dev/zero", &hosts).unwrap();
    machine.start();
    let mut client = machine.client();
    client.known_by("10.0.1.9".parse().unwrap(), "02:00:00:00:00:09", "db-9").unwrap();
    assert_eq!(machine.shell("hostname; readlink /etc/hosts"), "db-9\n/dev/zero");
}
