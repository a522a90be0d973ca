//! When space is given back: after something was deleted, when little is left, and now and then.
//! Not while an instance starts or ends, unless little is left: its node waits for the same disk.

use crate::host::Inner;
use crate::refusal::LocalError;
use crate::rows::InstanceRow;
use holdfast_model::facts::InstanceState;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often it is looked whether there is a reason.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What nodes have deleted is given back so often.
const USUALLY_EVERY: Duration = Duration::from_secs(600);
/// Between two steps of that, others have the disk.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);
/// With less than this part of the pool free, little is left.
const LITTLE_PART: u64 = 16;
/// Little is left with less than this, however large the pool is, in bytes.
const LITTLE_BYTES: u64 = 256 << 20;
/// While little is left, everything is given back so often at first; the pauses double.
const SHORT_FIRST: Duration = Duration::from_secs(4);
/// The longest of these pauses.
const SHORT_LONGEST: Duration = Duration::from_secs(256);
/// A reclaim that gave less than this, in bytes, was for nothing.
const WORTH_BYTES: u64 = 4 << 20;

/// Starts what gives space back. It ends when the local cloud is dropped.
pub(crate) fn start(inner: &Arc<Inner>) -> Result<(), LocalError> {
    let weak = Arc::downgrade(inner);
    std::thread::Builder::new()
        .name("local-reclaim".to_owned())
        .spawn(move || keep(&weak))
        .map_err(crate::refusal::io("starting what gives back the space of", &inner.dir))?;
    Ok(())
}

/// What a round knows of the rounds before it.
struct Memory {
    /// When everything was last gone through.
    usual: Instant,
    /// When everything was last given back because little was left, and the pause after that.
    short: Option<(Instant, Duration)>,
}

fn keep(weak: &Weak<Inner>) {
    let mut memory = Memory { usual: Instant::now(), short: None };
    while let Some(inner) = weak.upgrade() {
        if let Err(e) = round(&inner, &mut memory) {
            tracing::warn!(error = %e, "giving space back");
        }
        drop(inner);
        std::thread::sleep(LOOK_EVERY);
    }
}

fn round(inner: &Inner, memory: &mut Memory) -> Result<(), LocalError> {
    let (free, total) = inner.pool.free_bytes()?;
    if free < (total / LITTLE_PART).max(LITTLE_BYTES) {
        let due = memory.short.is_none_or(|(at, pause)| at.elapsed() >= pause);
        if due {
            let given = inner.pool.reclaim()?;
            let pause = match memory.short {
                Some((_, pause)) if given < WORTH_BYTES => (pause * 2).min(SHORT_LONGEST),
                _ => SHORT_FIRST,
            };
            memory.short = Some((Instant::now(), pause));
        }
    } else {
        memory.short = None;
    }
    let usual = memory.usual.elapsed() >= USUALLY_EVERY;
    if !(usual || inner.deletions.some.load(Ordering::SeqCst)) || !inner.is_calm()? {
        return Ok(());
    }
    // Before the pool is gone through: what is deleted meanwhile is for the next round.
    inner.deletions.some.store(false, Ordering::SeqCst);
    let mut calm = || {
        std::thread::sleep(BETWEEN_STEPS);
        inner.is_calm().unwrap_or(false)
    };
    if usual {
        memory.usual = Instant::now();
        inner.pool.trim_volumes(&mut calm)?;
    }
    inner.pool.trim_pool(&mut calm)?;
    if !calm() {
        // It was broken off: the rest is done once it is calm again.
        inner.deletions.note();
    }
    Ok(())
}

impl Inner {
    /// Whether no instance starts or ends in this moment.
    fn is_calm(&self) -> Result<bool, LocalError> {
        let rows: Vec<InstanceRow> = self.state.look(|table| table.all())?;
        let settled = [InstanceState::Running, InstanceState::Terminated];
        Ok(rows.iter().all(|row| settled.contains(&row.fact.state)))
    }
}
