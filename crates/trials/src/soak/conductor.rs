//! What happens when: every action in turn, in an order that chance chooses, to nodes that chance
//! chooses, some at the same time.

use super::action::Action;
use super::carry_out::carry_out;
use super::dice::Dice;
use super::field::{Field, InUse};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So many nodes are in trouble at the same time.
const AT_ONCE: usize = 4;
/// Between two looks whether somebody is free.
const PAUSE: Duration = Duration::from_millis(20);

type Running = Vec<JoinHandle<Result<(), String>>>;

/// Plays for so long, and at least until every action was tried once.
pub fn play(field: &Arc<Field>, dice: &mut Dice, length: Duration) -> Result<(), String> {
    let began = Instant::now();
    let mut running = Running::new();
    let mut bag = once();
    dice.shuffle(&mut bag);
    let mut first_round = true;
    let mut outcome = Ok(());
    while outcome.is_ok() {
        outcome = reap(&mut running);
        if bag.is_empty() {
            first_round = false;
            bag = Action::ALL.iter().flat_map(|(action, times)| vec![*action; *times]).collect();
            dice.shuffle(&mut bag);
        }
        if began.elapsed() > length && !first_round {
            break;
        }
        let for_all = bag.last().is_some_and(|action| action.is_for_all());
        if running.len() >= AT_ONCE || (for_all && !running.is_empty()) {
            std::thread::sleep(PAUSE);
            continue;
        }
        let Some(action) = bag.pop() else { continue };
        let pause = dice.millis(200, 2_000);
        let calm = dice.millis(100, 900);
        match choose(field, dice, action) {
            Some(node) => {
                running.push(begin(Arc::clone(field), node, action, pause));
                std::thread::sleep(calm);
                while action.is_for_all() && outcome.is_ok() && !running.is_empty() {
                    outcome = reap(&mut running);
                    std::thread::sleep(PAUSE);
                }
            }
            // Those that it fits are in trouble already: later.
            None => {
                bag.insert(0, action);
                std::thread::sleep(PAUSE);
            }
        }
    }
    while !running.is_empty() {
        let ended = reap(&mut running);
        outcome = outcome.and(ended);
        std::thread::sleep(PAUSE);
    }
    outcome
}

/// Every action that fits some node, once.
fn once() -> Vec<Action> {
    Action::ALL.iter().map(|(action, _)| *action).collect()
}

/// A free node that the action fits, taken.
fn choose(field: &Field, dice: &mut Dice, action: Action) -> Option<Arc<InUse>> {
    let mut nodes = field.nodes();
    nodes.retain(|node| action.fits(node.subject.kept));
    dice.shuffle(&mut nodes);
    nodes.into_iter().find(|node| node.take())
}

fn begin(
    field: Arc<Field>,
    node: Arc<InUse>,
    action: Action,
    pause: Duration,
) -> JoinHandle<Result<(), String>> {
    std::thread::spawn(move || {
        let name = &node.subject.name;
        field.say(&format!("{name}: {} begins", action.name()));
        let ended = carry_out(action, &field, &node, pause);
        if let Err(why) = &ended {
            field.say(&format!("{name}: {}: FAILED: {why}", action.name()));
        }
        node.give_back();
        ended.map_err(|why| format!("{}: {why}", action.name()))
    })
}

/// Takes away what has ended; the first failure.
fn reap(running: &mut Running) -> Result<(), String> {
    let mut outcome = Ok(());
    for thread in running.extract_if(.., |thread| thread.is_finished()) {
        let ended = thread.join().map_err(|_| "an action panicked".to_owned()).flatten();
        outcome = outcome.and(ended);
    }
    outcome
}
