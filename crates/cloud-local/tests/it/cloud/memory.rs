//! The memory (`cloud.db`) is lost, older than what is here, or damaged: nothing is deleted because of
//! it, and what it was about comes back.

use super::*;
use holdfast_cloud_local::{Thing, rebuild};
use holdfast_model::facts::{SnapshotFact, SnapshotState, VolumeFact};
use holdfast_model::{CloudError, SnapshotId};
use rusqlite::Connection;

/// Waits until the memory is closed: its last connection folds its log in and deletes it.
async fn close(scratch: &Scratch, cloud: LocalCloud) {
    drop(cloud);
    for _ in 0..MAX_LOOKS {
        if !scratch.path().join("cloud.db-wal").exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the local cloud was never closed");
}

fn memory(scratch: &Scratch) -> PathBuf {
    scratch.path().join("cloud.db")
}

/// A change behind the back of the local cloud, which is closed.
fn tamper(scratch: &Scratch, sql: &str) {
    Connection::open(memory(scratch)).unwrap().execute_batch(sql).unwrap();
}

fn label(scratch: &Scratch, id: &str) -> PathBuf {
    scratch.path().join(format!("pool/labels/{id}.label"))
}

async fn snapshot_of(cloud: &LocalCloud, volume: &VolumeId) -> SnapshotId {
    let tags = node_tags("root");
    let reply = must(cloud, Command::CreateSnapshot { volume: volume.clone(), tags }).await;
    SnapshotId(reply.facts[0].id().to_owned())
}

async fn volume(cloud: &LocalCloud, id: &VolumeId) -> Option<VolumeFact> {
    match look(cloud, id.as_str()).await {
        Some(Fact::Volume(v)) => Some((*v).clone()),
        None => None,
        other => panic!("{other:?}"),
    }
}

async fn snapshot(cloud: &LocalCloud, id: &SnapshotId) -> Option<SnapshotFact> {
    match look(cloud, id.as_str()).await {
        Some(Fact::Snapshot(s)) => Some((*s).clone()),
        None => None,
        other => panic!("{other:?}"),
    }
}

async fn address_of(cloud: &LocalCloud, id: &InterfaceId) -> Option<(String, String)> {
    match look(cloud, id.as_str()).await {
        Some(Fact::Interface(i)) => Some((i.private_ip.clone(), i.mac.clone())),
        None => None,
        other => panic!("{other:?}"),
    }
}

/// A node with a volume that it writes to, and its own interface.
async fn writer(
    cloud: &LocalCloud,
    token: &str,
    volume: &VolumeId,
    eni: &InterfaceId,
) -> InstanceFact {
    let user_data = script(
        "[ -e /var/lib/data/kept ] || { echo precious >/var/lib/data/kept; sync /var/lib/data/kept; }
         cat /var/lib/data/kept; n=0
         while :; do n=$((n+1)); echo $n >/var/lib/data/now; sync /var/lib/data/now; sleep 0.02; done",
    );
    let node = run(cloud, launch(token, Some(eni.clone()), user_data)).await;
    must(cloud, attach(volume, &node.id)).await;
    must(cloud, open_gate(volume, &node.id)).await;
    console_says(cloud, &node.id, "precious").await;
    node
}

/// Waits until a node has written on through what the host sees of its volume.
async fn writes_on(scratch: &Scratch, volume: &VolumeId) {
    let path = scratch.path().join(format!("mounts/{volume}/now"));
    let before = std::fs::read_to_string(&path).unwrap();
    for _ in 0..MAX_LOOKS {
        if std::fs::read_to_string(&path).unwrap() != before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the node writes no more to {volume}");
}

fn ids(cloud: &LocalCloud) -> Vec<String> {
    cloud.unaccounted().unwrap().into_iter().map(|found| found.id).collect()
}

/// What a volume that is made from a snapshot holds.
async fn content(cloud: &LocalCloud, token: &str, from: &SnapshotId) -> String {
    let made = must(
        cloud,
        Command::CreateVolume {
            token: Token::from(token),
            zone: Zone::from("local-1a"),
            size_gib: 1,
            snapshot: Some(from.clone()),
            settings: Map::new(),
            tags: node_tags("data:/dev/xvdb"),
        },
    )
    .await;
    let made = VolumeId(made.facts[0].id().to_owned());
    let node =
        run(cloud, launch(&format!("{token}-node"), None, script("cat /var/lib/data/kept"))).await;
    must(cloud, attach(&made, &node.id)).await;
    must(cloud, open_gate(&made, &node.id)).await;
    console_says(cloud, &node.id, "precious").await;
    terminate(cloud, &node.id).await;
    "precious".to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_that_is_older_than_the_pool_deletes_nothing_and_a_person_takes_it_up() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let (first, eni) = (new_volume(&cloud, "v").await, new_interface(&cloud, "e").await);
    close(&scratch, cloud).await;
    let copy = scratch.dir.path().join("copy.db");
    std::fs::copy(memory(&scratch), &copy).unwrap();

    let cloud = scratch.open();
    let node = writer(&cloud, "w", &first, &eni).await;
    let saved = snapshot_of(&cloud, &first).await;
    let image = must(
        &cloud,
        Command::RegisterImage {
            name: "saved".to_owned(),
            snapshot: saved.clone(),
            like: ImageId::from(HOST_IMAGE),
            root_device: "/dev/xvda".to_owned(),
            tags: node_tags("image"),
        },
    )
    .await;
    let image = image.facts[0].id().to_owned();
    let (second, kept) = (new_volume(&cloud, "v2").await, new_interface(&cloud, "e2").await);
    let address = address_of(&cloud, &kept).await.unwrap();
    let doomed = snapshot_of(&cloud, &second).await;
    must(&cloud, Command::DeleteSnapshot { snapshot: doomed.clone() }).await;
    terminate(&cloud, &node.id).await;
    close(&scratch, cloud).await;

    std::fs::copy(&copy, memory(&scratch)).unwrap();
    let cloud = scratch.open();
    let files = Inventory::of(&scratch.path()).unwrap();
    assert_eq!(files.snapshots, [saved.to_string()]);
    assert_eq!(files.volumes.len(), 2, "{files:?}");
    let listed = ids(&cloud);
    for id in [saved.as_str(), &image, second.as_str(), kept.as_str(), node.id.as_str()] {
        assert!(listed.iter().any(|l| l == id), "{id} is not listed: {listed:?}");
    }
    assert!(!listed.contains(&doomed.to_string()));
    // Its address is nobody else's meanwhile.
    let other = new_interface(&cloud, "e3").await;
    assert_ne!(address_of(&cloud, &other).await.unwrap().0, address.0);

    for id in [saved.as_str(), &image, kept.as_str()] {
        cloud.adopt_unaccounted(id, None).unwrap();
    }
    assert_eq!(address_of(&cloud, &kept).await, Some(address));
    let back = snapshot(&cloud, &saved).await.unwrap();
    assert_eq!((back.state, &back.volume), (SnapshotState::Completed, &first));
    assert_eq!(back.tags.get(tags::NODE).map(String::as_str), Some("smi-0000beef"));
    assert_eq!(content(&cloud, "look", &saved).await, "precious");
    assert!(look(&cloud, &image).await.is_some());

    assert!(volume(&cloud, &second).await.is_none());
    cloud.remove_unaccounted(second.as_str()).unwrap();
    cloud.remove_unaccounted(node.id.as_str()).unwrap();
    assert!(!Inventory::of(&scratch.path()).unwrap().volumes.contains(&second.to_string()));
    assert_eq!(ids(&cloud), [] as [&str; 0]);
    let not_unaccounted = cloud.remove_unaccounted(first.as_str()).unwrap_err();
    assert!(not_unaccounted.to_string().contains("is accounted for"), "{not_unaccounted}");
    assert!(volume(&cloud, &first).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_an_older_memory_does_not_know_runs_on_and_can_be_adopted() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let (data, eni) = (new_volume(&cloud, "v").await, new_interface(&cloud, "e").await);
    let earlier = writer(&cloud, "w1", &data, &eni).await;
    close(&scratch, cloud).await;
    let copy = scratch.dir.path().join("copy.db");
    std::fs::copy(memory(&scratch), &copy).unwrap();
    let cloud = scratch.open();
    terminate(&cloud, &earlier.id).await;
    let node = writer(&cloud, "w2", &data, &eni).await;
    close(&scratch, cloud).await;

    // It says that the earlier instance runs and holds the volume.
    std::fs::copy(&copy, memory(&scratch)).unwrap();
    let cloud = scratch.open();
    writes_on(&scratch, &data).await;
    assert_eq!(terminated(&cloud, &earlier.id).await.state, InstanceState::Terminated);
    writes_on(&scratch, &data).await;
    let found = cloud.unaccounted().unwrap();
    let listed = found.iter().find(|f| f.id == node.id.as_str()).unwrap();
    assert_eq!((listed.thing, listed.adoptable), (Thing::Instance, true));
    // Nobody else gets what it holds.
    let other = run(&cloud, launch("o", None, None)).await;
    let refused: CloudError = one(&cloud, attach(&data, &other.id)).await.unwrap_err();
    assert!(refused.message.contains(node.id.as_str()), "{refused}");
    one(&cloud, Command::DeleteVolume { volume: data.clone() }).await.unwrap_err();
    one(&cloud, Command::DeleteNetworkInterface { interface: eni.clone() }).await.unwrap_err();
    cloud.remove_unaccounted(node.id.as_str()).unwrap_err();

    cloud.adopt_unaccounted(node.id.as_str(), None).unwrap();
    let adopted = instance(&cloud, &node.id).await;
    assert_eq!((adopted.state, adopted.private_ip), (InstanceState::Running, node.private_ip));
    let held = volume(&cloud, &data).await.unwrap();
    assert_eq!(held.attached_to.map(|(holder, _)| holder), Some(node.id.clone()));
    writes_on(&scratch, &data).await;
    terminate(&cloud, &node.id).await;
    terminate(&cloud, &other.id).await;
    assert_eq!(Inventory::of(&scratch.path()).unwrap().loops.len(), 1);
    let again = writer(&cloud, "w3", &data, &eni).await;
    terminate(&cloud, &again.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_memory_is_refused_and_a_rebuild_brings_everything_back() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let (data, eni) = (new_volume(&cloud, "v").await, new_interface(&cloud, "e").await);
    let address = cloud.allocate_address().unwrap();
    let price = MarketChange { hourly_usd: Some(Some(0.5)), ..MarketChange::default() };
    cloud.change_markets(&[(market("local-1b"), price)]).unwrap();
    let node = writer(&cloud, "w", &data, &eni).await;
    let (saved, idle) = (snapshot_of(&cloud, &data).await, new_volume(&cloud, "idle").await);
    let before = (
        address_of(&cloud, &eni).await,
        volume(&cloud, &data).await,
        volume(&cloud, &idle).await,
        snapshot(&cloud, &saved).await,
    );
    close(&scratch, cloud).await;

    let kept_by_hand = scratch.path().join("by-hand.db");
    std::fs::rename(memory(&scratch), &kept_by_hand).unwrap();
    let refused = LocalCloud::open(&options(&scratch.path())).err().unwrap().to_string();
    assert!(refused.contains("holdfast local rebuild"), "{refused}");
    assert!(!memory(&scratch).exists(), "an empty memory was made");
    writes_on(&scratch, &data).await;

    let rebuilt = rebuild(&scratch.path()).unwrap();
    assert!(rebuilt.changed && rebuilt.aside.is_none(), "{rebuilt:?}");
    assert_eq!(rebuilt.left_over, [] as [&str; 0]);
    let again = rebuild(&scratch.path()).unwrap();
    assert!(!again.changed && again.counts == rebuilt.counts, "{again:?}");

    let cloud = scratch.open();
    writes_on(&scratch, &data).await;
    let now = instance(&cloud, &node.id).await;
    assert_eq!((now.state, now.health), (InstanceState::Running, Health::Ok));
    assert_eq!((now.private_ip, now.tags), (node.private_ip, node.tags));
    let after = (
        address_of(&cloud, &eni).await,
        volume(&cloud, &data).await,
        volume(&cloud, &idle).await,
        snapshot(&cloud, &saved).await,
    );
    assert_eq!(before, after);
    assert_eq!(cloud.addresses().unwrap(), [address]);
    let markets = cloud.markets().unwrap();
    let set = markets.iter().find(|m| m.market == market("local-1b")).unwrap();
    assert!((set.hourly_usd - 0.5).abs() < f64::EPSILON, "{set:?}");
    assert_eq!(ids(&cloud), [] as [&str; 0]);
    terminate(&cloud, &node.id).await;
    assert_eq!(content(&cloud, "look", &saved).await, "precious");
    let next = writer(&cloud, "w2", &data, &eni).await;
    assert_eq!(next.private_ip, instance(&cloud, &next.id).await.private_ip);
    terminate(&cloud, &next.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_and_kept_aside_by_the_rebuild() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let (data, eni) = (new_volume(&cloud, "v").await, new_interface(&cloud, "e").await);
    let before = (volume(&cloud, &data).await, address_of(&cloud, &eni).await);
    close(&scratch, cloud).await;
    let length = std::fs::metadata(memory(&scratch)).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(memory(&scratch)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![0xA5; (length - 100) as usize], 100)
        .unwrap();
    let refused = LocalCloud::open(&options(&scratch.path())).err().unwrap().to_string();
    assert!(refused.contains("holdfast local rebuild"), "{refused}");
    let rebuilt = rebuild(&scratch.path()).unwrap();
    let aside = rebuilt.aside.unwrap();
    assert_eq!(std::fs::read(&aside).unwrap()[100..], vec![0xA5; (length - 100) as usize]);
    let cloud = scratch.open();
    assert_eq!((volume(&cloud, &data).await, address_of(&cloud, &eni).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_stops_only_what_it_is_about() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let (data, eni) = (new_volume(&cloud, "v").await, new_interface(&cloud, "e").await);
    let node = writer(&cloud, "w", &data, &eni).await;
    let (flipped, lost) = (new_volume(&cloud, "f").await, new_volume(&cloud, "l").await);
    let saved = snapshot_of(&cloud, &data).await;
    let before = volume(&cloud, &flipped).await;
    close(&scratch, cloud).await;
    // A word that is JSON still, and would delete the volume; a row that is none, of which the label is
    // gone, too; and the row of the node that runs.
    tamper(
        &scratch,
        &format!(
            "UPDATE resources SET json = replace(json, '\"available\"', '\"deleting\"')
             WHERE id = '{flipped}';
             UPDATE resources SET json = '{{' WHERE id IN ('{lost}', '{}')",
            node.id
        ),
    );
    std::fs::remove_file(label(&scratch, lost.as_str())).unwrap();

    let cloud = scratch.open();
    writes_on(&scratch, &data).await;
    assert_eq!(volume(&cloud, &flipped).await, before, "it was not put right from its label");
    assert_eq!(instance(&cloud, &node.id).await.state, InstanceState::Running);
    assert_eq!(volume(&cloud, &lost).await.unwrap().state, VolumeState::Error);
    assert_eq!(snapshot(&cloud, &saved).await.unwrap().state, SnapshotState::Completed);
    let refused = one(&cloud, attach(&lost, &node.id)).await.unwrap_err();
    assert!(refused.message.contains(lost.as_str()), "{refused}");
    let found = cloud.unaccounted().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].what.contains("its row is damaged"), "{found:?}");
    assert!(Inventory::of(&scratch.path()).unwrap().volumes.contains(&lost.to_string()));
    // Where it lay is not known: that is asked.
    let asked = cloud.adopt_unaccounted(lost.as_str(), None).unwrap_err();
    assert!(asked.to_string().contains("--zone"), "{asked}");
    cloud.adopt_unaccounted(lost.as_str(), Some(&Zone::from("local-1a"))).unwrap();
    assert_eq!(volume(&cloud, &lost).await.unwrap().state, VolumeState::Available);
    terminate(&cloud, &node.id).await;
    must(&cloud, Command::DeleteVolume { volume: lost }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_completed_after_the_memory_was_copied_stays() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let data = new_volume(&cloud, "v").await;
    let (saved, begun) = (snapshot_of(&cloud, &data).await, snapshot_of(&cloud, &data).await);
    close(&scratch, cloud).await;
    // As a copy has it that was made while they were taken; the second was never completed.
    tamper(
        &scratch,
        "UPDATE resources SET json = replace(json, '\"completed\"', '\"pending\"'), sum = NULL
         WHERE kind = 'snapshot'",
    );
    std::fs::remove_file(label(&scratch, begun.as_str())).unwrap();
    let cloud = scratch.open();
    assert_eq!(snapshot(&cloud, &saved).await.unwrap().state, SnapshotState::Completed);
    assert_eq!(snapshot(&cloud, &begun).await, None);
    assert_eq!(Inventory::of(&scratch.path()).unwrap().snapshots, [saved.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_holds_no_secrets_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let asked = launch("s", None, script("PASSWORD=hunter2-hunter2; sleep 600"));
    let secret = asked.user_data.clone().unwrap();
    let node = run(&cloud, asked.clone()).await;
    let again = must(&cloud, Command::RunInstances(Box::new(asked.clone()))).await;
    assert_eq!(again.facts[0].id(), node.id.as_str(), "a repetition is the same");
    let other = Launch { user_data: script("true"), ..asked };
    let refused = one(&cloud, Command::RunInstances(Box::new(other))).await.unwrap_err();
    assert_eq!(refused.code, "IdempotentParameterMismatch");
    for name in ["cloud.db", "cloud.db-wal", "cloud.db-shm"] {
        let path = scratch.path().join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!found, "{name} holds user data");
    }
    terminate(&cloud, &node.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_open_to_others_is_closed_at_the_start() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let data = new_volume(&cloud, "v").await;
    close(&scratch, cloud).await;
    let image = format!("pool/volumes/{data}.img");
    let open = [("", 0o755), ("nodes", 0o755), ("cloud.db", 0o644), (&*image, 0o644)];
    let mode = |name: &str| {
        std::fs::metadata(scratch.path().join(name)).unwrap().permissions().mode() & 0o777
    };
    for (name, bits) in open {
        let bits = std::fs::Permissions::from_mode(bits);
        std::fs::set_permissions(scratch.path().join(name), bits).unwrap();
    }
    let _cloud = scratch.open();
    assert_eq!(open.map(|(name, _)| mode(name)), [0o700, 0o700, 0o600, 0o600]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_of_the_version_before_is_read_and_gives_up_the_secrets_it_kept() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let data = new_volume(&cloud, "v").await;
    let node = run(&cloud, launch("r", None, None)).await;
    terminate(&cloud, &node.id).await;
    let before = volume(&cloud, &data).await;
    close(&scratch, cloud).await;
    std::fs::remove_dir_all(scratch.path().join("pool/labels")).unwrap();
    let request = serde_json::to_string(&Command::CreateNetworkInterface {
        token: Token::from("old"),
        subnet: subnet_of("local-1a"),
        private_ip: None,
        groups: Vec::new(),
        tags: node_tags("c2VjcmV0LXNlY3JldA"),
    })
    .unwrap();
    tamper(
        &scratch,
        &format!(
            "ALTER TABLE resources DROP COLUMN sum; ALTER TABLE addresses DROP COLUMN sum;
             DROP TABLE gone;
             UPDATE resources SET json = json_set(json, '$.launch.user_data', 'c2VjcmV0LXNlY3JldA')
             WHERE kind = 'instance';
             INSERT INTO tokens VALUES ('old', '{request}', 'eni-1', 9000000000000);
             PRAGMA user_version = 3;"
        ),
    );
    let cloud = scratch.open();
    assert_eq!(volume(&cloud, &data).await, before);
    assert!(label(&scratch, data.as_str()).exists());
    for name in ["cloud.db", "cloud.db-wal"] {
        let bytes = std::fs::read(scratch.path().join(name)).unwrap();
        let found = bytes.windows(18).any(|w| w == b"c2VjcmV0LXNlY3JldA");
        assert!(!found, "{name} holds what an earlier version kept");
    }
}
