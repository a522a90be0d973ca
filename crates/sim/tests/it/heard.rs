//! Every word that a user can say is said, and heard, in histories that seeds draw. What is not is on
//! the list of what is held back, with a reason: a new word belongs to one of both.

use holdfast_cloud_sim::Class;
use holdfast_model::adoption::Heads;
use holdfast_model::user::{Choice, Deallocation, Target, UserCommand};
use holdfast_model::{NodeId, VolumeId};
use holdfast_sim::people::{Act, Doing, can_be};
use holdfast_sim::run;
use holdfast_sim::scenario::{HELD_BACK, HELD_BACK_FAULTS, Mix};
use serde_json::json;
use std::collections::BTreeSet;

/// Seeds in which all was heard that the ordinary mix draws. Where a change makes other histories of
/// them, the next ones are tried.
const SEEDS: [u64; 3] = [12, 20, 34];
/// So many more are tried.
const MORE: std::ops::Range<u64> = 35..80;

/// A word of the next variant: one that is new does not compile until it stands here.
fn after(word: Option<&UserCommand>) -> Option<UserCommand> {
    let id = NodeId::from("smi-00000001");
    Some(match word {
        None => UserCommand::Create { id, document: json!({}) },
        Some(UserCommand::Create { .. }) => UserCommand::Update { id, patch: json!({}) },
        Some(UserCommand::Update { .. }) => UserCommand::Pause(id),
        Some(UserCommand::Pause(_)) => UserCommand::Resume(id),
        Some(UserCommand::Resume(_)) => UserCommand::Recycle(id),
        Some(UserCommand::Recycle(_)) => {
            UserCommand::Rollback { id, to: Target::Generation(1), data: None }
        }
        Some(UserCommand::Rollback { .. }) => {
            UserCommand::Delete { id, deallocation: Deallocation::EVERYTHING }
        }
        Some(UserCommand::Delete { .. }) => UserCommand::Undelete { id, accept_loss: false },
        Some(UserCommand::Undelete { .. }) => {
            UserCommand::DeleteVolume { id, volume: VolumeId::from("vol-1") }
        }
        Some(UserCommand::DeleteVolume { .. }) => {
            UserCommand::Adopt { id, document: None, heads: Heads::new() }
        }
        Some(UserCommand::Adopt { .. }) => UserCommand::Decide { id, choice: Choice::Wait },
        Some(UserCommand::Decide { .. }) => return None,
    })
}

fn is_held_back(act: Act) -> bool {
    HELD_BACK.iter().any(|(held, _)| *held == act)
}

#[test]
fn every_word_of_a_user_is_heard_in_a_history_or_is_held_back_for_a_reason() {
    let mix = Mix::default();
    let drawn: BTreeSet<Act> = Act::ALL.into_iter().filter(|act| !is_held_back(*act)).collect();
    let mut heard = BTreeSet::new();
    for seed in SEEDS.into_iter().chain(MORE) {
        let report = run::run(seed, &mix);
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
        heard.extend(report.tally.acts.keys().map(|(act, _)| *act));
        if drawn.is_subset(&heard) {
            break;
        }
    }
    assert_eq!(heard, drawn, "what is heard is what is drawn, and not held back");
    let mut word = after(None);
    while let Some(said) = word {
        let act = Act::of(&said);
        assert!(heard.contains(&act) || is_held_back(act), "nobody says {}", act.name());
        word = after(Some(&said));
    }
}

#[test]
fn what_is_held_back_is_on_its_list_once_and_can_be_asked_for() {
    let (ordinary, wide) = (Mix::default(), Mix::wide());
    assert_eq!(ordinary.acts.len() + HELD_BACK.len(), Act::ALL.len());
    assert_eq!(ordinary.classes.len() + HELD_BACK_FAULTS.len(), Class::ALL.len());
    for (act, why) in HELD_BACK {
        assert!(wide.acts.contains(act) && !why.is_empty(), "{}", act.name());
        assert_eq!(Act::of_name(act.name()), Some(*act));
        let somewhere = Doing::ALL.into_iter().any(|doing| can_be(*act, doing).is_ok());
        assert!(somewhere || *act == Act::LoseStore, "{}", act.name());
    }
}

#[test]
fn what_a_user_chose_is_accepted_although_they_chose_again_meanwhile() {
    // In one an image is changed twice while a replacement follows the first change, in the other an
    // interface with the last address but one is the node's.
    for seed in [950_059, 512] {
        let report = run::run(seed, &Mix::default());
        assert!(report.violations.is_empty(), "seed {seed}: {:?}", report.violations);
    }
}
