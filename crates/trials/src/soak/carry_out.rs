//! How it is done, and how it must end.

use super::action::Action;
use super::faults::{self, FullPool, GoodCopy};
use super::field::{Field, InUse, Look, lock};
use holdfast_wire::WholeNode;
use std::time::{Duration, Instant};

/// The notice of an interruption.
const NOTICE: &str = "2s";
/// How long the pool stays full.
const FULL_FOR: Duration = Duration::from_secs(2);
/// How long a node may take to say what it cannot do by itself.
const SAYS_SO: Duration = Duration::from_secs(90);
/// How often a node is taken back in one drought, at most.
const MAX_IN_DROUGHT: u32 = 3;

/// Does it, and waits until the node serves as it must.
pub fn carry_out(
    action: Action,
    field: &Field,
    node: &InUse,
    pause: Duration,
) -> Result<(), String> {
    let name = node.subject.name.as_str();
    let began = Instant::now();
    let before = field.see(name)?;
    let away = match action {
        Action::Hard => {
            field.insist(&["interrupt", name])?;
            field.comes_back(node, before.generation)?;
            None
        }
        Action::Notice => {
            field.insist(&["interrupt", name, "--notice", NOTICE])?;
            field.comes_back(node, before.generation)?;
            None
        }
        Action::Recycle => {
            field.insist(&["recycle", name])?;
            field.comes_back(node, before.generation)?;
            None
        }
        Action::Pause => Some(pause_and_resume(field, node, pause, before.generation)?),
        Action::ZoneMove => {
            drought(field, node, &before.zone)?;
            None
        }
        Action::Drought => {
            drought(field, node, "all")?;
            None
        }
        Action::ServerKilled => {
            field.insist(&["interrupt", name])?;
            std::thread::sleep(pause / 8);
            field.kill_server(pause / 2)?;
            field.comes_back(node, before.generation)?;
            None
        }
        Action::Stopped => {
            let stopped = faults::stop_processes(&before.instance)?;
            field.say(&format!("{name}: {stopped} processes are stopped"));
            field.comes_back(node, before.generation)?;
            None
        }
        Action::InterfaceDeleted => {
            faults::delete_interface(&field.commands.cloud_dir(), &before.instance)?;
            field.comes_back(node, before.generation)?;
            None
        }
        Action::OldSnapshotSpoilt => {
            spoil_an_old_one(field, node, &before.whole)?;
            field.insist(&["recycle", name])?;
            field.comes_back(node, before.generation)?;
            None
        }
        Action::NeededSnapshotSpoilt => Some(spoil_a_needed_one(field, node, &before)?),
        Action::FullPool => {
            fill_the_pool(field, node, before.generation)?;
            None
        }
    };
    field.serves(node)?;
    let away = match away {
        Some(since) => node.first_ack_after(since),
        None => node.away_since(began),
    };
    field.done(action, name, away);
    Ok(())
}

/// When it was told to resume.
fn pause_and_resume(
    field: &Field,
    node: &InUse,
    pause: Duration,
    generation: u64,
) -> Result<Instant, String> {
    let name = node.subject.name.as_str();
    field.insist(&["pause", name])?;
    is_paused(field, name)?;
    std::thread::sleep(pause);
    let resumed = Instant::now();
    field.insist(&["resume", name])?;
    field.comes_back(node, generation)?;
    Ok(resumed)
}

fn is_paused(field: &Field, name: &str) -> Result<(), String> {
    field.until(&format!("{name} is paused"), SAYS_SO, || {
        let look = field.look(name)?;
        if look.status == "PAUSED" { Ok(()) } else { Err(format!("it is {}", look.status)) }
    })
}

/// No spot capacity in a zone, or anywhere: the node is taken back, and must go elsewhere, or on
/// demand.
fn drought(field: &Field, node: &InUse, zone: &str) -> Result<(), String> {
    let name = node.subject.name.as_str();
    let _alone = lock(&field.markets);
    field.set_markets(&["set", "all", zone, "--spot-capacity", "0"])?;
    let came_back = dries_out(field, node, zone);
    field.set_markets(&["set", "all", "all", "--usual"])?;
    let now = came_back?;
    field.say(&format!("{name}: went to {} in {}", now.lifecycle, now.zone));
    Ok(())
}

/// The node is taken back until it is elsewhere: of a replacement that was under way when the drought
/// began, as of a node found unwell, the next instance may have been launched before.
fn dries_out(field: &Field, node: &InUse, zone: &str) -> Result<Look, String> {
    let name = node.subject.name.as_str();
    let mut dry = String::new();
    for _ in 0..MAX_IN_DROUGHT {
        let before = field.see(name)?;
        field.insist(&["interrupt", name])?;
        let now = field.comes_back(node, before.generation)?;
        if now.lifecycle != "spot" || (zone != "all" && now.zone != zone) {
            return Ok(now);
        }
        dry = now.zone;
    }
    Err(format!("{name} runs as spot in {dry} in spite of the drought"))
}

/// While a node runs, its content is on its volumes: its snapshots are all older.
fn spoil_an_old_one(field: &Field, node: &InUse, whole: &WholeNode) -> Result<(), String> {
    let name = &node.subject.name;
    match faults::snapshots_of(&field.commands.cloud_dir(), whole).first() {
        Some(oldest) => {
            field.say(&format!("{name}: {} is spoilt", oldest.display()));
            // It may be deleted in this very moment: it is superseded.
            let _ = faults::spoil(oldest);
        }
        None => field.say(&format!("{name}: there is no superseded snapshot yet")),
    }
    Ok(())
}

/// A paused node's root is a snapshot and nothing else. When that is broken, the node must say so
/// and neither begin with an older or an empty root nor give up; once the operator has put a good
/// copy there, it must go on. When it was told to.
fn spoil_a_needed_one(field: &Field, node: &InUse, before: &Look) -> Result<Instant, String> {
    let name = node.subject.name.as_str();
    let cloud_dir = field.commands.cloud_dir();
    field.insist(&["pause", name])?;
    is_paused(field, name)?;
    let root = field.see(name)?.whole.record.root;
    let snapshots = faults::snapshots_of(&cloud_dir, &root);
    let needed = snapshots.last().ok_or_else(|| format!("{name} is paused without a root"))?;
    let copy = GoodCopy::make(&cloud_dir, needed)?;
    faults::spoil(needed)?;
    field.say(&format!("{name}: {}, which it needs, is spoilt", needed.display()));
    field.insist(&["resume", name])?;
    let said = field.until(&format!("{name} says what is wrong"), SAYS_SO, || {
        let look = field.look(name)?;
        if look.status == "ACTIVE" {
            return Ok(Err(format!("{name} serves without its root")));
        }
        let stuck = look.whole.record.stuck.is_some();
        if stuck { Ok(Ok(look.waits_for)) } else { Err(format!("it waits for {}", look.waits_for)) }
    })??;
    let short: String = said.chars().take(200).collect();
    field.say(&format!("{name}: says {short} …"));
    copy.put_back()?;
    let decided = Instant::now();
    field.insist(&["decide", name, "retry"])?;
    field.comes_back(node, before.generation)?;
    Ok(decided)
}

/// ENOSPC for everybody, and one node is lost in it: it must wait, and say for what.
fn fill_the_pool(field: &Field, node: &InUse, generation: u64) -> Result<(), String> {
    let name = node.subject.name.as_str();
    let full = FullPool::fill(&field.commands.cloud_dir())?;
    field.say("the pool is full");
    std::thread::sleep(FULL_FOR / 2);
    field.until(&format!("{name} is lost"), SAYS_SO, || {
        let taken = field.commands.node(&["interrupt", name]).map(|_| ());
        // Its writes failed: it may have been found unwell, and taken down, before.
        taken.or_else(|why| if field.look(name)?.status == "ACTIVE" { Err(why) } else { Ok(()) })
    })?;
    let said = field.until(&format!("{name} says that there is no room"), SAYS_SO, || {
        let look = field.look(name)?;
        let says = look.waits_for.contains("MaxStorageExceeded");
        if says { Ok(look.waits_for) } else { Err(format!("it waits for {}", look.waits_for)) }
    })?;
    field.say(&format!("{name}: waits for {said}"));
    std::thread::sleep(FULL_FOR / 2);
    drop(full);
    field.say("there is room again");
    field.comes_back(node, generation)?;
    field.everybody_serves(Instant::now())
}
