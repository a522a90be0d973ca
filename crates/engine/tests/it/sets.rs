//! Sets of snapshots while a node runs: each is whole, and what is left of others is deleted once.

use crate::launches::{Played, running, sees};
use holdfast_engine::Tuning;
use holdfast_engine::replies::absorb;
use holdfast_model::facts::{Attachment, Fact, Health, InstanceFact, SnapshotFact, SnapshotState};
use holdfast_model::record::{DataHead, DataVolume};
use holdfast_model::replacement::Call;
use holdfast_model::time::MINUTE;
use holdfast_model::{
    CallState, Command, Reply, Row, Shared, SnapshotId, Time, Token, VolumeId, Zone, tags,
};
use serde_json::json;

const DEVICES: [(&str, &str); 2] = [("/dev/xvdb", "vol-b"), ("/dev/xvdc", "vol-c")];

/// A node that serves, with two data volumes that travel as snapshots.
fn serving() -> Played {
    let kept = json!({ "persistBlockDevices": true, "blockDevicesMode": "onLaunch" });
    let (mut node, seen) = running(&kept);
    node.tuning = Tuning::ec2();
    node.record.generations.note_ready();
    let mut seen = InstanceFact { health: Health::Ok, ..seen };
    for (device, id) in DEVICES {
        let (device, volume) = (device.to_owned(), VolumeId::from(id));
        node.record.identity.data.push(DataVolume {
            device: device.clone(),
            head: DataHead::Volume { id: volume.clone(), zone: Zone::from("z") },
            fs_uuid: None,
            user_attached: None,
            restore: None,
        });
        seen.attachments.push(Attachment { volume, device, delete_on_termination: false });
    }
    node.now = node.now.plus(10 * MINUTE);
    sees(&mut node, seen);
    node
}

/// The call that takes snapshots, if it has left.
fn taking(node: &Played) -> Option<(String, Call)> {
    let calls = node.record.upkeep.row.calls.iter();
    let mut taking = calls.filter(|(_, c)| matches!(c.command, Command::CreateSnapshots { .. }));
    taking.next().map(|(name, call)| (name.clone(), (**call).clone()))
}

fn snapshot(id: &str, volume: &str, token: &Token, of: &tags::Tags) -> Fact {
    let mut of = of.clone();
    of.insert(tags::TOKEN.to_owned(), token.0.clone());
    Fact::Snapshot(Shared::from(SnapshotFact {
        id: SnapshotId::from(id),
        state: SnapshotState::Completed,
        volume: VolumeId::from(volume),
        started_at: Time(1),
        tags: of,
    }))
}

fn show(node: &mut Played, facts: Vec<Fact>) {
    node.now = node.now.plus(1);
    node.world.absorb_page(facts, node.now);
    node.plan();
}

#[test]
fn a_set_is_kept_only_when_the_snapshot_of_every_volume_is_seen() {
    for (first, second) in [(0, 1), (1, 0)] {
        let mut node = serving();
        let (name, call) = taking(&node).expect("it is time");
        let Command::CreateSnapshots { tags: of, .. } = &call.command else { unreachable!() };
        let made = |n: usize| snapshot(["snap-b", "snap-c"][n], DEVICES[n].1, &call.token, of);
        let taken = Ok(Reply { facts: Vec::new(), gone: Vec::new() });
        let now = node.now;
        assert!(absorb(&mut node.record, Row::Upkeep, &name, &call.token, &taken, now));
        node.plan();
        assert!(node.record.upkeep.sets.is_empty(), "none of them is seen");
        show(&mut node, vec![made(first)]);
        assert!(node.record.upkeep.sets.is_empty(), "one of them is not seen");
        assert!(node.record.upkeep.pending.is_some() && node.record.upkeep.expired.is_empty());
        show(&mut node, vec![made(second)]);
        let sets: Vec<usize> = node.record.upkeep.sets.iter().map(|s| s.snapshots.len()).collect();
        assert_eq!(sets, [2]);
    }
}

#[test]
fn what_shows_up_of_a_call_that_was_given_up_is_deleted_once() {
    let mut node = serving();
    let (_, call) = taking(&node).expect("it is time");
    let Command::CreateSnapshots { tags: of, .. } = &call.command else { unreachable!() };
    let token = Token("hf-given-up".to_owned());
    node.record.upkeep.unseen.push(token.clone());
    let late = ["snap-1", "snap-2"].map(|id| snapshot(id, "vol-b", &token, of));
    show(&mut node, late.to_vec());
    for _ in 0..3 {
        assert_eq!(node.record.upkeep.expired, ["snap-1", "snap-2"]);
        let calls = node.record.upkeep.row.calls.values();
        let open = calls.filter(|call| call.state == CallState::Started);
        let deletes = |c: &Command| matches!(c, Command::DeleteSnapshot { .. });
        assert_eq!(open.filter(|call| deletes(&call.command)).count(), 2);
        node.plan();
    }
}
