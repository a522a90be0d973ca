//! When the cloud is asked again what it shows, and what is made of what it does not show.

use crate::commits::created;
use crate::looking::{Looking, document, page, unreachable};
use crate::sweeps::{instance, noticed};
use holdfast_controller::{Effect, Input, Outcome};
use holdfast_model::facts::{Fact, InstanceFact, ResourceKind};
use holdfast_model::record::{
    Deletion, Due, Generations, NodeLifecycle, PendingDeletion, RootHead, ServingInstance,
    SnapshotSet, Upkeep,
};
use holdfast_model::time::SECOND;
use holdfast_model::{
    InstanceId, Kind, Lifecycle, Market, NodeId, Record, SubnetId, Time, VolumeId, Zone, tags,
};

fn node(number: u64) -> Record {
    let document = document("persistRootDevice");
    let mut record = Record::new(NodeId(format!("smi-{number:08}")), document, Time(0));
    record.revision = Some(1);
    record
}

/// A node that has an instance.
fn served(number: u64) -> Record {
    let mut record = node(number);
    record.generations = Generations::at(1);
    record.generations.note_ready();
    record.instance = Some(ServingInstance {
        id: InstanceId(format!("i-{number}")),
        market: Market {
            instance_type: "m5.large".to_owned(),
            zone: Zone::from("sim-1a"),
            subnet: SubnetId::from("subnet-sim-1a"),
            lifecycle: Lifecycle::Spot,
        },
        why: String::new(),
        launched_at: Time(1),
        impaired_since: None,
    });
    record
}

/// A root in this volume, which is kept.
fn live(volume: &str) -> RootHead {
    RootHead::Live {
        volume: Some(VolumeId::from(volume)),
        generation: 1,
        root_device: Some("/dev/xvda".to_owned()),
        kept: true,
        from: None,
        origin: None,
    }
}

fn loaded(records: Vec<Record>) -> Looking {
    let mut looking = Looking::new();
    let load = records.into_iter().map(|record| (record.id.clone(), Ok(record))).collect();
    looking.take(Input::Loaded(load));
    looking
}

#[test]
fn while_a_look_is_not_answered_no_other_of_its_kind_leaves() {
    let mut looking = Looking::new();
    looking.sweep(&[instance(None)]);
    looking.take(noticed());
    let look = looking.look("i-9").expect("a look");
    for _ in 0..4 {
        looking.pass(SECOND);
        assert_eq!(looking.look("i-9"), None);
    }
    looking.take(Input::Observed(look, page(vec![instance(None)], None)));
    looking.pass(SECOND / 4);
    assert!(looking.look("i-9").is_some(), "it is still looked after");
}

#[test]
fn a_page_that_failed_is_asked_for_again_after_a_while_and_so_often_and_no_more() {
    let mut looking = Looking::new();
    let kind = ResourceKind::Volume;
    looking.answer(kind, page(Vec::new(), Some("b")));
    looking.pass(0);
    let asks = |looking: &Looking| {
        let is_it = |query: &holdfast_model::facts::Query| {
            query.kind == kind && query.page.as_deref() == Some("b")
        };
        looking.asked.iter().filter(|(_, query)| is_it(query)).count()
    };
    for tries in 1..=5 {
        assert_eq!(asks(&looking), 1, "{tries}");
        looking.answer(kind, unreachable());
        looking.pass(249);
        assert_eq!(asks(&looking), 0, "{tries}: not yet");
        looking.pass(1);
    }
    looking.answer(kind, unreachable());
    for _ in 0..4 {
        looking.pass(250);
        assert_eq!(asks(&looking), 0, "the next sweep begins anew");
    }
}

#[test]
fn that_some_instances_do_not_show_at_the_start_freezes_nothing_while_more_of_them_do() {
    for (shown, frozen) in [(6, false), (5, false), (4, true), (3, true)] {
        let mut looking = loaded((1..=shown + 5).map(served).collect());
        let Fact::Instance(any) = instance(None) else { unreachable!() };
        let facts = (1..=shown).map(|number| {
            let mut fact = InstanceFact { id: InstanceId(format!("i-{number}")), ..(*any).clone() };
            fact.tags.insert(tags::NODE.to_owned(), format!("smi-{number:08}"));
            Fact::Instance(fact.into())
        });
        let facts: Vec<Fact> = facts.collect();
        for _ in 0..8 {
            looking.sweep(&facts);
            looking.pass(15 * SECOND);
        }
        let standing = looking.fleet.standing();
        assert_eq!(standing.frozen().is_some(), frozen, "{shown} of {}", shown + 5);
    }
}

/// What is committed is done, until nothing more is to be committed.
fn commit_all(looking: &mut Looking) {
    for _ in 0..8 {
        for effect in std::mem::take(&mut looking.wants) {
            if let Effect::Commit { id, .. } = effect {
                looking.take(Input::Committed(id, Outcome::Done));
            }
        }
    }
}

#[test]
fn while_calls_wait_for_long_nobody_looks_more_often_than_that_helps() {
    let mut looks = Vec::new();
    for nodes in [0, 120] {
        let deleted = |number: u64| {
            let mut record = node(number);
            record.lifecycle = NodeLifecycle::Deleted(Deletion::default());
            let gone = |of: u64| PendingDeletion {
                id: format!("vol-{number}-{of}"),
                reason: "it is not needed".to_owned(),
                due: Due::Now,
            };
            record.kept.pending_deletion = (0..16).map(gone).collect();
            record
        };
        let mut looking = loaded((1..=nodes).map(deleted).collect());
        looking.sweep(&[instance(None)]);
        commit_all(&mut looking);
        looking.take(noticed());
        let mut seen = 0;
        for _ in 0..40 {
            if let Some(look) = looking.look("i-9") {
                seen += 1;
                looking.take(Input::Observed(look, page(vec![instance(None)], None)));
            }
            looking.pass(SECOND / 20);
        }
        looks.push(seen);
    }
    assert!(looks[0] >= 8, "four times a second: {looks:?}");
    assert!(looks[1] <= 2, "{looks:?}");
}

#[test]
fn how_much_the_fleet_saves_at_once_is_counted_whatever_a_node_without_snapshots_commits() {
    const VOLUMES: u64 = 2_000;
    let mut saved = served(7);
    saved.identity.root = live("vol-7");
    let volume = |n: u64| (format!("/dev/xv{n}"), VolumeId(format!("vol-{n}")));
    let set = SnapshotSet {
        generation: 1,
        begun_at: Time(1),
        origin: None,
        volumes: (0..VOLUMES).map(volume).collect(),
        snapshots: [("root".to_owned(), "snap-7".into())].into(),
    };
    saved.upkeep = Upkeep { sets: vec![set], last_at: Time(1), ..Upkeep::default() }.into();
    let mut looking = created();
    let load = vec![(saved.id.clone(), Ok(saved.clone()))];
    looking.take(Input::Loaded(load));
    let due = |looking: &Looking| looking.fleet.would_plan(saved.clone(), looking.now).wake;
    let before = due(&looking);
    // 0.4 s for each of them.
    assert_eq!(before, Some(Time(1 + VOLUMES * 2 * SECOND / 5)));
    commit_all(&mut looking);
    assert_eq!(due(&looking), before);
}

#[test]
fn what_is_seen_while_a_record_is_being_written_is_planned_with_as_soon_as_it_is_written() {
    let mut serves = served(9);
    serves.identity.root = live("vol-9");
    serves.kept.pending_deletion = vec![PendingDeletion {
        id: "vol-8".to_owned(),
        reason: "it is not needed".to_owned(),
        due: Due::Now,
    }];
    let mut looking = loaded(vec![serves]);
    let shown = |interruption_at: Option<Time>| {
        let Fact::Instance(fact) = instance(interruption_at) else { unreachable!() };
        let mut fact = (*fact).clone();
        fact.tags.insert(tags::NODE.to_owned(), "smi-00000009".to_owned());
        Fact::Instance(fact.into())
    };
    looking.sweep(&[shown(None)]);
    let writes = |looking: &mut Looking| -> Vec<(u64, Option<Kind>)> {
        let wants = std::mem::take(&mut looking.wants).into_iter();
        let writes = wants.filter_map(|effect| match effect {
            Effect::Commit { id, record: Some(record), .. } => {
                Some((id, record.work.as_ref().map(|r| r.kind)))
            }
            _ => None,
        });
        writes.collect()
    };
    let [(first, Some(Kind::Tidy))] = writes(&mut looking)[..] else { panic!("it tidies up") };
    looking.take(noticed());
    let look = looking.look("i-9").expect("a look");
    let soon = looking.now.plus(120 * SECOND);
    looking.take(Input::Observed(look, page(vec![shown(Some(soon))], None)));
    assert_eq!(writes(&mut looking), [], "the first is still being written");
    looking.take(Input::Committed(first, Outcome::Done));
    let kinds: Vec<Option<Kind>> = writes(&mut looking).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, [Some(Kind::Notice)]);
}
