//! Attacks on the space of the host: what one node takes comes back, and is not taken from others.

use super::*;
use std::os::unix::fs::MetadataExt;
use std::process::Command as Program;

/// What the pool's file takes from its disk, in MiB.
fn taken_mib(scratch: &Scratch) -> u64 {
    std::fs::metadata(scratch.path().join("pool.xfs")).unwrap().blocks() * 512 / (1 << 20)
}

async fn shrinks_below(scratch: &Scratch, mib: u64) {
    for _ in 0..MAX_LOOKS {
        if taken_mib(scratch) < mib {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the pool still takes {} MiB from the disk", taken_mib(scratch));
}

async fn serving(cloud: &LocalCloud, token: &str, text: &str) -> InstanceFact {
    let node = run(cloud, launch(token, None, script(text))).await;
    let id = node.id.clone();
    must(cloud, Command::OpenGate { instance: id, manifest: Vec::new(), interface: None }).await;
    node
}

/// A disk of its own for a data directory.
struct SmallDisk {
    scratch: Scratch,
    /// After the scratch directory on it: unmounted last.
    _mounted: Mounted,
}

struct Mounted(holdfast_scratch::Scratch);

impl Drop for Mounted {
    fn drop(&mut self) {
        let ended = Program::new("umount").arg(self.0.path().join("disk")).status();
        if !ended.is_ok_and(|status| status.success()) {
            eprintln!("cleaning up {}: it is still mounted", self.0.path().display());
        }
    }
}

impl SmallDisk {
    fn new(mib: u64) -> SmallDisk {
        let dir = holdfast_scratch::Scratch::new();
        let (image, disk) = (dir.path().join("disk.img"), dir.path().join("disk"));
        std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        std::fs::create_dir(&disk).unwrap();
        let must = |program: &mut Program| assert!(program.status().unwrap().success());
        must(Program::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image));
        must(Program::new("mount").args(["-o", "loop"]).arg(&image).arg(&disk));
        let mounted = Mounted(dir);
        let scratch = Scratch::within(&disk);
        SmallDisk { scratch, _mounted: mounted }
    }
}

/// One write that never ends, in one node: the disk of the host has no room for another node. When
/// that node is deleted, it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_one_node_has_filled_has_room_again_when_the_node_is_deleted() {
    let disk = SmallDisk::new(900);
    let scratch = &disk.scratch;
    let mut options = options(&scratch.path());
    options.pool.size_bytes = 800 << 20;
    let cloud = LocalCloud::open(&options).unwrap();
    let node = serving(&cloud, "w1", "head -c 2G /dev/zero >/var/filler; echo it-is-full").await;
    console_says(&cloud, &node.id, "it-is-full").await;
    assert!(taken_mib(scratch) > 600, "{} MiB", taken_mib(scratch));
    let command = Command::RunInstances(Box::new(launch("w2", None, None)));
    let refused = one(&cloud, command).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Storage, "{refused}");

    terminate(&cloud, &node.id).await;
    shrinks_below(scratch, 250).await;
    let next = run(&cloud, launch("w3", None, None)).await;
    terminate(&cloud, &next.id).await;
}

/// What a node has deleted is given back before another is refused for want of space, and at once
/// where little is left.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_has_deleted_goes_back_to_the_pool_and_to_the_disk() {
    let scratch = Scratch::new();
    let mut options = options(&scratch.path());
    options.pool.size_bytes = 512 << 20;
    let cloud = LocalCloud::open(&options).unwrap();
    let text = "head -c 300M /dev/zero >/var/big; sync; echo written; \
                until [ -e /tmp/delete ]; do sleep 0.05; done; rm /var/big; sync; echo deleted; \
                sleep 600";
    let node = serving(&cloud, "w4", text).await;
    console_says(&cloud, &node.id, "written").await;
    assert!(taken_mib(&scratch) > 300, "{} MiB", taken_mib(&scratch));
    let handle = holdfast_agent::ShimHandle::open(&cloud.instance_dir(&node.id)).unwrap();
    std::fs::write(format!("/proc/{}/root/tmp/delete", handle.init_pid()), "").unwrap();
    console_says(&cloud, &node.id, "deleted").await;
    shrinks_below(&scratch, 200).await;
    let used = cloud.pool().unwrap().room.used_bytes() >> 20;
    assert!(used < 150, "{used} MiB lie in the pool");
    assert_eq!(instance(&cloud, &node.id).await.health, Health::Ok);
    terminate(&cloud, &node.id).await;
}

/// In a full pool no instance has a successor: that is shown, so that none is given up for one.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_shows_that_nothing_could_be_made_in_its_place_while_the_pool_is_full() {
    let scratch = Scratch::new();
    let mut options = options(&scratch.path());
    options.pool.size_bytes = 512 << 20;
    let cloud = LocalCloud::open(&options).unwrap();
    let node = serving(&cloud, "w5", "sleep 600").await;
    let ballast = scratch.path().join("pool/ballast");
    let file = std::fs::File::create_new(&ballast).unwrap();
    let stat = nix::sys::statvfs::statvfs(&scratch.path().join("pool")).unwrap();
    let free = stat.blocks_available() * stat.fragment_size();
    let none = nix::fcntl::FallocateFlags::empty();
    let take = |bytes: u64| {
        nix::fcntl::fallocate(&file, none, 0, i64::try_from(bytes).unwrap()).unwrap();
    };
    take(free - (40 << 20));
    let why = successor(&cloud, &node.id, true).await.unwrap();
    assert!(why.contains("128 MiB"), "{why}");
    let market = market("local-1a");
    let probe = Command::Probe { token: Token::from("w5p"), market };
    let refused = one(&cloud, probe).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Storage, "{refused}");
    // A little room is not enough for everybody who waits for it.
    file.set_len(free - (100 << 20)).unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(instance(&cloud, &node.id).await.no_successor.is_some());
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(successor(&cloud, &node.id, false).await, None);
    terminate(&cloud, &node.id).await;
}

/// Whoever has filled the pool, and writes no more, makes room by its own end; its neighbour does not,
/// and is kept.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_node_that_filled_the_pool_may_be_replaced_while_it_is_full() {
    let scratch = Scratch::new();
    let mut options = options(&scratch.path());
    options.pool.size_bytes = 512 << 20;
    let cloud = LocalCloud::open(&options).unwrap();
    let neighbour = serving(&cloud, "w6", "sleep 600").await;
    let text = "head -c 2G /dev/zero >/var/filler; sync; echo it-is-full; \
                while :; do echo more >>/var/log/more; sync; sleep 0.1; done";
    let filler = serving(&cloud, "w7", text).await;
    console_says(&cloud, &filler.id, "it-is-full").await;
    assert!(successor(&cloud, &neighbour.id, true).await.is_some());
    for _ in 0..MAX_LOOKS {
        let seen = instance(&cloud, &filler.id).await;
        if seen.health == Health::Impaired && seen.no_successor.is_none() {
            assert!(instance(&cloud, &neighbour.id).await.no_successor.is_some());
            terminate(&cloud, &filler.id).await;
            assert_eq!(successor(&cloud, &neighbour.id, false).await, None);
            terminate(&cloud, &neighbour.id).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the filler is kept as well: {:?}", instance(&cloud, &filler.id).await);
}

/// Waits until an instance has, or has not, a reason for having no successor.
async fn successor(cloud: &LocalCloud, id: &InstanceId, has_reason: bool) -> Option<String> {
    for _ in 0..MAX_LOOKS {
        let why = instance(cloud, id).await.no_successor;
        if why.is_some() == has_reason {
            return why;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not change: {:?}", instance(cloud, id).await.no_successor);
}

fn volume_of(token: &str, size_gib: u32) -> Command {
    Command::CreateVolume {
        token: Token::from(token),
        zone: Zone::from("local-1a"),
        size_gib,
        snapshot: None,
        settings: Map::new(),
        tags: node_tags("data:/dev/xvdb"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_be_promised_is_refused_with_what_there_is() {
    let scratch = Scratch::new();
    let mut options = options(&scratch.path());
    options.overcommit = 1.0;
    let cloud = LocalCloud::open(&options).unwrap();
    let there = cloud.pool().unwrap().room.there_bytes() >> 30;
    assert_eq!(there, 3, "of a pool of 4 GiB");
    let reply = must(&cloud, volume_of("p1", 2)).await;
    let first = VolumeId(reply.facts[0].id().to_owned());
    let refused = one(&cloud, volume_of("p2", 2)).await.unwrap_err();
    assert_eq!((refused.class, refused.code.as_str()), (ErrorClass::Storage, "MaxStorageExceeded"));
    for words in ["a volume of 2 GiB", "2.", "GiB are there", "1 times", "--overcommit"] {
        assert!(refused.message.contains(words), "{words}: {refused}");
    }
    let launch = Command::RunInstances(Box::new(Launch {
        root_size_gib: Some(2),
        ..launch("p3", None, None)
    }));
    assert_eq!(one(&cloud, launch).await.unwrap_err().class, ErrorClass::Storage);
    // It was not a promise: the same token is good once there is room.
    must(&cloud, Command::DeleteVolume { volume: first }).await;
    must(&cloud, volume_of("p2", 2)).await;
    drop(cloud);

    options.overcommit = 2.0;
    let cloud = LocalCloud::open(&options).unwrap();
    must(&cloud, volume_of("p4", 3)).await;
    let view = cloud.pool().unwrap();
    assert!(view.is_overcommitted() && view.promised_bytes <= view.most_bytes(), "{view:?}");
    options.overcommit = 0.5;
    drop(cloud);
    let error = LocalCloud::open(&options).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("0.5") && error.contains("from 1"), "{error}");
}

/// Both nodes were promised what there is. One writes until nothing more goes in; the other writes
/// all that it was promised. The control is
/// `a_node_whose_writes_failed_because_the_pool_was_full_is_impaired_until_it_is_mounted_anew`.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_cannot_take_the_room_that_another_was_promised() {
    let scratch = Scratch::new();
    let mut options = options(&scratch.path());
    options.pool.size_bytes = 2_500 << 20;
    options.overcommit = 1.0;
    let cloud = LocalCloud::open(&options).unwrap();
    let greedy = "head -c 3G /dev/zero >/var/filler; echo no-more; sleep 600";
    let modest = "until [ -e /tmp/write ]; do sleep 0.05; done; \
                  head -c 700M /dev/zero >/var/own && sync && echo all-is-written; sleep 600";
    let modest = serving(&cloud, "t1", modest).await;
    let greedy = serving(&cloud, "t2", greedy).await;
    let third = Command::RunInstances(Box::new(launch("t3", None, None)));
    assert_eq!(one(&cloud, third).await.unwrap_err().class, ErrorClass::Storage);
    console_says(&cloud, &greedy.id, "no-more").await;
    let handle = holdfast_agent::ShimHandle::open(&cloud.instance_dir(&modest.id)).unwrap();
    std::fs::write(format!("/proc/{}/root/tmp/write", handle.init_pid()), "").unwrap();
    console_says(&cloud, &modest.id, "all-is-written").await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for id in [&modest.id, &greedy.id] {
        let seen = instance(&cloud, id).await;
        assert_eq!((seen.health, seen.health_why), (Health::Ok, None));
        terminate(&cloud, id).await;
    }
}
