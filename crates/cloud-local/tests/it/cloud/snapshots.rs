//! Snapshots of several volumes while their node writes to them.

use super::*;
use holdfast_cloud_local::storage::{MountOptions, Pool};
use holdfast_model::SnapshotId;

/// How often all volumes are saved.
const ROUNDS: usize = 15;

fn save(instance: &InstanceId, exclude_boot: bool, exclude: Vec<VolumeId>) -> Command {
    let (instance, tags) = (instance.clone(), node_tags("periodic"));
    Command::CreateSnapshots { instance, exclude_boot, exclude, tags }
}

/// What a file in a snapshot says, as a number.
fn number(pool: &Pool, scratch: &Scratch, snapshot: &SnapshotId, path: &str) -> u64 {
    let volume = VolumeId("vol-look".to_owned());
    let target = scratch.dir.path().join("look");
    std::fs::create_dir_all(&target).unwrap();
    pool.create_from_snapshot(&volume, snapshot, None).unwrap();
    pool.attach(&volume).unwrap();
    pool.mount(&volume, &target, MountOptions::default()).unwrap();
    let text = std::fs::read_to_string(target.join(path)).unwrap();
    pool.unmount(&target).unwrap();
    pool.detach(&volume).unwrap();
    pool.delete_volume(&volume).unwrap();
    text.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_of_several_volumes_hold_what_was_written_until_one_and_the_same_instant() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let volume = new_volume(&cloud, "v").await;
    // Each number is on the root before it is on the volume, and both are synced.
    let user_data = script(
        "exec perl -MIO::Handle -e '
            open(my $a, q(>), q(/first)); open(my $b, q(>), q(/var/lib/data/second));
            for (my $n = 1; ; $n++) {
                for my $f ($a, $b) { seek($f, 0, 0); syswrite($f, sprintf(qq(%012d\\n), $n)); $f->sync }
                print STDOUT qq(writing\\n) if $n == 10; STDOUT->flush;
            }'",
    );
    let id = run(&cloud, launch("r", None, user_data)).await.id;
    must(&cloud, attach(&volume, &id)).await;
    must(&cloud, open_gate(&volume, &id)).await;
    console_says(&cloud, &id, "writing").await;

    let mut sets = Vec::new();
    for _ in 0..ROUNDS {
        let reply = must(&cloud, save(&id, false, Vec::new())).await;
        let taken = reply.facts.into_iter().map(|fact| match fact {
            Fact::Snapshot(s) => s,
            other => panic!("{other:?}"),
        });
        let (data, root): (Vec<_>, Vec<_>) = taken.partition(|s| s.volume == volume);
        assert_eq!((root.len(), data.len()), (1, 1));
        assert_eq!(root[0].started_at, data[0].started_at);
        sets.push((root[0].id.clone(), data[0].id.clone()));
    }
    let only_data = must(&cloud, save(&id, true, Vec::new())).await.facts;
    assert!(matches!(&only_data[..], [Fact::Snapshot(s)] if s.volume == volume));
    let only_root = must(&cloud, save(&id, false, vec![volume.clone()])).await.facts;
    assert!(matches!(&only_root[..], [Fact::Snapshot(s)] if s.volume != volume));
    let none = one(&cloud, save(&id, true, vec![volume.clone()])).await.unwrap_err();
    assert_eq!(none.class, ErrorClass::Refused);
    terminate(&cloud, &id).await;

    let pool = Pool::open(&scratch.path(), &PoolOptions::default()).unwrap();
    let mut last = 0;
    for (root, data) in sets {
        let first = number(&pool, &scratch, &root, "first");
        let second = number(&pool, &scratch, &data, "second");
        assert!(first == second || first == second + 1, "{first} on the root, {second} on data");
        assert!(second > last, "it wrote on in between: {second} after {last}");
        last = second;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_from_the_pool_by_hand_is_not_shown_as_if_it_were_there() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let volume = new_volume(&cloud, "v").await;
    let command = Command::CreateSnapshot { volume: volume.clone(), tags: node_tags("data") };
    let snapshot = must(&cloud, command).await.facts[0].id().to_owned();
    for (directory, id) in [("volumes", volume.as_str()), ("snapshots", &snapshot)] {
        assert!(look(&cloud, id).await.is_some());
        let file = scratch.path().join("pool").join(directory).join(format!("{id}.img"));
        std::fs::remove_file(file).unwrap();
        assert!(look(&cloud, id).await.is_none(), "{id}");
    }
}
