//! Status checks: what makes an instance impaired, and what is done with one that does not answer.

use super::*;
use std::time::Instant;

/// A node that runs, its gate open.
async fn serving(cloud: &LocalCloud, token: &str, user_data: Option<String>) -> InstanceFact {
    let node = run(cloud, launch(token, None, user_data)).await;
    must(
        cloud,
        Command::OpenGate { instance: node.id.clone(), manifest: Vec::new(), interface: None },
    )
    .await;
    assert_eq!(instance(cloud, &node.id).await.health, Health::Ok);
    node
}

async fn becomes(cloud: &LocalCloud, id: &InstanceId, health: Health) -> Option<String> {
    for _ in 0..MAX_LOOKS {
        let seen = instance(cloud, id).await;
        if seen.health == health {
            return seen.health_why;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{id} does not become {health:?}: {:?}", instance(cloud, id).await);
}

fn signal(cloud: &LocalCloud, id: &InstanceId, signal: i32) {
    let handle = holdfast_agent::ShimHandle::open(&cloud.instance_dir(id)).unwrap();
    // SAFETY: plain numbers; the process is a node's of this test.
    assert_eq!(unsafe { libc::kill(handle.init_pid(), signal) }, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_processes_are_stopped_is_impaired_and_neither_drained_nor_waited_for() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let node = serving(&cloud, "h1", None).await;
    signal(&cloud, &node.id, libc::SIGSTOP);
    let why = becomes(&cloud, &node.id, Health::Impaired).await.unwrap();
    assert!(why.contains("has not answered"), "{why}");
    signal(&cloud, &node.id, libc::SIGCONT);
    assert_eq!(becomes(&cloud, &node.id, Health::Ok).await, None);

    signal(&cloud, &node.id, libc::SIGSTOP);
    let began = Instant::now();
    let drain = Command::Drain { instance: node.id.clone(), timeout_ms: 600_000 };
    must(&cloud, drain).await;
    terminate(&cloud, &node.id).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(instance(&cloud, &node.id).await.state, InstanceState::Terminated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_interface_was_deleted_from_outside_is_impaired() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let node = serving(&cloud, "h2", None).await;
    let links = network::inventory(&scratch.path()).unwrap().links;
    network::in_fabric(&scratch.path(), move || {
        let delete = ["link", "delete", links[0].as_str()];
        assert!(std::process::Command::new("ip").args(delete).status().unwrap().success());
    })
    .unwrap();
    let why = becomes(&cloud, &node.id, Health::Impaired).await.unwrap();
    assert!(why.contains("network interface"), "{why}");
    terminate(&cloud, &node.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_writes_failed_because_the_pool_was_full_is_impaired_until_it_is_mounted_anew()
{
    let scratch = Scratch::new();
    let mut options = options(&scratch.path());
    options.pool.size_bytes = 512 << 20;
    let cloud = LocalCloud::open(&options).unwrap();
    let writes = "while :; do head -c 100000 /dev/zero >>/var/written; sync; sleep 0.1; done";
    let node = serving(&cloud, "h3", script(writes)).await;
    let pool = scratch.path().join("pool");
    let ballast = fill(&pool);
    let why = becomes(&cloud, &node.id, Health::Impaired).await.unwrap();
    // Which of them depends on what the write was for.
    let says = ["writes to it have failed", "takes no more writes", "was full while"];
    assert!(says.iter().any(|s| why.contains(s)), "{why}");
    drop(ballast);
    std::fs::remove_file(pool.join("ballast")).unwrap();
    // Space alone does not help: what was thrown away stays away.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(instance(&cloud, &node.id).await.health, Health::Impaired);
    terminate(&cloud, &node.id).await;
}

/// Takes all the space that a pool has.
fn fill(pool: &Path) -> std::fs::File {
    use std::io::Write as _;
    let mut ballast = std::fs::File::create_new(pool.join("ballast")).unwrap();
    let stat = nix::sys::statvfs::statvfs(pool).unwrap();
    let most = (stat.blocks_available() * stat.fragment_size()).saturating_sub(8 << 20);
    let none = nix::fcntl::FallocateFlags::empty();
    nix::fcntl::fallocate(&ballast, none, 0, i64::try_from(most).unwrap()).unwrap();
    std::io::Seek::seek(&mut ballast, std::io::SeekFrom::Start(most)).unwrap();
    while ballast.write_all(&[1; 65_536]).is_ok() {}
    while ballast.write_all(&[1; 4_096]).is_ok() {}
    ballast
}
