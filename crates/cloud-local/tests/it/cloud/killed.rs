//! The server is killed with -9 at any moment, and comes back.

use super::*;
use std::io::{BufReader, Read};
use std::process::{Child, Command as Process, Stdio};

/// How often it is looked whether a deleted volume is gone, at the most.
const LOOKS: u32 = 200;

const DIR: &str = "HOLDFAST_TEST_CLOUD_DIR";
const ROUND: &str = "HOLDFAST_TEST_ROUND";
/// How often the server is killed.
const ROUNDS: u64 = 12;

/// What the server does over and over: a node with a volume and an interface, taken away by turns
/// hard and softly. It says a letter after each step.
async fn replace_for_ever(cloud: &LocalCloud, round: &str) {
    let say = |letter: &str| {
        use std::io::Write;
        print!("{letter}");
        std::io::stdout().flush().unwrap();
    };
    let (volume, eni) = (new_volume(cloud, "v").await, new_interface(cloud, "e").await);
    let user_data = script(
        "[ -e /var/lib/data/first ] || { date >/var/lib/data/first; sync /var/lib/data/first; }
         echo serving; while :; do date >/var/lib/data/now; sync /var/lib/data/now; done",
    );
    for n in 0..1_000 {
        let token = format!("r{round}-{n}");
        let id = run(cloud, launch(&token, Some(eni.clone()), user_data.clone())).await.id;
        say("r");
        must(cloud, attach(&volume, &id)).await;
        say("a");
        must(cloud, open_gate(&volume, &id)).await;
        console_says(cloud, &id, "serving").await;
        say("g");
        if n % 2 == 0 {
            let cloud = cloud.clone();
            tokio::task::spawn_blocking(move || cloud.interrupt(&id, None).unwrap()).await.unwrap();
        } else {
            terminate(cloud, &id).await;
        }
        say("t");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child process of the test below"]
async fn child_replaces_for_ever() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let round = std::env::var(ROUND).unwrap();
    let cloud = LocalCloud::open(&options(Path::new(&dir))).unwrap();
    replace_for_ever(&cloud, &round).await;
}

fn server(dir: &Path, round: u64) -> Child {
    Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "cloud::killed::child_replaces_for_ever", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_server_is_killed_nothing_leaks_and_nothing_is_lost() {
    let scratch = Scratch::new();
    let mut first = None;
    for round in 0..ROUNDS {
        let mut child = server(&scratch.path(), round);
        // A whole replacement, then a part of the next; the round decides how much.
        let mut said = BufReader::new(child.stdout.take().unwrap()).bytes();
        let wanted = 4 + round % 5;
        let mut letters = 0;
        while letters < wanted {
            let byte = said.next().expect("the server ended by itself").unwrap();
            letters += u64::from(b"ragt".contains(&byte) && letters_begun(byte, letters));
        }
        std::thread::sleep(Duration::from_millis(round * 9 % 70));
        child.kill().unwrap();
        child.wait().unwrap();

        let cloud = scratch.open();
        let query = Query { kind: ResourceKind::Instance, ids: Vec::new(), page: None };
        for fact in cloud.observe(query).await.unwrap().facts {
            let Fact::Instance(seen) = fact else { panic!("not an instance") };
            let lives = holdfast_agent::ShimHandle::open(&cloud.instance_dir(&seen.id))
                .is_ok_and(|handle| handle.is_alive().unwrap());
            match seen.state {
                InstanceState::Running => assert!(lives, "{} runs by name only", seen.id),
                InstanceState::Terminated => assert!(!lives, "{} writes on", seen.id),
                // Its processes are given their time.
                InstanceState::ShuttingDown => {}
                other => panic!("{} is left {other:?}", seen.id),
            }
            terminate(&cloud, &seen.id).await;
            assert_eq!(groups_of(&seen.id), 0, "{}", seen.id);
        }
        let volume = new_volume(&cloud, "v").await;
        assert!(matches!(look(&cloud, volume.as_str()).await,
            Some(Fact::Volume(v)) if v.state == VolumeState::Available));
        // An instance shows as terminated before the volumes that die with it are gone.
        let mut left = Inventory::of(&scratch.path()).unwrap();
        for _ in 0..LOOKS {
            if left.volumes.len() == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            left = Inventory::of(&scratch.path()).unwrap();
        }
        assert_eq!(left.loops.len(), 1, "only the pool's own device: {left:?}");
        assert_eq!(left.volumes, [volume.to_string()], "round {round}");
        assert_eq!(network::inventory(&scratch.path()).unwrap().nodes, [] as [&str; 0]);
        let kept = read_from_volume(&scratch, &volume, "first");
        assert!(!kept.is_empty());
        assert_eq!(*first.get_or_insert_with(|| kept.clone()), kept, "round {round}");
        drop(cloud);
        // Its keeper ends within one look.
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
}

/// The test harness prints names with the same letters before the first step.
fn letters_begun(byte: u8, so_far: u64) -> bool {
    b"ragt"[usize::try_from(so_far % 4).unwrap()] == byte
}

/// A file on a free volume.
fn read_from_volume(scratch: &Scratch, volume: &VolumeId, name: &str) -> String {
    use holdfast_cloud_local::storage::{MountOptions, Pool};
    let pool = Pool::open(&scratch.path(), &PoolOptions::default()).unwrap();
    let target = scratch.dir.path().join("look");
    std::fs::create_dir_all(&target).unwrap();
    pool.attach(volume).unwrap();
    pool.mount(volume, &target, MountOptions::default()).unwrap();
    let text = std::fs::read_to_string(target.join(name));
    pool.unmount(&target).unwrap();
    pool.detach(volume).unwrap();
    text.unwrap()
}
