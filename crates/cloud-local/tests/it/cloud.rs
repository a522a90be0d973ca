//! The local cloud as a whole: real nodes, through the `Cloud` trait.

mod faults;
mod health;
mod killed;
mod markets;
mod memory;
mod neighbours;
mod power;
mod snapshots;
mod times;
mod walls_filesystem;
mod walls_space;

use holdfast_cloud::conformance::{self, Subject};
use holdfast_cloud::{BoxFuture, Cloud};
use holdfast_cloud_local::network::{self, VpcLayout};
use holdfast_cloud_local::storage::{Inventory, PoolOptions};
use holdfast_cloud_local::{
    HOST_IMAGE, LocalCloud, LocalOptions, MarketChange, OVERCOMMIT, reset, subnet_of,
};
use holdfast_model::command::{Launch, Mount};
use holdfast_model::facts::{
    Fact, Health, InstanceFact, InstanceState, InterfaceState, Query, ResourceKind, VolumeState,
};
use holdfast_model::tags::{self, Tags};
use holdfast_model::{
    AllocationId, Command, ErrorClass, ImageId, InstanceId, InterfaceId, Lifecycle, Market, Reply,
    Token, VolumeId, Zone,
};
use serde_json::Map;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a test looks before it gives up, 10 ms apart.
const MAX_LOOKS: u32 = 3_000;

/// A local cloud in a directory of its own, given up whatever happens.
struct Scratch {
    dir: holdfast_scratch::Scratch,
}

impl Scratch {
    fn new() -> Scratch {
        Scratch::within(&std::env::temp_dir())
    }

    fn within(parent: &Path) -> Scratch {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root: run them with sudo");
        let dir = holdfast_scratch::Scratch::within(parent).ending(|dir| {
            if let Err(e) = reset(&dir.join("local")) {
                eprintln!("cleaning up {}: {e}", dir.display());
            }
        });
        Scratch { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("local")
    }

    fn open(&self) -> LocalCloud {
        LocalCloud::open(&options(&self.path())).unwrap()
    }
}

fn options(dir: &Path) -> LocalOptions {
    LocalOptions {
        dir: dir.to_owned(),
        pool: PoolOptions { size_bytes: 4 << 30 },
        layout: VpcLayout::default(),
        shim_program: PathBuf::from(env!("CARGO_BIN_EXE_holdfast-local-shim")),
        clean_stop: Duration::from_secs(20),
        overcommit: OVERCOMMIT,
    }
}

fn market(zone: &str) -> Market {
    Market {
        instance_type: "t3.micro".to_owned(),
        zone: Zone::from(zone),
        subnet: subnet_of(zone),
        lifecycle: Lifecycle::Spot,
    }
}

fn node_tags(role: &str) -> Tags {
    Tags::from([
        (tags::INSTALLATION.to_owned(), "test".to_owned()),
        (tags::NODE.to_owned(), "smi-0000beef".to_owned()),
        (tags::GENERATION.to_owned(), "1".to_owned()),
        (tags::ROLE.to_owned(), role.to_owned()),
    ])
}

/// A script as user data.
fn script(text: &str) -> Option<String> {
    use base64::Engine as _;
    Some(base64::engine::general_purpose::STANDARD.encode(format!("#!/bin/sh\n{text}\n")))
}

fn launch(token: &str, interface: Option<InterfaceId>, user_data: Option<String>) -> Launch {
    Launch {
        token: Token::from(token),
        market: market("local-1a"),
        image: ImageId::from(HOST_IMAGE),
        interface,
        root_delete_on_termination: true,
        root_size_gib: Some(1),
        user_data,
        shutdown_script: None,
        root_settings: Map::new(),
        volume_tags: None,
        interface_tags: None,
        settings: Map::new(),
        tags: node_tags("instance"),
    }
}

async fn one(cloud: &LocalCloud, command: Command) -> Result<Reply, holdfast_model::CloudError> {
    cloud.execute(vec![command]).await.remove(0)
}

async fn must(cloud: &LocalCloud, command: Command) -> Reply {
    let shown = command.action();
    one(cloud, command).await.unwrap_or_else(|e| panic!("{shown}: {e}"))
}

async fn run(cloud: &LocalCloud, launch: Launch) -> InstanceFact {
    let reply = must(cloud, Command::RunInstances(Box::new(launch))).await;
    match reply.facts.into_iter().next() {
        Some(Fact::Instance(i)) => {
            assert_eq!(i.state, InstanceState::Running, "{:?}", i.reason);
            (*i).clone()
        }
        other => panic!("{other:?}"),
    }
}

async fn look(cloud: &LocalCloud, id: &str) -> Option<Fact> {
    let kind = ResourceKind::of_id(id).unwrap();
    let query = Query { kind, ids: vec![id.to_owned()], page: None };
    cloud.observe(query).await.unwrap().facts.into_iter().next()
}

async fn instance(cloud: &LocalCloud, id: &InstanceId) -> InstanceFact {
    match look(cloud, id.as_str()).await {
        Some(Fact::Instance(i)) => (*i).clone(),
        other => panic!("{id}: {other:?}"),
    }
}

async fn terminated(cloud: &LocalCloud, id: &InstanceId) -> InstanceFact {
    for _ in 0..MAX_LOOKS {
        let now = instance(cloud, id).await;
        if now.state == InstanceState::Terminated {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{id} was never terminated");
}

async fn new_volume(cloud: &LocalCloud, token: &str) -> VolumeId {
    let reply = must(
        cloud,
        Command::CreateVolume {
            token: Token::from(token),
            zone: Zone::from("local-1a"),
            size_gib: 1,
            snapshot: None,
            settings: Map::new(),
            tags: node_tags("data:/dev/xvdb"),
        },
    )
    .await;
    VolumeId(reply.facts[0].id().to_owned())
}

async fn new_interface(cloud: &LocalCloud, token: &str) -> InterfaceId {
    let reply = must(
        cloud,
        Command::CreateNetworkInterface {
            token: Token::from(token),
            subnet: subnet_of("local-1a"),
            private_ip: None,
            groups: Vec::new(),
            tags: node_tags("interface"),
        },
    )
    .await;
    InterfaceId(reply.facts[0].id().to_owned())
}

fn attach(volume: &VolumeId, instance: &InstanceId) -> Command {
    Command::AttachVolume {
        volume: volume.clone(),
        instance: instance.clone(),
        device: "/dev/xvdb".to_owned(),
    }
}

fn open_gate(volume: &VolumeId, instance: &InstanceId) -> Command {
    Command::OpenGate {
        instance: instance.clone(),
        manifest: vec![Mount {
            volume: volume.clone(),
            device: "/dev/xvdb".to_owned(),
            fs_uuid: None,
            target: "/var/lib/data".to_owned(),
        }],
        interface: None,
    }
}

/// Waits until a line is in the node's console.
async fn console_says(cloud: &LocalCloud, id: &InstanceId, line: &str) {
    let path = holdfast_agent::console_path(&cloud.instance_dir(id));
    for _ in 0..MAX_LOOKS {
        if std::fs::read_to_string(&path).unwrap_or_default().contains(line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let said = std::fs::read_to_string(&path).unwrap_or_default();
    panic!("{id} never said {line:?}, but: {said}");
}

async fn terminate(cloud: &LocalCloud, id: &InstanceId) {
    must(cloud, Command::TerminateInstances { instance: id.clone() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_cloud_does_what_every_cloud_must_do() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let (for_interrupt, for_capacity) = (cloud.clone(), cloud.clone());
    let for_addresses = for_interrupt.clone();
    let subject = Subject {
        cloud: Arc::new(cloud),
        market: market("local-1a"),
        elsewhere: market("local-1b"),
        image: ImageId::from(HOST_IMAGE),
        interrupt: Box::new(move |id| -> BoxFuture<'static, ()> {
            let cloud = for_interrupt.clone();
            Box::pin(async move {
                let work = move || cloud.interrupt(&id, None).unwrap();
                tokio::task::spawn_blocking(work).await.unwrap();
            })
        }),
        set_capacity: Box::new(move |market, some| -> BoxFuture<'static, ()> {
            let change = MarketChange::capacity((!some).then_some(0));
            for_capacity.change_markets(&[(market, change)]).unwrap();
            Box::pin(async {})
        }),
        allocate_address: Box::new(move || -> BoxFuture<'static, AllocationId> {
            let address = for_addresses.allocate_address().unwrap();
            Box::pin(async { address.allocation_id })
        }),
        pass_time: Box::new(|| Box::pin(tokio::time::sleep(Duration::from_millis(10)))),
    };
    conformance::run(&subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_keeps_what_was_synced_and_who_the_node_is() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let (volume, eni) = (new_volume(&cloud, "v").await, new_interface(&cloud, "e").await);
    let user_data = script(
        "cat /var/lib/data/kept /var/lib/data/lost 2>/dev/null
         echo unsynced >/var/lib/data/lost
         echo generation >/var/lib/data/kept; sync -d /var/lib/data/kept
         sync /var/lib/data
         echo hoped >>/var/lib/data/lost
         echo written; sleep 600",
    );
    let first = run(&cloud, launch("r1", Some(eni.clone()), user_data.clone())).await;
    must(&cloud, attach(&volume, &first.id)).await;
    let gate = must(&cloud, open_gate(&volume, &first.id)).await;
    assert!(matches!(&gate.facts[0], Fact::Instance(i) if i.health == Health::Ok));
    console_says(&cloud, &first.id, "written").await;

    let (ours, id) = (cloud.clone(), first.id.clone());
    tokio::task::spawn_blocking(move || ours.interrupt(&id, None).unwrap()).await.unwrap();
    let gone = instance(&cloud, &first.id).await;
    assert_eq!(gone.state, InstanceState::Terminated);
    assert_eq!(gone.reason.as_deref(), Some("Server.SpotInstanceTermination"));
    assert!(matches!(look(&cloud, volume.as_str()).await,
        Some(Fact::Volume(v)) if v.state == VolumeState::Available));
    assert!(matches!(look(&cloud, eni.as_str()).await,
        Some(Fact::Interface(i)) if i.state == InterfaceState::Available));

    let second = run(&cloud, launch("r2", Some(eni), user_data)).await;
    assert_eq!(second.private_ip, first.private_ip);
    must(&cloud, attach(&volume, &second.id)).await;
    must(&cloud, open_gate(&volume, &second.id)).await;
    console_says(&cloud, &second.id, "written").await;
    let console = holdfast_agent::console_path(&cloud.instance_dir(&second.id));
    let said = std::fs::read_to_string(console).unwrap();
    assert!(said.contains("generation"), "synced, and lost: {said}");
    assert!(!said.contains("hoped"), "not synced, and kept: no power was cut: {said}");
    terminate(&cloud, &second.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_reaches_the_node_and_ends_in_a_power_cut() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let user_data = script(
        "bash <<'SCRIPT'
         ask() {
            exec 3<>/dev/tcp/169.254.169.254/80
            printf '%s /latest/%s HTTP/1.0\\r\\n%s\\r\\n\\r\\n' \"$1\" \"$2\" \"$3\" >&3
            cat <&3
         }
         ttl='X-aws-ec2-metadata-token-ttl-seconds: 60'
         token=$(ask PUT api/token \"$ttl\" | tail -1 | tr -d '\\r')
         header=\"X-aws-ec2-metadata-token: $token\"
         until ask GET meta-data/spot/instance-action \"$header\" | grep terminate; do
            sleep 0.05
         done
         sleep 600
SCRIPT",
    );
    let node = run(&cloud, launch("n1", None, user_data)).await;
    must(
        &cloud,
        Command::OpenGate { instance: node.id.clone(), manifest: Vec::new(), interface: None },
    )
    .await;
    let (ours, id) = (cloud.clone(), node.id.clone());
    let notice = Some(Duration::from_secs(2));
    tokio::task::spawn_blocking(move || ours.interrupt(&id, notice).unwrap()).await.unwrap();
    let hint = cloud.notice().await;
    assert_eq!(hint.instance, node.id);
    assert_eq!(hint.interruption_at, instance(&cloud, &node.id).await.interruption_at);
    console_says(&cloud, &node.id, "terminate").await;
    assert_eq!(
        terminated(&cloud, &node.id).await.reason.as_deref(),
        Some("Server.SpotInstanceTermination")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_init_ends_is_shown_as_terminated() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let node = run(&cloud, launch("d1", None, None)).await;
    let handle = holdfast_agent::ShimHandle::open(&cloud.instance_dir(&node.id)).unwrap();
    let init = nix::unistd::Pid::from_raw(handle.init_pid());
    nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGKILL).unwrap();
    let gone = terminated(&cloud, &node.id).await;
    assert_eq!(gone.reason.as_deref(), Some("Client.InstanceInitiatedShutdown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_adopts_its_nodes_and_leaks_nothing() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let volume = new_volume(&cloud, "v").await;
    let node = run(&cloud, launch("a1", None, script("echo up; sleep 600"))).await;
    must(&cloud, attach(&volume, &node.id)).await;
    must(&cloud, open_gate(&volume, &node.id)).await;
    let overdue = run(&cloud, launch("a2", None, None)).await;
    let before = Inventory::of(&scratch.path()).unwrap();
    let (ours, id) = (cloud.clone(), overdue.id.clone());
    let notice = Some(Duration::from_millis(300));
    drop(cloud);
    tokio::task::spawn_blocking(move || ours.interrupt(&id, notice).unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;

    let cloud = scratch.open();
    let adopted = instance(&cloud, &node.id).await;
    assert_eq!((adopted.state, adopted.health), (InstanceState::Running, Health::Ok));
    assert_eq!(
        terminated(&cloud, &overdue.id).await.reason.as_deref(),
        Some("Server.SpotInstanceTermination"),
        "an interruption that fell due while no server ran"
    );
    assert!(Inventory::of(&scratch.path()).unwrap().loops.len() < before.loops.len());
    terminate(&cloud, &node.id).await;
    must(&cloud, Command::DeleteVolume { volume }).await;
    let left = Inventory::of(&scratch.path()).unwrap();
    assert_eq!(left.loops.len(), 1, "only the pool's own device: {left:?}");
    assert_eq!((left.volumes.len(), left.drafts.len()), (0, 0), "{left:?}");
    assert_eq!(network::inventory(&scratch.path()).unwrap().nodes.len(), 0);
    assert_eq!(groups_of(&node.id) + groups_of(&overdue.id), 0);
}

/// How many control groups an instance has.
fn groups_of(id: &InstanceId) -> usize {
    let mut found = 0;
    for top in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        let below = std::fs::read_dir(top).into_iter().flatten().flatten().map(|e| e.path());
        for place in below.chain([PathBuf::from(top)]) {
            found += usize::from(place.join("holdfast/nodes").join(id.as_str()).exists());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_removes_every_trace_of_running_nodes() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let volume = new_volume(&cloud, "v").await;
    let node = run(&cloud, launch("x1", None, script("sleep 600"))).await;
    must(&cloud, attach(&volume, &node.id)).await;
    must(&cloud, open_gate(&volume, &node.id)).await;
    drop(cloud);
    let dir = scratch.path().canonicalize().unwrap();
    tokio::task::spawn_blocking(move || reset(&dir).unwrap()).await.unwrap();
    assert!(!scratch.path().exists());
    assert_eq!(Inventory::of(&scratch.path()).unwrap(), Inventory::default());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let name = scratch.path();
    assert!(!mounts.contains(name.to_str().unwrap()), "{mounts}");
    assert_eq!(groups_of(&node.id), 0);
    reset(&scratch.path()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_volume_keeps_the_gate_closed_and_is_not_changed() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let volume = new_volume(&cloud, "v").await;
    let image = scratch.path().join(format!("pool/volumes/{volume}.img"));
    let file = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xA5; 65_536], 0).unwrap();
    file.sync_all().unwrap();
    let node = run(&cloud, launch("g1", None, script("echo started; sleep 600"))).await;
    must(&cloud, attach(&volume, &node.id)).await;
    let refused = one(&cloud, open_gate(&volume, &node.id)).await.unwrap_err();
    assert_eq!(
        (refused.class, refused.code.as_str()),
        (ErrorClass::Refused, "FilesystemDoesNotMount")
    );
    assert!(refused.message.contains(volume.as_str()), "{refused}");
    assert_eq!(instance(&cloud, &node.id).await.health, Health::Initializing);
    terminate(&cloud, &node.id).await;
    assert_eq!(std::fs::read(&image).unwrap()[..65_536], [0xA5; 65_536]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_end_lets_processes_finish_and_a_stubborn_one_is_cut() {
    let scratch = Scratch::new();
    let mut options = options(&scratch.path());
    options.clean_stop = Duration::from_secs(1);
    let cloud = LocalCloud::open(&options).unwrap();
    let volume = new_volume(&cloud, "v").await;
    let polite = script(
        "trap 'echo ended >/var/lib/data/farewell; exit 0' TERM
         cat /var/lib/data/farewell; echo ready; while :; do sleep 0.05; done",
    );
    let node = run(&cloud, launch("c1", None, polite.clone())).await;
    must(&cloud, attach(&volume, &node.id)).await;
    must(&cloud, open_gate(&volume, &node.id)).await;
    console_says(&cloud, &node.id, "ready").await;
    terminate(&cloud, &node.id).await;

    let next = run(&cloud, launch("c2", None, polite)).await;
    must(&cloud, attach(&volume, &next.id)).await;
    must(&cloud, open_gate(&volume, &next.id)).await;
    console_says(&cloud, &next.id, "ended").await;
    terminate(&cloud, &next.id).await;

    let stubborn = script("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    let node = run(&cloud, launch("c3", None, stubborn)).await;
    must(
        &cloud,
        Command::OpenGate { instance: node.id.clone(), manifest: Vec::new(), interface: None },
    )
    .await;
    console_says(&cloud, &node.id, "ready").await;
    terminate(&cloud, &node.id).await;
    let gone = instance(&cloud, &node.id).await;
    assert_eq!(gone.reason.as_deref(), Some("Client.UserInitiatedShutdown"));
}
