//! What goes wrong, and what travels.

use super::*;
use holdfast_model::{SnapshotId, facts::SnapshotState};

fn volumes_and_loops(scratch: &Scratch) -> (usize, usize) {
    let left = Inventory::of(&scratch.path()).unwrap();
    (left.volumes.len(), left.loops.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_fails_is_shown_as_terminated_and_leaves_nothing() {
    let scratch = Scratch::new();
    let mut options = options(&scratch.path());
    options.shim_program = PathBuf::from("/nonexistent/shim");
    let cloud = LocalCloud::open(&options).unwrap();
    let eni = new_interface(&cloud, "e").await;
    let mut request = launch("f1", Some(eni.clone()), None);
    request.root_delete_on_termination = false;
    let command = Command::RunInstances(Box::new(request));
    let reply = must(&cloud, command.clone()).await;
    let Some(Fact::Instance(seen)) = reply.facts.first() else { panic!("{reply:?}") };
    assert_eq!(seen.state, InstanceState::Terminated);
    let reason = seen.reason.clone().unwrap();
    assert!(reason.starts_with("Server.InternalError"), "{reason}");
    assert_eq!(volumes_and_loops(&scratch), (0, 1));
    assert_eq!(network::inventory(&scratch.path()).unwrap().nodes, [] as [&str; 0]);
    assert!(matches!(look(&cloud, eni.as_str()).await,
        Some(Fact::Interface(i)) if i.state == InterfaceState::Available));
    let again = cloud.execute(vec![command]).await.remove(0).unwrap_err();
    assert_eq!(again.code, "IdempotentInstanceTerminated", "the token still names that launch");
    assert!(again.message.contains(seen.id.as_str()), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_wrote_on_its_root_travels_by_snapshot_and_image() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let user_data = script("cat /etc/marker; echo travelled >/etc/marker; sync; echo written");
    let node = run(&cloud, launch("i1", None, user_data.clone())).await;
    must(
        &cloud,
        Command::SetDeleteOnTermination {
            instance: node.id.clone(),
            devices: vec![node.root_device.clone()],
            value: false,
        },
    )
    .await;
    must(
        &cloud,
        Command::OpenGate { instance: node.id.clone(), manifest: Vec::new(), interface: None },
    )
    .await;
    console_says(&cloud, &node.id, "written").await;
    let root = node.attachments[0].volume.clone();
    let (ours, id) = (cloud.clone(), node.id.clone());
    tokio::task::spawn_blocking(move || ours.interrupt(&id, None).unwrap()).await.unwrap();

    let tags = node_tags("root");
    let command = Command::CreateSnapshot { volume: root.clone(), tags: tags.clone() };
    let reply = must(&cloud, command).await;
    assert!(matches!(&reply.facts[0],
        Fact::Snapshot(s) if s.state == SnapshotState::Completed));
    let snapshot = SnapshotId(reply.facts[0].id().to_owned());
    let reply = must(
        &cloud,
        Command::RegisterImage {
            name: "travels".to_owned(),
            snapshot,
            like: ImageId::from(HOST_IMAGE),
            root_device: "/dev/xvda".to_owned(),
            tags,
        },
    )
    .await;
    must(&cloud, Command::DeleteVolume { volume: root }).await;
    let mut request = launch("i2", None, user_data);
    request.image = ImageId(reply.facts[0].id().to_owned());
    request.market = market("local-1c");
    request.root_size_gib = Some(2);
    let next = run(&cloud, request).await;
    assert_eq!(next.zone, Zone::from("local-1c"));
    must(
        &cloud,
        Command::OpenGate { instance: next.id.clone(), manifest: Vec::new(), interface: None },
    )
    .await;
    console_says(&cloud, &next.id, "travelled").await;
    terminate(&cloud, &next.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_runs_the_shutdown_script_once() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let mut request = launch("s1", None, None);
    request.shutdown_script = script("echo drained-now");
    let node = run(&cloud, request).await;
    must(
        &cloud,
        Command::OpenGate { instance: node.id.clone(), manifest: Vec::new(), interface: None },
    )
    .await;
    for _ in 0..2 {
        let command = Command::Drain { instance: node.id.clone(), timeout_ms: 10_000 };
        let reply = must(&cloud, command).await;
        assert!(matches!(&reply.facts[0], Fact::Instance(i) if i.drained));
    }
    console_says(&cloud, &node.id, "drained-now").await;
    terminate(&cloud, &node.id).await;
    let console = holdfast_agent::console_path(&cloud.instance_dir(&node.id));
    let said = std::fs::read_to_string(console).unwrap();
    assert_eq!(said.matches("drained-now").count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_in_use_stays_and_a_free_one_leaves_a_running_node() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let volume = new_volume(&cloud, "v").await;
    let detach =
        |id: &InstanceId| Command::DetachVolume { volume: volume.clone(), instance: id.clone() };
    let user_data = script(
        "exec 3>/var/lib/data/open; echo holding
         while [ -e /var/lib/data/open ] && [ ! -e /tmp/let-go ]; do sleep 0.05; done
         exec 3>&-; echo let-go; sleep 600",
    );
    let node = run(&cloud, launch("h1", None, user_data)).await;
    must(&cloud, attach(&volume, &node.id)).await;
    must(&cloud, open_gate(&volume, &node.id)).await;
    console_says(&cloud, &node.id, "holding").await;
    let refused = one(&cloud, detach(&node.id)).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Conflict, "{refused}");
    assert!(matches!(look(&cloud, volume.as_str()).await,
        Some(Fact::Volume(v)) if v.state == VolumeState::InUse && v.attachment_settled));
    let handle = holdfast_agent::ShimHandle::open(&cloud.instance_dir(&node.id)).unwrap();
    std::fs::write(format!("/proc/{}/root/tmp/let-go", handle.init_pid()), "").unwrap();
    console_says(&cloud, &node.id, "let-go").await;
    must(&cloud, detach(&node.id)).await;
    must(&cloud, detach(&node.id)).await;
    assert!(matches!(look(&cloud, volume.as_str()).await,
        Some(Fact::Volume(v)) if v.state == VolumeState::Available));
    assert_eq!(instance(&cloud, &node.id).await.attachments.len(), 1, "only the root is left");
    terminate(&cloud, &node.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_refuses_launches_until_there_is_room() {
    let scratch = Scratch::new();
    let mut options = options(&scratch.path());
    options.pool.size_bytes = 512 << 20;
    let cloud = LocalCloud::open(&options).unwrap();
    let ballast = std::fs::File::create_new(scratch.path().join("pool/ballast")).unwrap();
    let stat = nix::sys::statvfs::statvfs(&scratch.path().join("pool")).unwrap();
    let free = stat.blocks_available() * stat.fragment_size();
    let take = i64::try_from(free - (20 << 20)).unwrap();
    nix::fcntl::fallocate(&ballast, nix::fcntl::FallocateFlags::empty(), 0, take).unwrap();
    let request = Command::RunInstances(Box::new(launch("q1", None, None)));
    let refused = one(&cloud, request.clone()).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Storage, "{refused}");
    drop(ballast);
    std::fs::remove_file(scratch.path().join("pool/ballast")).unwrap();
    // XFS gives the space of a deleted file back a little later.
    let mut launched = one(&cloud, request.clone()).await;
    for _ in 0..MAX_LOOKS {
        if !launched.as_ref().is_err_and(|e| e.class == ErrorClass::Storage) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        launched = one(&cloud, request.clone()).await;
    }
    let id = InstanceId(launched.unwrap().facts[0].id().to_owned());
    terminate(&cloud, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_outlives_the_server_and_falls_due_under_the_next() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let node = run(&cloud, launch("o1", None, None)).await;
    let (ours, id) = (cloud.clone(), node.id.clone());
    let notice = Some(Duration::from_secs(2));
    tokio::task::spawn_blocking(move || ours.interrupt(&id, notice).unwrap()).await.unwrap();
    drop(cloud);
    let cloud = scratch.open();
    assert!(instance(&cloud, &node.id).await.interruption_at.is_some());
    let gone = terminated(&cloud, &node.id).await;
    assert_eq!(gone.reason.as_deref(), Some("Server.SpotInstanceTermination"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_launches_are_refused_with_what_is_allowed_and_make_nothing() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let good = launch("b", None, None);
    type Spoil = fn(&mut Launch);
    let bad: [(&str, Spoil); 6] = [
        ("InvalidInstanceType", |l| l.market.instance_type = "t9.huge".to_owned()),
        ("InvalidSubnetID.NotFound", |l| l.market.subnet = subnet_of("local-1x")),
        ("InvalidParameterCombination", |l| l.market.zone = Zone::from("local-1b")),
        ("InvalidAMIID.NotFound", |l| l.image = ImageId::from("ami-none")),
        ("InvalidUserData.Malformed", |l| l.user_data = Some("not base64!".to_owned())),
        ("InvalidParameterValue", |l| l.root_size_gib = Some(0)),
    ];
    for (code, spoil) in bad {
        let mut request = good.clone();
        spoil(&mut request);
        let refused = one(&cloud, Command::RunInstances(Box::new(request))).await.expect_err(code);
        assert_eq!((refused.class, refused.code.as_str()), (ErrorClass::Refused, code));
    }
    assert_eq!(volumes_and_loops(&scratch), (0, 1));
    let query = Query { kind: ResourceKind::Interface, ids: Vec::new(), page: None };
    assert_eq!(cloud.observe(query).await.unwrap().facts, []);
}
