//! Whoever enters a node brings nothing along: no terminal to type on, no file to open again.

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use holdfast_agent::{ScriptOutcome, ShimHandle};

use crate::machine::{Machine, eventually, program};
use crate::person::Person;

/// Tries to type `X` on each terminal that it finds, with a request whose upper half is empty and
/// one whose is not, and to write and read each file that it was given. Writes what became of it.
const ATTACK: &str = r#"
my $report = shift; open(my $said, '>', $report) or die; select($said); $| = 1;
my $ioctl = (qx(uname -m) =~ /x86_64/) ? 16 : 29;
my @found = ([0, 0], [1, 1], [2, 2]);
if (open(my $tty, '+<', '/dev/tty')) { push @found, ['tty', fileno($tty), $tty] }
else { print "tty: no terminal\n" }
for my $one (@found) {
    for my $request (0x5412, 0x541C, 0x100005412, 0x10000541C) {
        my $letter = "X"; $! = 0;
        my $done = syscall($ioctl, $one->[1], $request, $letter);
        printf "%s: %x: %s\n", $one->[0], $request, $done == 0 ? 'typed' : 'errno ' . ($! + 0);
    }
}
for my $number (0 .. 2) {
    my $path = "/proc/self/fd/$number";
    print "$number is ", readlink($path), "\n";
    next unless -f $path;
    if (open(my $file, '<', $path)) { print "$number says ", scalar(<$file>), "\n" }
    if (open(my $file, '+<', $path)) { syswrite($file, "owned") and print "$number: written\n" }
}
"#;

/// The kernel's number for "not permitted": the answer of the filter.
const REFUSED: &str = "errno 1\n";

fn attack(report: &str) -> [&str; 4] {
    ["perl", "-e", ATTACK, report]
}

/// All redirections of three streams: a file, or the terminal.
fn redirections(dir: &Path) -> Vec<(String, Vec<&'static str>)> {
    let [input, output, errors] = ["in", "out", "err"].map(|n| dir.join(n).display().to_string());
    let all = [format!("<{input}"), format!(">>{output}"), format!("2>>{errors}")];
    (0_u8..8)
        .map(|bits| {
            let chosen = (0..3).filter(|n| bits & (1 << n) != 0);
            let names = chosen.clone().map(|n| ["in", "out", "err"][n]).collect();
            (chosen.map(|n| all[n].clone()).collect::<Vec<_>>().join(" "), names)
        })
        .collect()
}

fn lay_out_files(dir: &Path) {
    for name in ["in", "out", "err"] {
        fs::write(dir.join(name), format!("{name} of the host\n")).unwrap();
    }
}

fn file(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn a_command_in_a_node_types_on_no_terminal_and_opens_no_file_of_its_caller() {
    let machine = Machine::new();
    machine.start();
    let dir = machine.dir.path();
    let instance = machine.config.dir.to_str().unwrap();
    for (redirected, names) in redirections(dir) {
        for tty in [false, true] {
            lay_out_files(dir);
            let mut person = Person::sits_down(dir);
            let mut argv = vec![program().to_str().unwrap(), "exec"];
            argv.extend(if tty { &["--tty"][..] } else { &[] });
            argv.extend([instance, "--"]);
            argv.extend(attack("/tmp/report"));
            person.begins(&argv, &redirected);
            let code = person.sees_the_end();
            let report = machine.shell("cat /tmp/report; rm /tmp/report");
            let case = format!("tty {tty}, {redirected:?}:\n{report}\n{}", person.sees());
            assert_eq!(code, 0, "{case}");
            assert_eq!(person.finds_typed(), "", "{case}");
            // Every try, at every stream, and at the terminal that it has of the node.
            let tries = if tty { 16 } else { 12 };
            assert_eq!(format!("{report}\n").matches(REFUSED).count(), tries, "{case}");
            assert_eq!(report.contains("tty: no terminal"), !tty, "{case}");
            for word in ["typed", "of the host", "written"] {
                assert!(!report.contains(word), "{case}");
            }
            for name in &names {
                let whole = file(dir, name);
                let more = whole.strip_prefix(&format!("{name} of the host\n"));
                // A terminal shows what is typed on it, and so what stands in the file, if the
                // command is not faster.
                let echo = tty && *name == "out" && names.contains(&"in");
                let may = ["", "in of the host\r\n"];
                let as_it_was = more.is_some_and(|m| m.is_empty() || echo && may.contains(&m));
                assert!(as_it_was, "{name} is {whole:?}: {case}");
            }
        }
    }
}

#[test]
fn control_the_same_attack_succeeds_where_the_terminal_and_the_files_are_handed_over() {
    let dir = holdfast_scratch::Scratch::new();
    let dir = dir.path();
    if !Person::kernel_lets_type() {
        eprintln!(
            "ATTENTION: this kernel lets only CAP_SYS_ADMIN type on terminals \
             (dev.tty.legacy_tiocsti = 0). A node would be refused without Holdfast's walls as \
             well, so the tests of typing prove less here than they look."
        );
    }
    for (redirected, names) in redirections(dir) {
        lay_out_files(dir);
        let mut person = Person::sits_down(dir);
        let report = dir.join("report");
        person.begins(&attack(report.to_str().unwrap()), &redirected);
        assert_eq!(person.sees_the_end(), 0);
        let report = file(dir, "report");
        // At each stream that is a terminal, and at /dev/tty, with either request.
        let typed = 2 * (4 - names.len());
        assert_eq!(person.finds_typed(), "X".repeat(typed), "{redirected:?}: {report}");
        assert_eq!(report.matches(": typed").count(), typed, "{redirected:?}: {report}");
        // Without the filter the kernel itself answers: what is no console is not pasted on.
        assert!(!report.contains(REFUSED), "{report}");
        for name in &names {
            assert!(file(dir, name).starts_with("owned"), "{redirected:?}: {name}: {report}");
        }
        assert_eq!(report.matches("of the host").count(), names.len(), "{report}");
    }
}

#[test]
fn init_user_data_and_the_shutdown_script_have_no_terminal_of_whoever_started_the_server() {
    let mut machine = Machine::new();
    let script = |report: &str| format!("#!/bin/sh\nexec perl -e '{}' {report}\n", quoted(ATTACK));
    machine.config.user_data = script("/tmp/user-data").into_bytes();
    machine.config.shutdown_script = Some(script("/tmp/shutdown-script"));
    let config = machine.config.write().unwrap();
    let mut person = Person::sits_down(machine.dir.path());
    // It stays, as a server in the foreground of a terminal does.
    person.begins(&[program().to_str().unwrap(), "spawn", config.to_str().unwrap()], "");
    eventually("the node's start", || ShimHandle::open(&machine.config.dir).is_ok());
    assert_eq!(machine.run_user_data(), 0);
    let outcome = machine.client().run_shutdown_script(60_000).unwrap();
    assert_eq!(outcome, ScriptOutcome::Exited { code: 0 });
    for report in ["/tmp/user-data", "/tmp/shutdown-script"] {
        let report = machine.shell(&format!("cat {report}"));
        assert!(report.contains("tty: no terminal"), "{report}");
        assert_eq!(format!("{report}\n").matches(REFUSED).count(), 12, "{report}");
        assert!(!report.contains("typed"), "{report}");
        // The console, and a /dev/null of the node's own.
        assert!(report.contains("0 is /dev/null") && report.contains("1 is pipe:"), "{report}");
    }
    assert_eq!(person.finds_typed(), "");
    // Nor does any process of the node, its init included, hold anything of the host's terminal.
    let device = nix::sys::stat::fstat(person.terminal()).unwrap().st_rdev;
    let group = holdfast_agent::Cgroup::open(&machine.config.instance_id).unwrap();
    for pid in group.processes().unwrap() {
        for fd in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
            let at = fd.unwrap().path();
            let found = nix::sys::stat::stat(&at).map(|s| s.st_rdev).unwrap_or_default();
            assert_ne!(found, device, "{} is the terminal", at.display());
        }
    }
}

fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

/// The only child of a process.
fn child_of(pid: u32) -> Option<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}

#[test]
fn the_process_that_enters_a_node_holds_nothing_of_its_caller_and_is_out_of_the_nodes_sight() {
    let machine = Machine::new();
    machine.start();
    let given = machine.dir.path().join("given");
    fs::write(&given, "of the host").unwrap();
    let mut caller = Command::new(program())
        .arg("exec")
        .arg(&machine.config.dir)
        .args(["--", "sh", "-c", "echo here; exec sleep 1000"])
        .env("HOLDFAST_TOKEN", "of-the-host")
        .stdin(fs::File::options().read(true).write(true).open(&given).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = [0_u8; 5];
    caller.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"here\n");
    let enters = child_of(caller.id()).unwrap();
    let command = child_of(enters).unwrap();
    for (pid, most) in [(enters, 8), (command, 3)] {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        // One that is closed between the two looks is held no more.
        let to: Vec<_> = fds.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok()).collect();
        assert!(to.len() <= most, "{pid} has {to:?}");
        assert!(!to.contains(&given), "{pid} has {to:?}");
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        assert!(!String::from_utf8_lossy(&environment).contains("of-the-host"));
    }
    // Its program's file cannot be written through it: the same file runs as root on the host.
    let writable = |path: &Path| {
        let file = fs::File::open(path).unwrap();
        // SAFETY: all zeroes is a valid `statvfs`; the descriptor is open.
        let flags = unsafe {
            let mut found: libc::statvfs = std::mem::zeroed();
            assert_eq!(libc::fstatvfs(file.as_raw_fd(), &raw mut found), 0);
            found.f_flag
        };
        flags & libc::ST_RDONLY == 0
    };
    assert!(!writable(Path::new(&format!("/proc/{enters}/exe"))));
    assert!(writable(program()), "control: the file itself can be written");
    // The node sees init, the command, and the one that looks; nothing that comes from outside.
    let seen = machine.shell(
        "for p in /proc/[0-9]*; do readlink $p/exe; done; \
         for fd in /proc/[0-9]*/fd/*; do readlink $fd; done; true",
    );
    assert!(!seen.contains("holdfast"), "{seen}");
    assert!(!seen.contains("given"), "{seen}");
    let others = machine.shell("cat /proc/[0-9]*/stat | cut -d' ' -f2 | sort | uniq | xargs");
    assert!(!others.contains("enter"), "{others}");
    caller.kill().unwrap();
    caller.wait().unwrap();
    eventually("the end of a command whose caller was killed", || {
        !Path::new(&format!("/proc/{enters}")).exists()
    });
}
