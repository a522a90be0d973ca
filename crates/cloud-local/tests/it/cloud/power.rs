//! What a node says while its power is cut.

use super::*;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the writers' acknowledgements go.
const PORT: u16 = 9_999;
/// Writers in the node: each syncs on its own, so that one is always in the middle of it.
const WRITERS: usize = 8;
/// Power cuts.
const CUTS: usize = 12;

/// Bytes of each writer's file that were said to be synced.
type Said = Arc<Mutex<BTreeMap<usize, u64>>>;

/// Writes down what the writers say, until told to stop.
fn listen(dir: &Path, said: &Said, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let socket = network::in_fabric(dir, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)));
    let socket = socket.unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (said, stop) = (Arc::clone(said), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut word = [0; 64];
        while !stop.load(Ordering::Relaxed) {
            let Ok(length) = socket.recv(&mut word) else { continue };
            let text = std::str::from_utf8(&word[..length]).unwrap().trim_end().to_owned();
            let (writer, bytes) = text.split_once(' ').unwrap();
            let (writer, bytes): (usize, u64) = (writer.parse().unwrap(), bytes.parse().unwrap());
            said.lock().unwrap().entry(writer).and_modify(|b| *b = bytes.max(*b)).or_insert(bytes);
        }
    })
}

/// A sync that is under way while ext4 is shut down may be told that it succeeded; nobody outside
/// may hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_node_says_is_synced_is_lost_in_a_power_cut() {
    let scratch = Scratch::new();
    let cloud = scratch.open();
    let volume = new_volume(&cloud, "v").await;
    let (said, stop) = (Said::default(), Arc::new(AtomicBool::new(false)));
    let listener = listen(&scratch.path(), &said, &stop);
    let gateway = VpcLayout::default().subnet_of("local-1a").unwrap().gateway();
    let user_data = script(&format!(
        "bash <<'SCRIPT'
         cd /var/lib/data
         for i in {{1..{WRITERS}}}; do
            touch $i; echo \"have $i $(stat -c %s $i)\"
         done
         sync .; echo counted
         for i in {{1..{WRITERS}}}; do
            (n=$(stat -c %s $i)
             while dd if=/dev/zero of=$i bs=8 count=1 oflag=append,dsync conv=notrunc status=none
             do n=$((n + 8)); echo \"$i $n\" >/dev/udp/{gateway}/{PORT}
             done) &
         done
         wait; sleep 600
SCRIPT"
    ));
    for cut in 0..=CUTS {
        let node = run(&cloud, launch(&format!("p{cut}"), None, user_data.clone())).await;
        must(&cloud, attach(&volume, &node.id)).await;
        let before = said.lock().unwrap().clone();
        must(&cloud, open_gate(&volume, &node.id)).await;
        console_says(&cloud, &node.id, "counted").await;
        let console = holdfast_agent::console_path(&cloud.instance_dir(&node.id));
        let console = std::fs::read_to_string(console).unwrap();
        for (writer, bytes) in &before {
            let line = format!("have {writer} ");
            let there = console.lines().find_map(|l| l.strip_prefix(&line)).unwrap();
            let there: u64 = there.trim().parse().unwrap();
            assert!(there >= *bytes, "after cut {cut} writer {writer} said {bytes}, has {there}");
        }
        // Each has said something new: the cut comes in the middle of writing.
        for _ in 0..MAX_LOOKS {
            let now = said.lock().unwrap().clone();
            let wrote = |w: usize| now.get(&w).copied() > before.get(&w).copied();
            if (1..=WRITERS).all(wrote) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (ours, id) = (cloud.clone(), node.id.clone());
        tokio::task::spawn_blocking(move || ours.interrupt(&id, None).unwrap()).await.unwrap();
        assert_eq!(instance(&cloud, &node.id).await.state, InstanceState::Terminated);
    }
    stop.store(true, Ordering::Relaxed);
    listener.join().unwrap();
    assert_eq!(said.lock().unwrap().len(), WRITERS);
}
