//! Work that is spread over copies of the workspace.

use crate::copy::{Copy, Place};
use crate::list::{self, Entry};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The entries of the lists, or those of these names.
///
/// # Errors
/// If a list is wrong, or a name is none of an entry.
pub(crate) fn chosen(copy: &Copy, names: &[String]) -> io::Result<Vec<Entry>> {
    let mut entries = entries(copy)?;
    if let Some(name) = names.iter().find(|name| !entries.iter().any(|e| e.name == **name)) {
        return Err(io::Error::other(format!("no list has an entry {name}")));
    }
    entries.retain(|entry| names.is_empty() || names.contains(&entry.name));
    Ok(entries)
}

/// All entries of the lists.
///
/// # Errors
/// Everything that is wrong with the lists.
pub(crate) fn entries(copy: &Copy) -> io::Result<Vec<Entry>> {
    list::read(&copy.tree).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        io::Error::other(faults.join("\n"))
    })
}

/// Does something with each of these, on as many copies at once as there are workers. The first
/// error ends it.
///
/// # Errors
/// That error.
pub(crate) fn spread<T: Send, R: Send>(
    first: Copy,
    place: &Place,
    workers: usize,
    items: impl IntoIterator<Item = T>,
    with: impl Fn(&mut Copy, T) -> io::Result<R> + Sync,
) -> io::Result<Vec<R>> {
    let left: VecDeque<T> = items.into_iter().collect();
    let mut copies = Vec::new();
    for number in 1..workers.clamp(1, left.len().max(1)) {
        copies.push(first.again(place, number)?);
    }
    copies.push(first);
    let (left, done, failed) = (Mutex::new(left), Mutex::new(Vec::new()), Mutex::new(None));
    std::thread::scope(|scope| {
        for copy in &mut copies {
            scope.spawn(|| {
                while locked(&failed).is_none() {
                    let Some(item) = locked(&left).pop_front() else { return };
                    match with(copy, item) {
                        Ok(result) => locked(&done).push(result),
                        Err(e) => {
                            locked(&failed).get_or_insert(e);
                        }
                    }
                }
            });
        }
    });
    // So that the next run finds everything as it is.
    for copy in &mut copies {
        copy.edit(&BTreeMap::new())?;
    }
    match locked(&failed).take() {
        Some(e) => Err(e),
        None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
