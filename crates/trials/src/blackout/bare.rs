//! The bare way: what a person would do by hand on the same host with the same volumes, as fast as
//! it can be done. Attach, mount (the journal is replayed), start the server. No controller, no
//! record, no snapshot, no gate.

use crate::trial::workload::Workload;
use holdfast_agent::ShimHandle;
use holdfast_cloud_local::network::{Fabric, Interface, VpcLayout};
use holdfast_cloud_local::storage::{MountOptions, Pool, PoolOptions};
use holdfast_model::VolumeId;
use rustix::fs::Mode;
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use serde_json::Value;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that a shutdown script may take, in milliseconds.
const SCRIPT_LIMIT_MS: u64 = 30_000;
/// Writable for the server, besides its volume: it runs on the host's own root.
const SCRATCH: [&str; 2] = ["/run", "/var/lib"];

/// What was done, and how long it took.
pub type Steps = Vec<(String, Duration)>;

/// The host's devices, mounts and links, taken in hand while the controller is stopped.
pub struct Machine {
    dir: PathBuf,
    pool: Pool,
    fabric: Fabric,
}

/// What must be known to restart a node's server by hand.
pub struct Recipe {
    instance: String,
    interface: Interface,
    /// Everything that the instance holds.
    attached: Vec<VolumeId>,
    /// What is mounted again: the volumes that are kept.
    kept: Vec<VolumeId>,
    /// The one that the server writes to, and where it looks for it.
    data: VolumeId,
    target: String,
    script: String,
}

impl Recipe {
    /// From a node's spec and from how it is shown.
    pub fn of(workload: Workload, spec: &Value, shown: &Value) -> Result<Recipe, String> {
        let missing = |what: &str| format!("{}: {what} is not to be found", workload.name());
        let text = |value: Option<&Value>, what: &str| {
            let text = value.and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| missing(what))
        };
        let launch = spec.pointer("/managedInstance/compute/launchSpecification");
        let launch = launch.ok_or_else(|| missing("its launch specification"))?;
        let mount_tag = |tag: &&Value| {
            let key = tag["tagKey"].as_str().unwrap_or_default();
            key.starts_with(holdfast_model::tags::MOUNT_PREFIX)
        };
        let tag = launch["tags"].as_array().and_then(|tags| tags.iter().find(mount_tag));
        let keeps_root = spec.pointer("/managedInstance/persistence/persistRootDevice");
        let keeps_root = keeps_root.and_then(Value::as_bool).unwrap_or(false);
        let data = VolumeId(text(shown.pointer("/record/data/0/head/id"), "its data volume")?);
        let attachments = shown.pointer("/instance/attachments").and_then(Value::as_array);
        let attached: Vec<VolumeId> = attachments
            .ok_or_else(|| missing("what its instance holds"))?
            .iter()
            .filter_map(|a| a["volume"].as_str().map(VolumeId::from))
            .collect();
        let zone = text(shown.pointer("/record/interface/zone"), "its interface's zone")?;
        let subnet = VpcLayout::default().subnet_of(&zone).ok_or_else(|| missing("its subnet"))?;
        let address = text(shown.pointer("/record/interface/private_ip"), "its address")?;
        let mac = text(shown.pointer("/record/interface/mac"), "its MAC address")?;
        let interface = Interface {
            mac: mac.parse().map_err(|_| missing("its MAC address"))?,
            private_ip: address.parse().map_err(|_| missing("its address"))?,
            prefix: subnet.prefix(),
            gateway: subnet.gateway(),
        };
        let kept = attached.iter().filter(|v| keeps_root || **v == data).cloned().collect();
        Ok(Recipe {
            interface,
            instance: text(shown.pointer("/record/holder/id"), "its instance")?,
            attached,
            kept,
            data,
            target: text(tag.map(|t| &t["tagValue"]), "where its volume is mounted")?,
            script: text(Some(&launch["userData"]), "its user data")?,
        })
    }
}

/// A server that was restarted by hand.
pub struct Restarted {
    server: Child,
}

impl Machine {
    /// Finds the pool and the network of a server that runs and is idle.
    pub fn open(dir: &Path) -> Result<Machine, String> {
        let pool = Pool::open(dir, &PoolOptions::default()).map_err(|e| e.to_string())?;
        let fabric = Fabric::open(dir, &VpcLayout::default()).map_err(|e| e.to_string())?;
        Ok(Machine { dir: pool.dir().to_owned(), pool, fabric })
    }

    fn mounted(&self, volume: &VolumeId) -> PathBuf {
        self.dir.join("mounts").join(volume.as_str())
    }

    fn shim(&self, recipe: &Recipe) -> Result<ShimHandle, String> {
        ShimHandle::open(&self.dir.join("nodes").join(&recipe.instance)).map_err(|e| e.to_string())
    }

    /// Cuts the power as the cloud does: the link first, then the volumes, then the processes.
    pub fn lose_power(&self, recipe: &Recipe) -> Result<Steps, String> {
        let mut steps = Steps::new();
        let shim = self.shim(recipe)?;
        timed(&mut steps, "cut", || {
            self.fabric.link_down(&recipe.instance).map_err(|e| e.to_string())?;
            for volume in &recipe.attached {
                self.pool.power_cut(&self.mounted(volume)).map_err(|e| e.to_string())?;
            }
            Ok(())
        })?;
        self.take_down(recipe, &shim, &mut steps)?;
        Ok(steps)
    }

    /// Shuts the machine down as a person would: the server is told to end, then the rest goes.
    pub fn shut_down(&self, recipe: &Recipe) -> Result<Steps, String> {
        let mut steps = Steps::new();
        let shim = self.shim(recipe)?;
        timed(&mut steps, "drain", || {
            let mut client = shim.client().map_err(|e| e.to_string())?;
            client.run_shutdown_script(SCRIPT_LIMIT_MS).map_err(|e| e.to_string())?;
            client.stop(Some(SCRIPT_LIMIT_MS)).map_err(|e| e.to_string())?;
            shim.wait_exit(SCRIPT_LIMIT_MS).map_err(|e| e.to_string()).map(|_| ())
        })?;
        self.take_down(recipe, &shim, &mut steps)?;
        Ok(steps)
    }

    fn take_down(
        &self,
        recipe: &Recipe,
        shim: &ShimHandle,
        steps: &mut Steps,
    ) -> Result<(), String> {
        timed(steps, "kill", || shim.kill().map_err(|e| e.to_string()))?;
        timed(steps, "detach", || self.release(recipe))
    }

    fn release(&self, recipe: &Recipe) -> Result<(), String> {
        for volume in &recipe.attached {
            self.pool.unmount(&self.mounted(volume)).map_err(|e| e.to_string())?;
            self.pool.detach(volume).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Brings the volumes and the server back.
    pub fn restart(&self, recipe: &Recipe, steps: &mut Steps) -> Result<Restarted, String> {
        timed(steps, "attach", || {
            for volume in &recipe.kept {
                self.pool.attach(volume).map_err(|e| e.to_string())?;
            }
            Ok(())
        })?;
        timed(steps, "mount", || {
            for volume in &recipe.kept {
                let target = self.mounted(volume);
                self.pool
                    .mount(volume, &target, MountOptions::default())
                    .map_err(|e| e.to_string())?;
            }
            Ok(())
        })?;
        timed(steps, "start", || {
            // Anew: a link that was taken down and up again is idle for a second.
            let network = self.fabric.plug(&recipe.instance, &recipe.interface);
            let network = network.map_err(|e| e.to_string())?;
            let server = start(recipe, network.path(), &self.mounted(&recipe.data), &self.dir)?;
            Ok(Restarted { server })
        })
    }

    /// Kills the server and frees the volumes: the controller finds a node that has ended.
    pub fn give_back(&self, recipe: &Recipe, mut restarted: Restarted) -> Result<(), String> {
        // The first process of its namespace: with it, every process in there is gone.
        restarted.server.kill().map_err(|e| e.to_string())?;
        restarted.server.wait().map_err(|e| e.to_string())?;
        self.release(recipe)
    }
}

/// Starts the server in namespaces of its own: its network, its volume, its processes.
fn start(recipe: &Recipe, network: &Path, volume: &Path, dir: &Path) -> Result<Child, String> {
    let log = File::options().create(true).append(true).open(dir.join("bare.log"));
    let log = log.map_err(|e| e.to_string())?;
    let errors = log.try_clone().map_err(|e| e.to_string())?;
    let network = File::open(network).map_err(|e| e.to_string())?;
    // Only a thread that ends may change its namespaces; what it starts is born in them.
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(network, volume, Path::new(&recipe.target)).map_err(|e| e.to_string())?;
            Command::new("/bin/sh")
                .args(["-c", &recipe.script])
                .env_clear()
                .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
                .stdin(Stdio::null())
                .stdout(log)
                .stderr(errors)
                .current_dir("/")
                .spawn()
                .map_err(|e| format!("the server does not start: {e}"))
        });
        thread.join().unwrap_or_else(|_| Err("the starting thread panicked".to_owned()))
    })
}

fn enter(network: File, volume: &Path, target: &Path) -> rustix::io::Result<()> {
    use rustix::{fs, mount, thread};
    // From `/` on what follows is seen by this thread and its children alone.
    thread::move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    // SAFETY: this thread has its file system attributes to itself afterwards, and shares no
    // descriptors that anybody else relies on being shared.
    unsafe { thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWPID)? };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount::mount_change("/", private)?;
    // Before anything is mounted over its path; and after the copy, for only its own can be bound.
    let volume = fs::open(volume, fs::OFlags::PATH | fs::OFlags::DIRECTORY, Mode::empty())?;
    for path in SCRATCH {
        mount::mount("tmpfs", path, "tmpfs", MountFlags::empty(), None)?;
    }
    match fs::mkdir(target, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    use std::os::fd::AsRawFd;
    mount::mount_bind(format!("/proc/self/fd/{}", volume.as_raw_fd()), target)
}

fn timed<R>(
    steps: &mut Steps,
    name: &str,
    work: impl FnOnce() -> Result<R, String>,
) -> Result<R, String> {
    let began = Instant::now();
    let result = work().map_err(|e| format!("bare {name}: {e}"));
    steps.push((name.to_owned(), began.elapsed()));
    result
}
