//! What a word does to a record, and what people are told of it.

use crate::offered;
use crate::refusal::Refusal;
use holdfast_engine::Scene;
use holdfast_engine::context::refusal::NotDone;
use holdfast_engine::life::adopt;
use holdfast_engine::words;
use holdfast_model::market::Catalogue;
use holdfast_model::user::UserCommand;
use holdfast_model::{CallState, Event, EventCode, Record, Time};

/// Takes a word in, unless it is an adoption.
pub(super) fn hear(
    record: &mut Record,
    word: &UserCommand,
    catalogue: &Catalogue,
    now: Time,
) -> Result<(), Refusal> {
    if matches!(word, UserCommand::Create { .. }) && record.revision.is_none() {
        return Ok(());
    }
    let mut next = record.clone();
    words::apply(&mut next, word, now).map_err(|e| match e {
        NotDone::Invalid(errors) => Refusal::Invalid(errors),
        NotDone::Conflict(why) => Refusal::Conflict { node: record.id.clone(), why },
    })?;
    if let UserCommand::Update { .. } = word {
        let spec = next.document.spec().map_err(Refusal::Invalid)?;
        let errors = offered::check(&spec, catalogue);
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
    }
    *record = next;
    Ok(())
}

/// What people are told of a word that was heard; `lost` is what it does not bring back.
pub(super) fn echo(
    record: &Record,
    word: &UserCommand,
    lost: &[String],
    catalogue: &Catalogue,
    now: Time,
) -> Vec<Event> {
    let (code, message) = match word {
        UserCommand::Create { .. } => (EventCode::Created, "the node was created".to_owned()),
        UserCommand::Update { .. } => {
            let revision = record.spec_revision;
            let message =
                format!("spec revision {revision}; it takes effect at the next replacement");
            (EventCode::Updated, message)
        }
        UserCommand::Pause(_) => (EventCode::PauseAsked, "a pause was asked for".to_owned()),
        UserCommand::Resume(_) => (EventCode::ResumeAsked, "a resume was asked for".to_owned()),
        UserCommand::Recycle(_) => (EventCode::RecycleAsked, "a recycle was asked for".to_owned()),
        UserCommand::Rollback { .. } => {
            (EventCode::RollbackAsked, "a rollback was asked for".to_owned())
        }
        UserCommand::Delete { .. } => {
            (EventCode::DeleteAsked, "the deletion was asked for".to_owned())
        }
        UserCommand::Undelete { .. } => {
            let mut message = "the deletion was taken back; the node is paused".to_owned();
            if !lost.is_empty() {
                message.push_str(&format!("; this is lost: {}", lost.join("; ")));
            }
            (EventCode::UndeleteAsked, message)
        }
        UserCommand::DeleteVolume { volume, .. } => (
            EventCode::VolumeDeleted,
            format!("{volume} is deleted, with what is on it, as was asked"),
        ),
        UserCommand::Adopt { .. } => return Vec::new(),
        UserCommand::Decide { choice, .. } => {
            (EventCode::Decided, format!("a person chose: {choice:?}"))
        }
    };
    let mut events = vec![Event::new(now, record.id.clone(), code, message)];
    if let UserCommand::Create { .. } | UserCommand::Update { .. } = word
        && let Ok(spec) = record.document.spec()
    {
        for (code, message) in offered::remarks(&spec, catalogue) {
            events.push(Event::new(now, record.id.clone(), code, message));
        }
    }
    events
}

/// Takes up what the cloud shows.
pub(super) fn take_up(
    record: &mut Record,
    word: &UserCommand,
    scene: &Scene<'_>,
) -> Result<Event, Refusal> {
    let node = record.id.clone();
    let conflict = |why: &str| Refusal::Conflict { node: node.clone(), why: why.to_owned() };
    let UserCommand::Adopt { document, heads, .. } = word else {
        return Err(conflict("this is no adoption"));
    };
    let needed = record.blocked.quarantine().is_some()
        || record.blocked.decision().is_some()
        || record.revision.is_none();
    if !needed {
        return Err(conflict("there is nothing to adopt: its record is as new as the cloud"));
    }
    if record.blocked.quarantine().is_none() && has_open_creations(record) {
        return Err(conflict("a call that makes something is not answered yet; try again later"));
    }
    let mut next = record.clone();
    if let Some(document) = document {
        let document = holdfast_model::document::without_nulls(document);
        if next.revision.is_some() && *next.document != document {
            next.spec_revision += 1;
            next.updated_at = scene.now;
        }
        next.document = document.into();
    }
    let adopted = adopt::adopt(&next, heads, scene).map_err(|questions| {
        let all: Vec<String> = questions.iter().map(ToString::to_string).collect();
        conflict(&format!("it is not adopted and nothing was changed; {}", all.join(". -- ")))
    })?;
    let event = adopt::event(&adopted, scene);
    *record = adopted.record;
    Ok(event)
}

/// Whether what a call makes may still come into the world.
fn has_open_creations(record: &Record) -> bool {
    let mut calls = record.rows().flat_map(|(_, row)| row.calls.values());
    calls.any(|c| c.state == CallState::Started && c.command.makes().is_some())
}
