//! Records of older versions. Each schema has one step to the next; a golden file per schema is
//! taken up in the tests. An unknown schema stops its node and nothing else.

mod second;

use crate::depth;
use crate::record::{Record, SCHEMA};
use serde_json::Value;

/// Why a stored record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON, or not a record.
    #[error(
        "the record is damaged ({0}), and nothing of the node was touched; have it made anew with \
         \"holdfast adopt NODE --spec FILE\", or restore it from a backup"
    )]
    Damaged(String),
    /// It was written by a newer version.
    #[error(
        "the record has schema {found}, this version knows up to {SCHEMA}; run the newer version again"
    )]
    Newer {
        /// The schema that was found.
        found: u64,
    },
}

/// Reads a stored record, whatever version wrote it.
///
/// # Errors
/// [`RecordError`] if it is damaged or newer.
pub fn read(json: &str) -> Result<Record, RecordError> {
    let mut value: Value =
        depth::read_stored(json).map_err(|e| RecordError::Damaged(e.to_string()))?;
    let schema = value
        .get("schema")
        .and_then(Value::as_u64)
        .ok_or_else(|| RecordError::Damaged("it has no schema".to_owned()))?;
    if schema == 0 {
        return Err(RecordError::Damaged("schema 0 never existed".to_owned()));
    }
    if schema > u64::from(SCHEMA) {
        return Err(RecordError::Newer { found: schema });
    }
    if schema < 2 {
        value = second::upcast(value).map_err(RecordError::Damaged)?;
    }
    serde_json::from_value(value).map_err(|e| RecordError::Damaged(e.to_string()))
}
