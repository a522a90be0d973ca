//! What a cloud's answer does to the record.

use holdfast_model::{CallState, CloudError, Record, Reply, Row, Time, Token};

/// Notes an answer. Returns false if the record no longer waits for it (then nothing changed).
///
/// An answer that is not definite changes nothing: the same request is repeated.
pub fn absorb(
    record: &mut Record,
    row: Row,
    name: &str,
    token: &Token,
    result: &Result<Reply, CloudError>,
    now: Time,
) -> bool {
    let state = match row {
        Row::Upkeep => Some(&mut record.upkeep.row),
        _ => record.work.as_mut().and_then(|r| r.rows.get_mut(&row)),
    };
    let Some(state) = state else { return false };
    let Some(call) = state.calls.get_mut(name) else { return false };
    if &call.token != token || call.state != CallState::Started {
        return false;
    }
    call.state = match result {
        Ok(reply) => {
            let made = call.command.makes();
            let id = reply.facts.iter().find(|f| Some(f.kind()) == made).map(|f| f.id().to_owned());
            call.answered_at = Some(now);
            CallState::Done { id }
        }
        Err(error) if error.class.is_definite() => {
            CallState::Refused { error: error.clone(), at: now }
        }
        Err(_) => return false,
    };
    true
}
