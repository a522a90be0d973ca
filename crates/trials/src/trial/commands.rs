//! The commands that a trial gives, and the server process that it starts and kills.

use super::progress::say;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the server may take to answer after its start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// How a trial gives commands.
#[derive(Debug, Clone)]
pub struct Commands {
    exe: PathBuf,
    data_dir: PathBuf,
    port: u16,
}

/// The binary `holdfast` that stands beside this program.
fn holdfast() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| format!("where is this program? {e}"))?;
    let exe = own.with_file_name("holdfast");
    if exe.is_file() {
        return Ok(exe);
    }
    Err(format!(
        "there is no {}: a trial uses the binary holdfast that stands beside its own; build both with: \
         make build",
        exe.display()
    ))
}

impl Commands {
    /// For a data directory; picks a free port.
    pub fn new(data_dir: &Path) -> Result<Commands, String> {
        let exe = holdfast()?;
        std::fs::create_dir_all(data_dir).map_err(|e| format!("{}: {e}", data_dir.display()))?;
        let data_dir =
            data_dir.canonicalize().map_err(|e| format!("{}: {e}", data_dir.display()))?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr());
        let port = free.map_err(|e| format!("no free port: {e}"))?.port();
        Ok(Commands { exe, data_dir, port })
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where the local cloud is.
    pub fn cloud_dir(&self) -> PathBuf {
        self.data_dir.join("local")
    }

    /// Where an instance's console is.
    pub fn instance_dir(&self, instance: &str) -> PathBuf {
        self.instances_dir().join(instance)
    }

    /// Where the directories of all instances are.
    pub fn instances_dir(&self) -> PathBuf {
        self.cloud_dir().join("nodes")
    }

    /// The server's log.
    pub fn server_log(&self) -> PathBuf {
        self.data_dir.join("server.log")
    }

    /// The server's address.
    pub fn server_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Removes every trace of an earlier run.
    pub fn reset(&self) -> Result<(), String> {
        let dir = self.data_dir.display().to_string();
        let output = Command::new(&self.exe)
            .args(["local", "reset", "--yes", "--data-dir", &dir])
            .output()
            .map_err(|e| e.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    /// Gives a command about nodes, with `--json`.
    pub fn node(&self, arguments: &[&str]) -> Result<Value, String> {
        self.ask(&["node"], arguments)
    }

    /// Gives a command about markets.
    pub fn market(&self, arguments: &[&str]) -> Result<(), String> {
        self.ask(&["local", "market"], arguments).map(|_| ())
    }

    /// Gives a command to the server, with `--json`.
    fn ask(&self, subject: &[&str], arguments: &[&str]) -> Result<Value, String> {
        let said = || format!("holdfast {} {}", subject.join(" "), arguments.join(" "));
        let output = Command::new(&self.exe)
            .args(subject)
            .args(arguments)
            .arg("--json")
            .args(["--server", &self.server_url()])
            .arg("--token-file")
            .arg(self.data_dir.join("token"))
            .env_remove("HOLDFAST_TOKEN")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}{text}", said(), why.trim()));
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        // Events come one in a line.
        serde_json::from_str(&text).or_else(|e| {
            let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
            lines.map(Value::from).map_err(|_| format!("{}: no JSON: {e}", said()))
        })
    }

    /// Leaves the server running; says how to go on with it.
    pub fn leave_running(&self, server: &Arc<Mutex<Server>>) -> String {
        let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
        server.keep = true;
        let exe = self.exe.display();
        let dir = self.data_dir.display();
        let url = self.server_url();
        let pid = server.child.id();
        [
            "\n\nThe server is left running. Go on with:".to_owned(),
            format!("  export HOLDFAST_SERVER={url} HOLDFAST_TOKEN=$(cat {dir}/token)"),
            format!("  {exe} node list"),
            format!("  kill {pid} && {exe} local reset --yes --data-dir {dir}"),
        ]
        .join("\n")
    }
}

/// The server process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    commands: Commands,
    keep: bool,
}

impl Server {
    /// Starts it, and waits until it answers.
    pub fn start(commands: &Commands) -> Result<Server, String> {
        let dir = &commands.data_dir;
        std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let path = commands.server_log();
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(|e| format!("{}: {e}", path.display()))?;
        let child = Command::new(&commands.exe)
            .arg("serve")
            .arg("--data-dir")
            .arg(&commands.data_dir)
            .args(["--listen", &format!("127.0.0.1:{}", commands.port)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("the server does not start: {e}"))?;
        let mut server = Server { child, commands: commands.clone(), keep: false };
        server.wait_until_it_answers(&path)?;
        Ok(server)
    }

    fn wait_until_it_answers(&mut self, log: &Path) -> Result<(), String> {
        let began = Instant::now();
        loop {
            if self.commands.node(&["list"]).is_ok() {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(|e| e.to_string())?;
            if ended.is_some() || began.elapsed() > START_TIMEOUT {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let last: Vec<&str> = said.lines().rev().take(5).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                return Err(format!("the server does not answer:\n{}", last.join("\n")));
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// Stops its process where it is, as a debugger would; the nodes go on.
    pub fn stop(&self) -> Result<(), String> {
        self.signal(Signal::STOP)
    }

    /// Lets a stopped process go on.
    pub fn go_on(&self) -> Result<(), String> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or("the server's process has no number")?;
        kill_process(pid, signal).map_err(|e| format!("the server's process: {e}"))
    }

    /// Kills it with SIGKILL, and starts it again after a while.
    pub fn kill_and_restart(&mut self, away: Duration) -> Result<(), String> {
        self.child.kill().map_err(|e| e.to_string())?;
        self.child.wait().map_err(|e| e.to_string())?;
        std::thread::sleep(away);
        let mut next = Server::start(&self.commands)?;
        std::mem::swap(self, &mut next);
        // What is dropped now is the dead one.
        next.keep = true;
        say("the server was killed with -9 in the middle of a replacement, and is back");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.keep {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
