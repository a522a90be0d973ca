//! Every invariant is broken on purpose, and told by its name. What the controller does of itself is
//! tried in [`crate::stopped`].
//!
//! What may never happen is done in the controller's place: a call or a commit that it never wanted,
//! or something in the cloud that it cannot know.

use crate::ground_truth;
use crate::scene::{LIGHT, Scene, WHOLE};
use crate::stopped;
use holdfast_cloud_sim::config::Span;
use holdfast_cloud_sim::{SimConfig, Violation};
use holdfast_controller::{Departure, Effect, FleetConfig};
use holdfast_model::command::Launch;
use holdfast_model::facts::Fact;
use holdfast_model::record::{
    DataHead, FinalSnapshot, NeedsDecision, NodeLifecycle, Question, RootHead, ServingInstance,
    SnapshotSet,
};
use holdfast_model::time::{HOUR, MINUTE, SECOND};
use holdfast_model::user::{Choice, Deallocation, UserCommand};
use holdfast_model::{
    Command, Event, EventCode, InstanceId, Invariant, Kind, Record, Row, SnapshotId, Token,
    VolumeId, tags,
};
use holdfast_sim::run;
use holdfast_sim::scenario::Mix;
use std::sync::Arc;

/// The tests of each invariant: one that is new, and has none, does not compile.
fn tests_of(which: Invariant) -> &'static [fn()] {
    match which {
        Invariant::OneWriter => &[
            ground_truth::a_second_gate_that_opens_breaks_three_invariants,
            stopped::a_node_with_two_live_instances_is_stopped_and_the_others_go_on,
        ],
        Invariant::NoWriteLost => &[ground_truth::a_second_gate_that_opens_breaks_three_invariants],
        Invariant::LastCopyKept => &[
            ground_truth::the_last_copy_that_is_deleted_is_told,
            a_snapshot_to_which_a_node_can_return_is_told_when_its_deletion_leaves,
            stopped::a_deletion_of_what_its_node_needs_does_not_leave,
        ],
        Invariant::IdentityKept => &[
            ground_truth::a_second_gate_that_opens_breaks_three_invariants,
            ground_truth::a_further_interface_or_an_elastic_ip_that_is_another_one_is_told,
            stopped::a_node_whose_address_is_another_one_is_stopped,
        ],
        Invariant::NothingForgotten => &[
            what_no_record_speaks_of_is_told_at_the_next_rest,
            ground_truth::what_is_left_over_at_the_end_is_told,
        ],
        Invariant::OthersLeftAlone => &[stopped::a_deletion_of_what_is_anothers_does_not_leave],
        Invariant::WithinLimits => &[
            more_calls_in_a_minute_than_the_rules_allow_are_told,
            more_snapshots_than_the_rules_allow_are_told,
        ],
        Invariant::UserTold => &[
            a_node_that_waits_and_does_not_say_for_what_is_told,
            a_node_that_waits_too_long_unasked_is_told,
            what_the_controller_itself_says_is_broken_is_broken,
        ],
        Invariant::CommitBeforeAct => &[
            a_call_of_which_no_durable_record_speaks_is_told,
            a_record_that_does_not_read_back_is_told,
        ],
        Invariant::GenerationOnce => &[
            a_number_of_a_generation_that_is_given_twice_is_told,
            stopped::a_launch_with_the_number_of_an_instance_that_lives_does_not_leave,
        ],
        Invariant::NoUnwantedLaunch => &[
            a_launch_that_leaves_after_its_users_word_is_told,
            a_launch_that_has_not_left_when_its_user_wants_none_never_leaves,
        ],
        Invariant::GraceKept => &[
            what_is_deleted_before_its_grace_is_over_is_told,
            a_clock_that_jumps_at_a_start_ends_no_grace,
            stopped::a_deletion_of_what_is_in_its_grace_does_not_leave,
        ],
        Invariant::VolumesOutlive => &[
            an_instance_that_is_ended_while_its_volumes_would_die_is_told,
            one_whose_volumes_were_set_to_die_just_after_all_was_right_is_not_told,
        ],
        Invariant::LossesNamed => &[
            an_undelete_that_does_not_name_a_loss_is_told,
            an_undelete_that_accepts_a_loss_names_it_again,
        ],
        Invariant::ChoicesWork => &[a_choice_that_is_offered_and_refused_is_told],
        Invariant::NoLostWake => &[a_node_that_could_go_on_and_is_not_woken_is_told],
        // What the engine must not do cannot be made to happen from outside: each is tried on records
        // (`engine/tests/it/joints.rs`), and that a node stops by an edit of the source.
        Invariant::PlanSettles
        | Invariant::RowsStayDone
        | Invariant::TokenOnce
        | Invariant::HeadAfterFence => &[what_the_controller_itself_says_is_broken_is_broken],
        Invariant::Converges => &[a_node_that_does_not_get_well_is_told],
    }
}

#[test]
fn every_invariant_has_a_test_that_breaks_it() {
    for which in Invariant::ALL {
        assert!(!tests_of(which).is_empty(), "{which}");
    }
    let mut names: Vec<&str> = Invariant::ALL.iter().map(|which| which.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Invariant::ALL.len(), "two have one name");
}

/// The server makes a call that nobody has planned.
fn departs(scene: &mut Scene, command: Command) {
    let node = scene.node.clone();
    let calls = vec![Departure { id: u64::MAX, node, row: Row::Retire, command }];
    scene.sim.pretend(Effect::Call { calls });
}

/// The server writes a record that nobody has planned.
pub fn writes(scene: &mut Scene, change: impl FnOnce(&mut Record)) {
    writes_with(scene, Vec::new(), change);
}

fn writes_with(scene: &mut Scene, events: Vec<Event>, change: impl FnOnce(&mut Record)) {
    let node = scene.node.clone();
    let mut record = (**scene.sim.durable(&node).expect("a record")).clone();
    let expected = record.revision.expect("committed");
    change(&mut record);
    record.revision = record.revision.map(|r| r + 1);
    let record = Some(Arc::new(record));
    scene.sim.pretend(Effect::Commit { id: u64::MAX, node, expected, record, events });
}

fn event(scene: &Scene, code: EventCode, message: &str) -> Event {
    Event::new(scene.sim.now, scene.node.clone(), code, message)
}

/// What was told to be broken, and that nothing else was.
pub fn told(scene: &Scene, which: Invariant, words: &str) {
    let violations = scene.sim.cloud.violations();
    let found = violations.iter().any(|v| v.name == which && v.sentence.contains(words));
    assert!(found, "not {which} with {words:?}: {violations:#?}");
}

pub fn nothing_told(scene: &Scene) {
    let violations = scene.sim.cloud.violations();
    assert!(violations.is_empty(), "{violations:#?}\n{}", scene.sim.told());
}

pub fn record(scene: &Scene) -> Arc<Record> {
    scene.sim.durable(&scene.node).expect("a record").clone()
}

fn holder(scene: &Scene) -> InstanceId {
    record(scene).instance.clone().expect("an instance").id
}

/// A launch like that of the node's instance, by a token of its own.
pub fn twin(scene: &Scene, token: &str) -> Launch {
    let mut launch = scene.sim.cloud.launch_of(&holder(scene)).expect("it was launched").clone();
    launch.token = Token(token.to_owned());
    launch.tags.insert(tags::TOKEN.to_owned(), token.to_owned());
    launch.interface = None;
    launch
}

/// A node that its user has paused.
pub fn paused(seed: u64) -> Scene {
    let mut scene = Scene::serving(seed, WHOLE);
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    scene
}

/// A node that its user has paused and given up: all of it is kept for its time of grace.
fn given_up(seed: u64) -> Scene {
    let mut scene = paused(seed);
    let deallocation = Deallocation::default();
    scene.sim.say(UserCommand::Delete { id: scene.node.clone(), deallocation });
    scene.wait("deallocated", |s, n| {
        s.record(n).is_some_and(|r| r.lifecycle.is_deleted() && r.work.is_none())
    });
    scene
}

/// A data volume of the node.
pub fn data_volume(record: &Record) -> VolumeId {
    let was = record.lifecycle.tombstone().as_ref().map_or(&record.identity.data, |was| &was.data);
    match was.first().map(|d| &d.head) {
        Some(DataHead::Volume { id, .. }) => id.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_snapshot_to_which_a_node_can_return_is_told_when_its_deletion_leaves() {
    let mut scene = paused(903);
    let snapshot = record(&scene).kept.final_snapshots[0].snapshot.clone();
    departs(&mut scene, Command::DeleteSnapshot { snapshot });
    told(&scene, Invariant::LastCopyKept, "to which its node can return");
}

#[test]
fn what_no_record_speaks_of_is_told_at_the_next_rest() {
    let mut scene = paused(904);
    let volume = data_volume(&record(&scene));
    let tags = scene.sim.cloud.truly(volume.as_str()).expect("a volume").tags().clone();
    let now = scene.sim.now;
    scene.sim.cloud.as_user(now, &Command::CreateSnapshot { volume, tags }).expect("a snapshot");
    nothing_told(&scene);
    writes(&mut scene, |_| {});
    told(&scene, Invariant::NothingForgotten, "no record speaks of snap-");
}

#[test]
fn more_calls_in_a_minute_than_the_rules_allow_are_told() {
    let mut scene = paused(906);
    let resource = data_volume(&record(&scene)).0;
    let most = holdfast_sim::watch::CALLS_A_MINUTE;
    scene.sim.run_for(2 * MINUTE);
    let says = |scene: &Scene| {
        let violations = scene.sim.cloud.violations();
        violations.iter().filter(|v| v.name == Invariant::WithinLimits).count()
    };
    for _ in 0..most {
        departs(
            &mut scene,
            Command::CreateTags { resource: resource.clone(), tags: tags::Tags::new() },
        );
    }
    assert_eq!(says(&scene), 0);
    departs(&mut scene, Command::CreateTags { resource, tags: tags::Tags::new() });
    assert_eq!(says(&scene), 1);
    told(&scene, Invariant::WithinLimits, "calls in a minute");
}

#[test]
fn more_snapshots_than_the_rules_allow_are_told() {
    let mut scene = Scene::serving(907, WHOLE);
    let set = SnapshotSet {
        generation: 1,
        begun_at: scene.sim.now,
        origin: None,
        volumes: <_>::default(),
        snapshots: <_>::default(),
    };
    writes(&mut scene, |r| r.upkeep.sets = vec![set; 4]);
    told(&scene, Invariant::WithinLimits, "4 snapshots while it ran");
    let mut scene = paused(908);
    let last = record(&scene).kept.final_snapshots[0].clone();
    let holder: ServingInstance =
        record(&Scene::serving(908, WHOLE)).instance.clone().expect("an instance");
    writes(&mut scene, |r| {
        // Beside the one that the root begins with.
        let more = (0..5).map(|n| FinalSnapshot {
            snapshot: SnapshotId(format!("snap-{n:017x}")),
            image: None,
            ..last.clone()
        });
        r.kept.final_snapshots = more.chain([last.clone()]).collect();
        r.instance = Some(holder);
    });
    told(&scene, Invariant::WithinLimits, "5 final snapshots");
}

#[test]
fn a_node_that_waits_and_does_not_say_for_what_is_told() {
    let mut scene = Scene::serving(910, WHOLE);
    writes(&mut scene, |r| r.instance = None);
    scene.sim.look_later(6 * MINUTE);
    told(&scene, Invariant::UserTold, "does not say why");
}

#[test]
fn a_node_that_waits_too_long_unasked_is_told() {
    let mut scene = Scene::serving(911, WHOLE);
    scene.sim.cloud.config().shutting_down = Span::exactly(2 * HOUR);
    scene.trigger(Kind::Pause, WHOLE);
    scene.sim.run_for(5 * MINUTE);
    let says = scene.sim.fleet().view(&scene.node).and_then(|v| v.waits_for);
    assert!(says.is_some_and(|w| w.contains("to be terminated")));
    // A person is asked after fifteen minutes, and ten more are no matter.
    scene.sim.look_later(18 * MINUTE);
    let unasked = |scene: &Scene| {
        let all = scene.sim.cloud.violations();
        all.iter().filter(|v| v.name == Invariant::UserTold).count()
    };
    assert_eq!(unasked(&scene), 0);
    scene.sim.look_later(25 * MINUTE);
    assert_eq!(unasked(&scene), 1);
    told(&scene, Invariant::UserTold, "stop waits for");
}

#[test]
fn what_the_controller_itself_says_is_broken_is_broken() {
    for which in Invariant::ALL {
        let mut scene = Scene::empty(912, WHOLE);
        scene.create(WHOLE);
        scene.wait("made", |s, n| s.durable(n).is_some());
        let said = event(&scene, EventCode::InvariantBroken, &format!("{which}: so it is"));
        writes_with(&mut scene, vec![said], |_| {});
        told(&scene, which, "the controller itself says");
    }
}

#[test]
fn a_call_of_which_no_durable_record_speaks_is_told() {
    let mut scene = Scene::serving(913, LIGHT);
    let resource = holder(&scene).0;
    departs(&mut scene, Command::CreateTags { resource, tags: tags::Tags::new() });
    told(&scene, Invariant::CommitBeforeAct, "no durable record speaks of it");
}

#[test]
fn a_record_that_does_not_read_back_is_told() {
    let mut scene = Scene::serving(914, LIGHT);
    writes(&mut scene, |r| r.schema = 99);
    told(&scene, Invariant::CommitBeforeAct, "cannot be read back");
}

#[test]
fn a_number_of_a_generation_that_is_given_twice_is_told() {
    let mut scene = Scene::serving(915, WHOLE);
    let again = scene.sim.cloud.launch_of(&holder(&scene)).expect("it was launched").clone();
    departs(&mut scene, Command::RunInstances(Box::new(again)));
    let twice = |scene: &Scene| {
        let all = scene.sim.cloud.violations();
        all.iter().any(|v| v.name == Invariant::GenerationOnce)
    };
    assert!(!twice(&scene), "the same launch is a repetition");
    let launch = twin(&scene, "second");
    departs(&mut scene, Command::RunInstances(Box::new(launch)));
    told(&scene, Invariant::GenerationOnce, "the number 1 is given to a second launch");
}

#[test]
fn a_launch_that_leaves_after_its_users_word_is_told() {
    let mut scene = Scene::serving(916, WHOLE);
    let mut launch = twin(&scene, "later");
    launch.tags.insert(tags::GENERATION.to_owned(), "2".to_owned());
    scene.trigger(Kind::Pause, WHOLE);
    scene.wait_for_end(Kind::Pause, 0);
    nothing_told(&scene);
    departs(&mut scene, Command::RunInstances(Box::new(launch)));
    told(&scene, Invariant::NoUnwantedLaunch, "its user wants no instance");
}

#[test]
fn a_launch_that_has_not_left_when_its_user_wants_none_never_leaves() {
    for (kind, word) in [
        (Kind::Create, Kind::Pause),
        (Kind::Create, Kind::Delete),
        (Kind::Resume, Kind::Pause),
        (Kind::Resume, Kind::Delete),
    ] {
        let mut scene = Scene::prepare(kind, 917, WHOLE);
        let launches = |scene: &Scene| {
            scene.sim.calls.iter().filter(|called| **called == "RunInstances").count()
        };
        let before = launches(&scene);
        scene.trigger(kind, WHOLE);
        // The launch stands in the store, and the controller does not know that yet.
        scene.wait("about to launch", |s, n| {
            s.durable(n).is_some_and(|r| {
                r.row(Row::Launch).is_some_and(|row| {
                    row.open_calls().any(|(_, c)| matches!(c.command, Command::RunInstances(_)))
                })
            })
        });
        scene.trigger(word, WHOLE);
        scene.wait_for_end(word, 0);
        assert_eq!(launches(&scene), before, "{kind:?}, {word:?}\n{}", scene.sim.told());
        scene.judge(word);
    }
}

#[test]
fn what_is_deleted_before_its_grace_is_over_is_told() {
    let mut scene = given_up(918);
    scene.sim.run_for(3 * HOUR);
    nothing_told(&scene);
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    let volume = data_volume(&record(&scene));
    departs(&mut scene, Command::DeleteVolume { volume });
    told(&scene, Invariant::GraceKept, "after a time of grace");
}

#[test]
fn a_clock_that_jumps_at_a_start_ends_no_grace() {
    let mut scene = given_up(919);
    let volume = data_volume(&record(&scene));
    for days in [10, 5, 30] {
        scene.sim.wrong_clock(days * 24 * HOUR as i64);
        scene.sim.run_for(HOUR);
    }
    assert!(scene.sim.cloud.truly(volume.as_str()).is_some(), "{}", scene.sim.told());
    // 96 hours, of which each start may take one.
    scene.sim.run_for(88 * HOUR);
    assert!(scene.sim.cloud.truly(volume.as_str()).is_some(), "{}", scene.sim.told());
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    scene.sim.run_for(9 * HOUR);
    assert_eq!(scene.sim.cloud.truly(volume.as_str()), None, "{}", scene.sim.told());
    nothing_told(&scene);
}

/// Somebody sets that every volume dies with the node's instance.
fn doom(scene: &mut Scene) {
    let instance = holder(scene);
    let Some(Fact::Instance(seen)) = scene.sim.cloud.truly(instance.as_str()) else { panic!() };
    let devices = seen.attachments.iter().map(|a| a.device.clone()).collect();
    let command = Command::SetDeleteOnTermination { instance, devices, value: true };
    let now = scene.sim.now;
    scene.sim.cloud.as_user(now, &command).expect("it is set");
}

#[test]
fn an_instance_that_is_ended_while_its_volumes_would_die_is_told() {
    for device in ["/dev/xvda", "/dev/xvdb"] {
        let mut scene = Scene::serving(920, WHOLE);
        let instance = holder(&scene);
        let devices = vec![device.to_owned()];
        let dies =
            Command::SetDeleteOnTermination { instance: instance.clone(), devices, value: true };
        let now = scene.sim.now;
        scene.sim.cloud.as_user(now, &dies).expect("it is set");
        departs(&mut scene, Command::TerminateInstances { instance });
        told(&scene, Invariant::VolumesOutlive, &format!("({device}) dies with it"));
    }
    let mut scene = Scene::serving(921, WHOLE);
    let instance = holder(&scene);
    departs(&mut scene, Command::TerminateInstances { instance });
    let all = scene.sim.cloud.violations();
    assert!(all.iter().all(|v| v.name != Invariant::VolumesOutlive), "nothing dies: {all:#?}");
}

#[test]
fn one_whose_volumes_were_set_to_die_just_after_all_was_right_is_not_told() {
    for (seconds, wrong) in [(5, false), (30, true)] {
        let mut scene = Scene::serving(922, WHOLE);
        let instance = holder(&scene);
        let devices = ["/dev/xvda", "/dev/xvdb", "/dev/xvdc"].map(str::to_owned).to_vec();
        let keeps =
            Command::SetDeleteOnTermination { instance: instance.clone(), devices, value: false };
        departs(&mut scene, keeps);
        doom(&mut scene);
        scene.sim.run_for(seconds * SECOND);
        departs(&mut scene, Command::TerminateInstances { instance });
        let all = scene.sim.cloud.violations();
        let found = all.iter().any(|v| v.name == Invariant::VolumesOutlive);
        assert_eq!(found, wrong, "{seconds}: {all:#?}");
    }
}

#[test]
fn an_undelete_that_does_not_name_a_loss_is_told() {
    type Forgets = fn(&mut Record);
    let forgets: [(Forgets, &str); 3] = [
        (|r| r.identity.data.remove(0).device.clear(), "vol-"),
        (|r| r.identity.interface = None, "eni-"),
        (|r| r.identity.root = RootHead::Fresh, "snap-"),
    ];
    for (forget, what) in forgets {
        let mut scene = given_up(923);
        let was = record(&scene).lifecycle.tombstone().cloned().expect("what it was");
        let said = event(&scene, EventCode::UndeleteAsked, "the deletion was taken back");
        writes_with(&mut scene, vec![said], |r| {
            r.lifecycle = NodeLifecycle::Paused;
            (r.identity.root, r.identity.data, r.identity.interface) =
                (was.root, was.data, was.interface);
            r.kept.final_snapshots = was.final_snapshots;
            forget(r);
        });
        told(&scene, Invariant::LossesNamed, what);
    }
}

#[test]
fn an_undelete_that_accepts_a_loss_names_it_again() {
    let mut scene = paused(924);
    let node = scene.node.clone();
    scene.sim.cloud.truth_mut().release(&node);
    let deallocation = Deallocation {
        should_delete_volumes: true,
        should_delete_network_interfaces: true,
        ..Deallocation::default()
    };
    let (volume, interface) =
        (data_volume(&record(&scene)), record(&scene).identity.interface.clone().expect("kept").id);
    scene.sim.say(UserCommand::Delete { id: node.clone(), deallocation });
    scene.wait("deallocated", |s, n| {
        s.record(n).is_some_and(|r| r.lifecycle.is_deleted() && r.work.is_none())
    });
    scene.sim.say(UserCommand::Undelete { id: node, accept_loss: true });
    scene.wait("back", |s, n| s.record(n).is_some_and(|r| !r.lifecycle.is_deleted()));
    let said = scene.sim.story.iter().find(|e| e.code == "undelete-asked").expect("it is told");
    assert!(said.message.contains(volume.as_str()), "{}", said.message);
    assert!(said.message.contains(interface.as_str()), "{}", said.message);
    nothing_told(&scene);
}

#[test]
fn a_choice_that_is_offered_and_refused_is_told() {
    for (choice, wrong) in [(Choice::Restore, true), (Choice::Retry, false), (Choice::Wait, false)]
    {
        let mut scene = Scene::serving(925, WHOLE);
        let since = scene.sim.now;
        // A server that starts finds the question in its store.
        scene.sim.kill_controller();
        writes(&mut scene, |r| {
            r.blocked.ask(NeedsDecision {
                row: Row::Capture,
                since,
                why: "it is a test".to_owned(),
                question: Question::Asked { choices: vec![choice], restore: <_>::default() },
            });
        });
        scene.sim.run_for(MINUTE);
        let all = scene.sim.cloud.violations();
        let found = all.iter().any(|v| v.name == Invariant::ChoicesWork);
        assert_eq!(found, wrong, "{choice:?}: {all:#?}");
    }
}

#[test]
fn a_node_that_could_go_on_and_is_not_woken_is_told() {
    let mut scene = given_up(926);
    scene.sim.run_for(5 * MINUTE);
    scene.sim.look_later(0);
    nothing_told(&scene);
    // Its time of grace is counted every ten minutes.
    scene.sim.look_later(11 * MINUTE);
    told(&scene, Invariant::NoLostWake, "could go on");
}

#[test]
fn a_node_that_does_not_get_well_is_told() {
    let mix = Mix { classes: <_>::default(), actions: Some(0), nodes: Some(1), ..Mix::default() };
    assert_eq!(run::told_in(1, &mix, |_, _| {}).violations, []);
    let nothing_to_be_had = |world: &mut SimConfig, _: &mut FleetConfig| {
        (world.spot_vcpus, world.on_demand_vcpus) = (Some(0), Some(0));
    };
    let broken = run::told_in(1, &mix, nothing_to_be_had).violations;
    for words in ["nodes are not made", "wanted Running"] {
        let found = |v: &&Violation| v.name == Invariant::Converges && v.sentence.contains(words);
        assert!(broken.iter().any(|v| found(&v)), "{words}: {broken:#?}");
    }
}
