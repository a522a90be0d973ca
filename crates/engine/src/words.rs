//! What a user's word does to a record, or why it is refused.

use crate::context::refusal::NotDone;
use crate::life::{rollback, undelete};
use holdfast_model::record::{Goal, NodeLifecycle, Record};
use holdfast_model::time::MINUTE;
use holdfast_model::user::{Choice, Deallocation, UserCommand};
use holdfast_model::{CallState, FieldError, Spec, Time, document};

/// For so long after its launch a new instance is given time to become ready: a recycle that is
/// said meanwhile means the same one. In milliseconds.
pub const JOINS_FOR: u64 = MINUTE;

/// Members that cannot change once a node exists.
const FIXED: [&str; 2] = ["region", "compute.product"];

/// Applies a word (other than the creation) to a record.
///
/// # Errors
/// [`NotDone`]; then the record is as it was.
pub fn apply(record: &mut Record, word: &UserCommand, now: Time) -> Result<(), NotDone> {
    let may_speak = matches!(word, UserCommand::Decide { .. } | UserCommand::Undelete { .. });
    if record.lifecycle.goal() == Goal::Deleted && !may_speak {
        return Err(NotDone::Conflict("the node has been given up".to_owned()));
    }
    match word {
        UserCommand::Create { .. } => {
            return Err(NotDone::Conflict("the node exists already".to_owned()));
        }
        UserCommand::Update { patch, .. } => update(record, patch, now)?,
        UserCommand::Adopt { .. } => {
            return Err(NotDone::Conflict("an adoption needs a look at the cloud".to_owned()));
        }
        UserCommand::Pause(_) => {
            record.lifecycle = NodeLifecycle::Paused;
        }
        UserCommand::Resume(_) => record.lifecycle.run(),
        UserCommand::Recycle(_) => recycle(record, now),
        UserCommand::Rollback { to, data, .. } => rollback::hear(record, to, *data)?,
        UserCommand::Delete { deallocation, .. } => delete(record, *deallocation),
        UserCommand::Undelete { accept_loss, .. } => undelete::hear(record, *accept_loss)?,
        UserCommand::DeleteVolume { volume, .. } => undelete::delete_volume(record, volume)?,
        UserCommand::Decide { choice, .. } => decide(record, *choice, now)?,
    }
    Ok(())
}

/// What of the node a word would not bring back that brings it back: named when it is accepted, too,
/// for more may be gone by then than when it was refused.
#[must_use]
pub fn losses(record: &Record, word: &UserCommand) -> Vec<String> {
    match word {
        UserCommand::Undelete { .. } => undelete::losses(record),
        _ => Vec::new(),
    }
}

fn update(record: &mut Record, patch: &serde_json::Value, now: Time) -> Result<(), NotDone> {
    let mut merged = (*record.document).clone();
    document::merge(&mut merged, patch);
    let at = |document: &serde_json::Value, path: &str| {
        let mut value = document;
        for part in path.split('.') {
            value = value.get(part)?;
        }
        Some(value.clone())
    };
    let fixed: Vec<FieldError> = FIXED
        .iter()
        .filter(|path| {
            let before = at(&record.document, path);
            before.is_some() && at(&merged, path) != before
        })
        .map(|path| FieldError {
            field: (*path).to_owned(),
            problem: "cannot change once the node exists".to_owned(),
            allowed: "the value it was made with".to_owned(),
            example: at(&record.document, path).unwrap_or_default().to_string(),
        })
        .collect();
    if !fixed.is_empty() {
        return Err(NotDone::Invalid(fixed));
    }
    Spec::accept(&merged, Some(&record.document)).map_err(NotDone::Invalid)?;
    if merged != *record.document {
        record.document = merged.into();
        record.spec_revision += 1;
        record.updated_at = now;
    }
    Ok(())
}

/// A recycle of a node without an instance is a resume; a second one during a replacement that
/// launches anyway joins it, unless the new instance has had its time and is still not ready: then
/// it is replaced.
fn recycle(record: &mut Record, now: Time) {
    let had_instance = record.lifecycle.goal() == Goal::Running;
    record.lifecycle.run();
    let Some(holder) = &record.instance else { return };
    let launches = record.work.as_ref().filter(|r| {
        crate::tables::replacement::has(r.kind, holdfast_model::Row::Launch)
            && !r.is_done(holdfast_model::Row::Ready)
    });
    let joins = launches.is_some_and(|r| {
        let has_left = r.has_called(holdfast_model::Row::Launch);
        let overdue =
            record.blocked.decision().is_some() || now >= holder.launched_at.plus(JOINS_FOR);
        !(has_left && overdue)
    });
    if had_instance && !joins {
        record.lifecycle.set_recycle(true);
    }
}

fn delete(record: &mut Record, deallocation: Deallocation) {
    record.lifecycle.delete(deallocation);
    record.identity.rollback = None;
}

fn decide(record: &mut Record, choice: Choice, now: Time) -> Result<(), NotDone> {
    if record.blocked.asked().is_some() && choice == Choice::Restore {
        return rollback::restore(record);
    }
    let Some(row) = record.blocked.answer(now) else {
        return Err(NotDone::Conflict("the node waits for no decision".to_owned()));
    };
    if choice == Choice::Retry {
        let state = record.work.as_mut().and_then(|r| r.rows.get_mut(&row));
        if let Some(state) = state {
            state.started_at = Some(now);
            // What was done without the wished effect is asked again; what made something is not.
            state.calls.retain(|_, call| {
                call.command.makes().is_some() || !matches!(call.state, CallState::Done { .. })
            });
        }
    }
    Ok(())
}
