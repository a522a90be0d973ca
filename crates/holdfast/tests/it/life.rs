//! The real thing: a server with real nodes on this host, used by commands alone.

use crate::played::{Ended, holdfast};
use holdfast_scratch::Scratch;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A server may take this long to answer after its start, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a node waits for until the server has looked at everything once.
const LOOK: &str = "a whole look at the cloud";

/// A server process; at the end every trace of it and its nodes goes.
pub struct Real {
    dir: PathBuf,
    address: String,
    server: Option<Child>,
    // What is kept of a test that fails, and then the reset, come after `drop` has run.
    temporary: Scratch,
}

impl Drop for Real {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Real {
    pub fn start() -> Real {
        Real::start_with(&[])
    }

    /// With these options besides.
    pub fn start_with(options: &[&str]) -> Real {
        let mut real = Real::unstarted();
        real.serve_with(options);
        real
    }

    /// Its data directory is not there yet, and the server is started later.
    pub fn unstarted() -> Real {
        let temporary = Scratch::with_end(|dir| drop(reset(&dir.join("data"))));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Real {
            dir: temporary.path().join("data"),
            address: free.to_string(),
            server: None,
            temporary,
        }
    }

    /// Where it keeps everything.
    pub fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    fn serve(&mut self) {
        self.serve_with(&[]);
    }

    /// Whether the server answers and has looked at everything once.
    fn is_ready(&self) -> bool {
        let status = self.top(&["status", "--json"]);
        status.code == 0 && status.json()["ready"] == true
    }

    /// Waits until every node is at rest, or waits for a person.
    pub fn wait_until_quiet(&self) {
        let began = Instant::now();
        let rests = |n: &serde_json::Value| {
            let status = n["status"].as_str().unwrap_or_default();
            ["ACTIVE", "PAUSED", "ERROR"].contains(&status) && n["waitsFor"] != LOOK
        };
        while !self.node(&["list", "--json"]).json().as_array().unwrap().iter().all(rests) {
            assert!(began.elapsed() < PATIENCE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A second server on the same data directory.
    pub fn second_server(&self) -> Ended {
        let mut command = holdfast();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&self.dir);
        command.output().unwrap().into()
    }

    /// Starts the server, with these options besides.
    pub fn serve_with(&mut self, options: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.with_extension("log"))
            .unwrap();
        let server = holdfast()
            .args(["serve", "--listen", &self.address, "--data-dir"])
            .arg(&self.dir)
            .args(options)
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
        let began = Instant::now();
        while !self.is_ready() {
            let ended = self.server.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    /// A command that is no node's.
    pub fn top(&self, arguments: &[&str]) -> Ended {
        let mut command = holdfast();
        command
            .args(arguments)
            .args(["--server", &format!("http://{}", self.address), "--data-dir"])
            .arg(&self.dir);
        command.output().unwrap().into()
    }

    /// A command that needs no server.
    pub fn offline(&self, arguments: &[&str]) -> Ended {
        let mut command = holdfast();
        command.args(arguments).arg("--data-dir").arg(&self.dir);
        command.output().unwrap().into()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = holdfast();
        command
            .arg("node")
            .args(["--server", &format!("http://{}", self.address), "--data-dir"])
            .arg(&self.dir)
            .args(arguments);
        command
    }

    pub fn node(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().unwrap().into()
    }

    /// Where the server listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where the server keeps everything.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// A directory for the test's own files.
    pub fn scratch(&self) -> &std::path::Path {
        self.temporary.path()
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its token.
    pub fn token(&self) -> String {
        std::fs::read_to_string(self.dir.join("token")).unwrap().trim().to_owned()
    }

    /// `holdfast local market …`.
    pub fn market(&self, arguments: &[&str]) -> Ended {
        let mut command = holdfast();
        command
            .args(["local", "market", "--server", &self.url(), "--data-dir"])
            .arg(&self.dir)
            .args(arguments);
        command.output().unwrap().into()
    }

    /// A node with all that is known.
    pub fn shown(&self, name: &str) -> serde_json::Value {
        self.node(&["show", name, "--json"]).json()
    }

    /// Gives a command that must succeed; gives what it wrote.
    pub fn done(&self, arguments: &[&str]) -> String {
        let ended = self.node(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}{}\n{}", ended.out, ended.err, self.log());
        ended.out
    }

    /// What a Redis in the node answers, once it does: a node that serves has a server that starts.
    pub fn redis(&self, name: &str, words: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let ended = self.node(&[&["exec", name, "--", "redis-cli"], words].concat());
            let starts = ["refused", "LOADING"].iter().any(|why| ended.out.contains(why));
            if ended.code == 0 && !starts {
                return ended.out.trim().to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "{} {}\n{}", ended.out, ended.err, self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A node's generation.
    pub fn generation(&self, name: &str) -> u64 {
        self.node(&["show", name, "--json"]).json()["generation"].as_u64().unwrap()
    }

    /// Waits until the diary serves in a generation after `generation`.
    fn wait_for_generation_after(&self, generation: u64) -> u64 {
        self.wait_for_generation_of("diary", generation)
    }

    /// Waits until a node serves in a generation after `generation`.
    pub fn wait_for_generation_of(&self, name: &str, generation: u64) -> u64 {
        let began = Instant::now();
        loop {
            let node = self.node(&["show", name, "--json"]).json();
            let now = node["generation"].as_u64().unwrap();
            if now > generation && node["status"] == "ACTIVE" {
                return now;
            }
            assert!(began.elapsed() < PATIENCE, "{node}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The local cloud's directory.
    pub fn cloud(&self) -> PathBuf {
        self.dir.join("local")
    }

    /// Writes a file beside the data directory; where it is.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.with_file_name(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A node with all that is known of it.
    pub fn show(&self, name: &str) -> serde_json::Value {
        self.node(&["show", name, "--json"]).json()
    }

    /// Gives a `holdfast local` command.
    pub fn local_ended(&self, arguments: &[&str]) -> Ended {
        let mut command = holdfast();
        command.arg("local").args(arguments);
        command
            .args(["--server", &format!("http://{}", self.address), "--data-dir"])
            .arg(&self.dir);
        command.output().unwrap().into()
    }

    /// Gives a `holdfast local` command that must succeed; gives what it wrote.
    pub fn local(&self, arguments: &[&str]) -> String {
        let ended = self.local_ended(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}{}\n{}", ended.out, ended.err, self.log());
        ended.out
    }

    /// Ends the server in order, and gives its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut server = self.server.take().unwrap();
        let pid = i32::try_from(server.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM).unwrap();
        let began = Instant::now();
        let mut late = false;
        while server.try_wait().unwrap().is_none() && !late {
            std::thread::sleep(Duration::from_millis(10));
            late = began.elapsed() > PATIENCE;
        }
        if late {
            let _ = server.kill();
        }
        let status = server.wait().unwrap();
        assert!(!late, "the server does not end\n{}", self.log());
        status.code()
    }
}

/// Removes every trace of a server and its nodes from this host.
fn reset(dir: &Path) -> std::io::Result<Output> {
    let mut command = holdfast();
    command.args(["local", "reset", "--yes", "--data-dir"]).arg(dir);
    command.output()
}

/// A node that does nothing.
pub const SPEC: &str = r"
name: diary
region: local-1
strategy: { drainingTimeout: 5 }
persistence: { persistBlockDevices: true, blockDevicesMode: reattach, persistPrivateIp: true }
compute:
  vpcId: vpc-local
  subnetIds: [subnet-local-1a]
  launchSpecification:
    imageId: ami-host
    instanceTypes: { types: [t3.medium] }
    blockDeviceMappings: [{ deviceName: /dev/xvdb, ebs: { volumeSize: 1 } }]
    tags: [{ tagKey: 'holdfast:mount:/dev/xvdb', tagValue: /diary }]
    userData: |
      #!/bin/sh
      exec sleep infinity
";

#[test]
fn a_real_node_lives_through_what_the_commands_do_to_it() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: nodes are real machines");
    let mut real = Real::start();
    let spec = real.dir.with_extension("yaml");
    std::fs::write(&spec, SPEC).unwrap();
    real.done(&["create", "--wait", "-f", spec.to_str().unwrap()]);
    let before = real.node(&["show", "diary", "--json"]).json();

    // Somebody who follows what happens.
    let mut follower = real
        .command(&["events", "diary", "--follow", "--json", "--limit", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let events = BufReader::new(follower.stdout.take().unwrap());

    real.done(&["exec", "diary", "--", "sh", "-c", "echo kept > /diary/page && sync"]);
    assert_eq!(real.node(&["exec", "diary", "--", "sh", "-c", "exit 7"]).code, 7);
    real.done(&["interrupt", "diary"]);
    let generation = real.wait_for_generation_after(1);
    assert_eq!(real.done(&["exec", "diary", "--", "cat", "/diary/page"]), "kept\n");

    // The follower has seen it, in order.
    let mut codes = Vec::new();
    for line in events.lines() {
        let event: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        codes.push(event["code"].as_str().unwrap().to_owned());
        if codes.last().is_some_and(|code| code == "replacement-done") {
            break;
        }
    }
    assert!(codes.contains(&"placed".to_owned()), "{codes:?}");

    // The server is killed, and the node does not notice.
    let mut server = real.server.take().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    real.serve();
    assert_eq!(real.done(&["exec", "diary", "--", "cat", "/diary/page"]), "kept\n");
    real.done(&["recycle", "diary", "--wait"]);
    assert!(real.wait_for_generation_after(generation) == generation + 1);

    real.done(&["pause", "diary", "--wait"]);
    assert_eq!(real.node(&["exec", "diary", "--", "true"]).code, 125);
    real.done(&["resume", "diary", "--wait"]);
    assert_eq!(real.done(&["exec", "diary", "--", "cat", "/diary/page"]), "kept\n");
    let after = real.node(&["show", "diary", "--json"]).json();
    for path in ["/record/interface", "/record/data/0/head/id", "/privateIp"] {
        assert_eq!(after.pointer(path), before.pointer(path), "{path}");
    }
    let shown = real.done(&["show", "diary"]);
    for word in ["lost", "recycle", "pause", "resume", "/diary", "LAUNCH"] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }

    // A follower does not hold up the end of the server.
    assert_eq!(real.terminate(), Some(0), "{}", real.log());
    assert!(!real.log().contains("connections still open are dropped"), "{}", real.log());
    let _ = follower.kill();
    let _ = follower.wait();

    real.serve();
    real.done(&["delete", "diary", "--yes", "--wait"]);
    assert_eq!(real.node(&["list", "--json"]).json(), serde_json::json!([]));
    assert_eq!(real.terminate(), Some(0));
    let reset: Ended = reset(&real.dir).unwrap().into();
    assert_eq!(reset.code, 0, "{}", reset.err);
    assert!(!real.dir.exists());
}
