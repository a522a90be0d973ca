//! `holdfast local rebuild`: a lost or damaged `cloud.db` made anew from the labels beside the images,
//! and from the nodes that live.

use crate::labels::Labels;
use crate::refusal::io;
use crate::refusal::{LocalError, refused};
use crate::revive;
use crate::rows::{Ending, ImageRow, InstanceRow};
use crate::state::{FILE, Salvage, State, Table};
use crate::storage::{Pool, PoolOptions};
use holdfast_model::facts::InstanceState;
use holdfast_model::{CloudError, SnapshotId, VolumeId};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a rebuild has found and done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// How many rows of each kind the new memory has.
    pub counts: BTreeMap<String, usize>,
    /// What it could not account for, a sentence each. Nothing of it was touched.
    pub left_over: Vec<String>,
    /// Where the old file is kept, if there was one and it was replaced.
    pub aside: Option<PathBuf>,
    /// False: the memory accounted for all of it already, and was left as it was.
    pub changed: bool,
}

/// Makes the memory of a data directory anew. The old one is kept beside it. The caller sees to it that
/// no server has the directory open. Twice is the same.
///
/// # Errors
/// [`LocalError::Refused`] if a node runs that has no label that can be read; nothing was changed then.
pub fn rebuild(dir: &Path) -> Result<Rebuilt, LocalError> {
    if !dir.join("pool.xfs").exists() {
        let message = format!("there is no pool of volumes in {}", dir.display());
        return Err(refused("InvalidParameterValue", message).into());
    }
    let pool = Pool::open(dir, &PoolOptions::default())?;
    let dir = pool.dir().to_owned();
    let draft = dir.join(format!("{FILE}.new"));
    remove_with_log(&draft)?;
    let old = dir.join(FILE);
    // What only the old file knows, as far as it can be read.
    let salvage = Salvage::of(&old);
    let (mut found, new) = {
        let labels = Labels::in_pool(&pool).map_err(io("reading the labels in", &pool.labels()))?;
        let state = State::open_file(&draft, &dir.join("nodes"), labels)?;
        let found = fill(&state, &pool, &dir, &salvage)?;
        (found, state.dump()?)
    };
    if salvage.dump.as_ref() == Some(&new) {
        remove_with_log(&draft)?;
        return Ok(found);
    }
    found.changed = true;
    found.aside = set_aside(&old)?;
    fs::rename(&draft, &old).map_err(io("naming", &old))?;
    fs::File::open(&dir).and_then(|d| d.sync_all()).map_err(io("syncing", &dir))?;
    Ok(found)
}

fn fill(state: &State, pool: &Pool, dir: &Path, salvage: &Salvage) -> Result<Rebuilt, LocalError> {
    let labels = state.labels().all().map_err(|e| state.label_error(e))?;
    let living = revive::living(&dir.join("nodes"), pool)?;
    for node in &living {
        if let Err(why) = &node.kept {
            let message = format!(
                "{} runs, and its label cannot be read ({why}): it would be unaccounted for, and what \
                 it writes to with it. Nothing was changed. Put a copy of {FILE} back, or end it first",
                node.id
            );
            return Err(refused("IncorrectInstanceState", message).into());
        }
    }
    let mut left_over = Vec::new();
    for (id, why) in &labels.damaged {
        left_over.push(format!("the label of {id} is damaged: {why}"));
    }
    let inventory = pool.inventory()?;
    let images = inventory.volumes.iter().chain(&inventory.snapshots);
    for id in images.filter(|id| !labels.sound.contains_key(*id)) {
        left_over.push(format!("{id} has an image and no label; see holdfast local unaccounted"));
    }
    let lives = |id: &String| living.iter().any(|node| node.id.as_str() == id);
    let mut ended = revive::directories(&dir.join("nodes"))?;
    ended.retain(|id| !lives(id));
    state.change(|table| {
        for (id, label) in &labels.sound {
            if salvage.gone.contains_key(id) {
                continue;
            }
            let here = match label.kind.as_str() {
                "volume" => pool.has_volume(&VolumeId::from(id.as_str())),
                "snapshot" => pool.has_snapshot(&SnapshotId::from(id.as_str())),
                _ => true,
            };
            if !here {
                left_over.push(format!("{id} has a label and no image"));
            } else if !revive::restore(table, label)? {
                left_over.push(format!("the label of {id} is not understood"));
            }
        }
        // Terminated instances are shown for an hour.
        for row in &salvage.terminated {
            table.put(row)?;
        }
        for kept in living.iter().filter_map(|node| node.kept.as_ref().ok()) {
            revive::take_up(table, table.labels(), kept)?;
        }
        for id in &ended {
            if let Err(why) = take_up_ended(table, &dir.join("nodes").join(id), id) {
                left_over.push(format!("{id}, which does not run any more: {why}"));
            }
        }
        salvage.put(table)?;
        for image in table.all::<ImageRow>()? {
            let snapshot = image.fact.snapshot.filter(|s| !pool.has_snapshot(s));
            left_over
                .extend(snapshot.map(|s| format!("{} needs {s}, which is gone", image.fact.id)));
        }
        Ok::<_, CloudError>(())
    })?;
    let mut counts = BTreeMap::new();
    for (kind, _, _) in state.dump()? {
        *counts.entry(kind).or_default() += 1;
    }
    Ok(Rebuilt { counts, left_over, aside: None, changed: false })
}

/// An instance that does not run: as its label has it if it was terminated; else the next start takes
/// down what is left of it, and deletes nothing.
fn take_up_ended(table: &Table<'_>, node_dir: &Path, id: &str) -> Result<(), String> {
    if matches!(table.get::<InstanceRow>(id), Ok(Some(_))) {
        return Ok(());
    }
    let mut kept = revive::kept(node_dir, id)?;
    let fact = &mut kept.row.fact;
    if fact.state != InstanceState::Terminated {
        fact.state = InstanceState::ShuttingDown;
        kept.row.ending = Some(Ending::Cut);
        fact.attachments.iter_mut().for_each(|a| a.delete_on_termination = false);
    }
    revive::take_up(table, table.labels(), &kept).map_err(|e| e.to_string())
}

/// Moves a file of SQLite aside, with its log.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, LocalError> {
    if !path.exists() && !with(path, "-wal").exists() {
        return Ok(None);
    }
    let target = path.with_file_name(format!("{FILE}.before-{}", crate::clock::now().0));
    for suffix in ["-wal", "-shm", ""] {
        let (from, to) = (with(path, suffix), with(&target, suffix));
        match fs::rename(&from, &to) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(io("setting aside", &from)(e)),
            _ => {}
        }
    }
    Ok(Some(target))
}

fn remove_with_log(path: &Path) -> Result<(), LocalError> {
    for suffix in ["-wal", "-shm", ""] {
        let path = with(path, suffix);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(io("deleting", &path)(e)),
            _ => {}
        }
    }
    Ok(())
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
