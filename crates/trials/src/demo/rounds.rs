//! One node through its interruptions.

use super::report::{Changed, NodeReport};
use crate::trial::commands::{Commands, Server};
use crate::trial::node::{create, interrupt, now, start_writer, wait_for_ack, wait_for_generation};
use crate::trial::patience::Patience;
use crate::trial::workload::Workload;
use crate::trial::{Spread, say};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The notice of the softer interruptions.
const NOTICE: &str = "3s";
/// How long after an interruption the controller is killed, so that it dies in a replacement.
const KILL_AFTER: Duration = Duration::from_millis(30);
/// How long the controller stays dead.
const DEAD_FOR: Duration = Duration::from_millis(300);
/// How long the writer writes undisturbed between two interruptions.
const CALM: Duration = Duration::from_millis(400);

/// What is played with one node.
pub struct Plan {
    /// The server in it.
    pub workload: Workload,
    /// How often it is interrupted.
    pub rounds: usize,
    /// In which round the controller is killed, from 0.
    pub kill_in_round: usize,
}

/// Plays one node to its end.
pub fn play(
    plan: &Plan,
    commands: &Commands,
    server: &Arc<Mutex<Server>>,
) -> Result<NodeReport, String> {
    let name = plan.workload.name();
    say(&format!("{name}: creating the node"));
    let first = create(commands, name, plan.workload.spec())?;
    let writer = start_writer(commands, name, plan.workload, &first.ip, Patience::USUAL)?;
    say(&format!("{name}: serves at {}, on {}", first.ip, first.market));
    let mut blackouts = Vec::new();
    let mut last = first.clone();
    for round in 0..plan.rounds {
        std::thread::sleep(CALM);
        let notice = (round % 2 == 1).then_some(NOTICE);
        let began = now();
        interrupt(commands, name, notice)?;
        if round == plan.kill_in_round {
            std::thread::sleep(KILL_AFTER);
            let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
            server.kill_and_restart(DEAD_FOR)?;
        }
        last = wait_for_generation(commands, name, last.generation)?;
        wait_for_ack(&writer, name, now())?;
        let gap = writer.longest_gap(began).map(|(last, next)| next - last).unwrap_or_default();
        blackouts.push(i64::try_from(gap.as_millis()).unwrap_or(i64::MAX));
        let how = if notice.is_some() { "with notice" } else { "hard" };
        say(&format!(
            "{name}: interruption {} of {} ({how}): away {} ms, {} acknowledged so far",
            round + 1,
            plan.rounds,
            gap.as_millis(),
            writer.acked()
        ));
        let _ = std::io::stdout().flush();
    }
    let (acked, lost) = writer.finish(&commands.cloud_dir())?;
    Ok(NodeReport {
        name: name.to_owned(),
        acked,
        lost: lost.len(),
        interruptions: plan.rounds,
        blackout_ms: Spread::of(blackouts),
        ip: Changed { before: first.ip, after: last.ip },
        mac: Changed { before: first.mac, after: last.mac },
        data_volume: Changed { before: first.volume, after: last.volume },
        generation: Changed { before: first.generation, after: last.generation },
        market: last.market,
    })
}
