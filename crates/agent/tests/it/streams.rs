//! What goes between a caller and its command in a node: all of it, as if nothing were between.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use crate::machine::{Machine, eventually, program};
use crate::person::Person;

fn begin(machine: &Machine, script: &str) -> Child {
    Command::new(program())
        .arg("exec")
        .arg(&machine.config.dir)
        .args(["--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    // Unbuffered: what follows the line stays in the pipe.
    let out = child.stdout.as_mut().unwrap();
    let mut byte = [0_u8; 1];
    while !line.ends_with('\n') && out.read(&mut byte).unwrap() == 1 {
        line.push(char::from(byte[0]));
    }
    line
}

#[test]
fn every_byte_goes_both_ways_and_the_end_of_input_reaches_the_command() {
    let machine = Machine::new();
    machine.start();
    let mut child = begin(&machine, "cat; echo the end >&2; exit 5");
    // Far more than fits into what is between.
    let sent: Vec<u8> =
        (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn({
        let sent = sent.clone();
        move || input.write_all(&sent).unwrap()
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.stdout == sent, "{} of {} bytes", output.stdout.len(), sent.len());
    assert_eq!(output.stderr, b"the end\n");
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn what_a_command_closes_is_closed_for_its_caller_while_it_goes_on() {
    let machine = Machine::new();
    machine.start();
    let mut child = begin(&machine, "echo last; exec >&-; cat >/dev/null; exit 6");
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "last\n");
    assert!(child.try_wait().unwrap().is_none());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(6));

    let mut child = begin(&machine, "exec <&-; echo closed; exec sleep 1000");
    assert_eq!(line(&mut child), "closed\n");
    let mut input = child.stdin.take().unwrap();
    eventually("a closed input", || input.write_all(b"x").is_err());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_command_whose_reader_is_gone_is_told_by_its_own_next_write() {
    let machine = Machine::new();
    machine.start();
    let mut child = begin(&machine, "exec yes");
    assert_eq!(line(&mut child), "y\n");
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGPIPE));
}

#[test]
fn a_child_that_holds_the_output_does_not_keep_the_caller_after_the_commands_end() {
    let machine = Machine::new();
    machine.start();
    let output = begin(&machine, "sleep 1000 & echo all of it; exit 3").wait_with_output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"all of it\n"[..], Some(3)));
    // Nor one that never stops writing.
    let output = begin(&machine, "yes & echo >&2; exit 4").wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    // All that the command itself has written is there, as much as fits between.
    let script = "head -c 60000 /dev/zero; sleep 1000 & exit 0";
    assert_eq!(begin(&machine, script).wait_with_output().unwrap().stdout.len(), 60_000);
}

#[test]
fn a_command_that_never_reads_ends_as_it_likes() {
    let machine = Machine::new();
    machine.start();
    let mut child = begin(&machine, "echo here; sleep 0.2; exit 4");
    let mut input = child.stdin.take().unwrap();
    // Until nobody is there any more to take it.
    let writer = std::thread::spawn(move || while input.write_all(&[0; 4096]).is_ok() {});
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(4));
    writer.join().unwrap();
}

#[test]
fn output_that_nobody_reads_yet_is_held_back_and_not_in_memory() {
    const BYTES: usize = 48 << 20;
    let machine = Machine::new();
    machine.start();
    let mut child = begin(&machine, &format!("head -c {BYTES} /dev/zero"));
    let out = child.stdout.take().unwrap();
    // SAFETY: plain numbers on an open descriptor.
    let room = unsafe { libc::fcntl(out.as_raw_fd(), libc::F_GETPIPE_SZ) };
    let mut waiting = 0;
    eventually("a full pipe", || {
        // SAFETY: the argument is a pointer to an int, alive across the call.
        unsafe { libc::ioctl(out.as_raw_fd(), libc::FIONREAD, &raw mut waiting) };
        waiting == room
    });
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap().trim();
    let peak_kib: usize = peak.trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 32 << 10, "{peak_kib} KiB");
    let mut read = Vec::new();
    BufReader::new(out).read_to_end(&mut read).unwrap();
    assert_eq!(read.len(), BYTES);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn signals_that_ask_the_caller_to_end_are_the_commands_to_answer() {
    let machine = Machine::new();
    machine.start();
    for (signal, name) in [(libc::SIGTERM, "TERM"), (libc::SIGINT, "INT"), (libc::SIGHUP, "HUP")] {
        let script = format!("trap 'echo heard; exit 9' {name}; echo ready; sleep 1000 & wait");
        let mut child = begin(&machine, &script);
        assert_eq!(line(&mut child), "ready\n");
        // SAFETY: plain numbers; the child is not reaped.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"heard\n", "{name}");
        assert_eq!(output.status.code(), Some(9), "{name}");
        // One that does not answer ends by it.
        let mut child = begin(&machine, "echo ready; exec sleep 1000");
        assert_eq!(line(&mut child), "ready\n");
        // SAFETY: as above.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal), "{name}");
    }
}

#[test]
fn a_command_whose_caller_is_killed_is_hung_up_on() {
    let machine = Machine::new();
    machine.start();
    let script = "trap 'echo hung up > /tmp/end; exit' HUP; echo ready; sleep 1000 & wait";
    let mut child = begin(&machine, script);
    assert_eq!(line(&mut child), "ready\n");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    eventually("the command's end", || machine.exec(&["test", "-s", "/tmp/end"]).status.success());
}

#[test]
fn a_persons_terminal_is_around_the_nodes() {
    let machine = Machine::new();
    machine.start();
    let mut person = Person::sits_down(machine.dir.path());
    person.resizes(33, 77);
    let instance = machine.config.dir.to_str().unwrap();
    let argv =
        |script| [program().to_str().unwrap(), "exec", "--tty", instance, "--", "sh", "-c", script];
    let script = "trap 'stty size; exit 7' WINCH; stty size; read line; \
                  echo \"<$line>\"; tty; sleep 1000 & wait";
    person.begins(&argv(script), "");
    let mut shown = String::new();
    let mut sees = |person: &mut Person, what: &str| {
        eventually(what, || {
            shown.push_str(&person.sees());
            shown.contains(what)
        });
    };
    sees(&mut person, "33 77");
    person.types("hello\r");
    sees(&mut person, "<hello>");
    sees(&mut person, "/dev/pts/0");
    person.resizes(44, 88);
    sees(&mut person, "44 88");
    assert_eq!(person.sees_the_end(), 7);

    // Ctrl-C and Ctrl-D are for the node's terminal to answer.
    for (keys, code) in [("\u{3}", 130), ("typed\r\u{4}", 7)] {
        let mut person = Person::sits_down(machine.dir.path());
        person.begins(&argv("echo ready; cat; exit 7"), "");
        let mut shown = String::new();
        eventually("a ready command", || {
            shown.push_str(&person.sees());
            shown.contains("ready")
        });
        person.types(keys);
        assert_eq!(person.sees_the_end(), code);
    }
}

#[test]
fn a_caller_whose_output_is_a_file_types_into_a_pipe_of_the_nodes() {
    let machine = Machine::new();
    machine.start();
    let dir = machine.dir.path();
    let mut person = Person::sits_down(dir);
    let instance = machine.config.dir.to_str().unwrap();
    let out = dir.join("out");
    let argv =
        [program().to_str().unwrap(), "exec", instance, "--", "sh", "-c", "read x; echo \"<$x>\""];
    person.begins(&argv, &format!(">{}", out.display()));
    person.types("by hand\n");
    assert_eq!(person.sees_the_end(), 0);
    assert_eq!(fs::read_to_string(out).unwrap(), "<by hand>\n");
}

#[test]
fn a_long_list_of_lines_stays_in_order() {
    let machine = Machine::new();
    machine.start();
    let mut child = begin(&machine, "seq 200000");
    drop(child.stdin.take());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(
        lines.zip(1_u32..).filter(|(l, n)| l.as_ref().unwrap() == &n.to_string()).count(),
        200_000
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
