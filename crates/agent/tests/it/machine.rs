//! What a server would prepare for a node: a root volume on ext4, a network namespace, data
//! volumes. Everything goes when it is dropped, also after a failed test.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use holdfast_agent::{
    Lifecycle, Limits, METADATA_ADDRESS, METADATA_PORT, ManifestEntry, NodeConfig, ShimClient,
    ShimHandle, WorkloadState, config_path, console_path, filesystem_uuid, populate_root, spawn,
};
use holdfast_scratch::Scratch;

/// The program that calls `dispatch`.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_holdfast-agent"))
}

/// Nothing here takes a second; a slow machine gets a minute.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn eventually(what: &str, mut found: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !found() {
        assert!(Instant::now() < end, "{what} did not happen within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect("can be started");
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An ext4 file system on a loop device, mounted on the host.
pub struct Volume {
    pub at: PathBuf,
}

impl Volume {
    pub fn make(dir: &Path, name: &str) -> Self {
        let image = dir.join(format!("{name}.img"));
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let at = dir.join(name);
        fs::create_dir(&at).unwrap();
        let image = image.to_str().unwrap();
        run("mkfs.ext4", &["-q", "-F", image]);
        run("mount", &["-o", "loop", image, at.to_str().unwrap()]);
        Self { at }
    }

    pub fn entry(&self, device: &str, target: &str) -> ManifestEntry {
        let fs_uuid = filesystem_uuid(&self.at).unwrap();
        ManifestEntry { device: device.into(), fs_uuid, target: target.into() }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

/// A host that is ready to start one node.
pub struct Machine {
    pub config: NodeConfig,
    pub root: Volume,
    pub dir: Scratch,
}

impl Machine {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(nix_is_root(), "these tests start real nodes and must run as root");
        let dir = Scratch::new();
        let root = Volume::make(dir.path(), "root");
        populate_root(&root.at).unwrap();
        let netns = dir.path().join("netns");
        fs::File::create(&netns).unwrap();
        let pin = netns.clone();
        // A thread of its own: the namespace is the thread's, and stays with the file.
        let pinned = std::thread::spawn(move || {
            // SAFETY: only this thread changes its network namespace, and it ends here.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
            run("mount", &["--bind", "/proc/thread-self/ns/net", pin.to_str().unwrap()]);
        });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let config = NodeConfig {
            dir: dir.path().join("instance"),
            instance_id: format!("i-test{}-{number}", std::process::id()),
            node_id: "smi-0123abcd".into(),
            generation: 7,
            hostname: "db-1".into(),
            root_mount: root.at.clone(),
            netns,
            instance_type: "m6i.large".into(),
            lifecycle: Lifecycle::Spot,
            zone: "local-1a".into(),
            region: "local-1".into(),
            private_ip: "10.0.1.5".parse().unwrap(),
            mac: "02:00:00:00:00:05".into(),
            image_id: "ami-host".into(),
            user_data: Vec::new(),
            shutdown_script: None,
            limits: Limits { cpus: 1, memory_bytes: 256 << 20, pids_max: 128 },
            metadata: holdfast_agent::MetadataOptions::default(),
            tags: BTreeMap::from([("Name".into(), "db".into())]),
            stop_timeout_ms: 20_000,
        };
        let machine = Self { config, root, dir };
        pinned.join().unwrap();
        machine
    }

    pub fn with_user_data(script: &str) -> Self {
        let mut machine = Self::new();
        machine.config.user_data = script.as_bytes().to_vec();
        machine
    }

    pub fn start(&self) -> ShimHandle {
        spawn(program(), &self.config).unwrap()
    }

    pub fn client(&self) -> ShimClient {
        ShimClient::connect(&self.config.dir).unwrap()
    }

    /// Opens the gate without a manifest and waits for the user data's end.
    pub fn run_user_data(&self) -> i32 {
        let mut client = self.client();
        client.open_gate(&[]).unwrap();
        let mut code = None;
        eventually("the end of the user data", || match client.ping().unwrap().workload {
            WorkloadState::Ended { code: found } => {
                code = Some(found);
                true
            }
            WorkloadState::Failed { message } => panic!("{message}"),
            WorkloadState::None => panic!("there is no user data"),
            _ => false,
        });
        code.unwrap()
    }

    pub fn console(&self) -> String {
        fs::read_to_string(console_path(&self.config.dir)).unwrap_or_default()
    }

    /// A command in the node, through the program, as a person would.
    pub fn exec(&self, argv: &[&str]) -> Output {
        Command::new(program())
            .arg("exec")
            .arg(&self.config.dir)
            .arg("--")
            .args(argv)
            .output()
            .unwrap()
    }

    pub fn shell(&self, script: &str) -> String {
        let output = self.exec(&["sh", "-c", script]);
        let (out, err) = (&output.stdout, &output.stderr);
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(err));
        String::from_utf8_lossy(out).trim().to_owned()
    }

    /// An HTTP request to the metadata address from the node's network: status and body.
    pub fn metadata(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let netns = fs::File::open(&self.config.netns).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("Connection: close\r\nContent-Length: 0\r\n\r\n");
        std::thread::spawn(move || {
            use std::os::fd::AsRawFd;
            // SAFETY: the descriptor is open; only this thread changes its namespace.
            assert_eq!(unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
            let address = SocketAddrV4::new(METADATA_ADDRESS, METADATA_PORT);
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
            let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
            (status, body)
        })
        .join()
        .unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Ok(handle) = ShimHandle::open(&self.config.dir) {
            let _ = handle.kill();
            let _ = handle.wait_exit(5_000);
        }
        if config_path(&self.config.dir).exists() {
            let _ = holdfast_agent::clear(&self.config.dir);
        }
        let _ = Command::new("umount").arg(&self.config.netns).status();
    }
}

fn nix_is_root() -> bool {
    // SAFETY: no preconditions.
    unsafe { libc::geteuid() == 0 }
}
