//! The instance that stands by, as the record knows it: by the call that launched it.

use holdfast_model::facts::InstanceFact;
use holdfast_model::replacement::{Call, Replacement};
use holdfast_model::shared::Shared;
use holdfast_model::{CallState, Record, Row, tags};

/// The role of an instance that was launched while another served, of its root and its interface.
pub(crate) const ROLE: &str = "standby";

/// The launch of the instance that stands by: the one that was not refused, or the last.
pub(crate) fn call(replacement: &Replacement) -> Option<(&String, &Shared<Call>)> {
    let calls = &replacement.rows.get(&Row::Standby)?.calls;
    let refused = |call: &Shared<Call>| matches!(call.state, CallState::Refused { .. });
    calls.iter().find(|(_, call)| !refused(call)).or_else(|| calls.last_key_value())
}

/// The instance that stands by, once it is known.
#[must_use]
pub fn instance(record: &Record) -> Option<&str> {
    match &call(record.work.as_ref()?)?.1.state {
        CallState::Done { id } => id.as_deref(),
        CallState::Started | CallState::Refused { .. } => None,
    }
}

/// Whether an instance is the one that stands by, or was, and is being deleted.
#[must_use]
pub fn stands_by(record: &Record, instance: &InstanceFact) -> bool {
    let token = record.work.as_ref().and_then(call).map(|(_, call)| &call.token.0);
    record.kept.pending_deletion.iter().any(|s| s.id == instance.id.as_str())
        || (token.is_some() && token == instance.tags.get(tags::TOKEN))
}
