//! What stands in the cells of SQLite's rows.

use crate::sums;

/// The JSON at a column, whose checksum is in the next, if both agree. Rows of earlier versions have no
/// checksum and are read as they are.
pub(super) fn sound_json<'r>(
    kind: &str,
    id: &str,
    row: &'r rusqlite::Row<'_>,
    column: usize,
) -> Result<&'r [u8], String> {
    let json = row.get_ref(column).map_err(|e| e.to_string())?;
    let json = json.as_bytes().map_err(|e| e.to_string())?;
    let sum = row.get_ref(column + 1).map_err(|e| e.to_string())?;
    match sum.as_bytes_or_null().map_err(|e| e.to_string())? {
        Some(sum) if sum != sums::of_row(kind, id, json).as_bytes() => {
            Err("its checksum is not that of its content".to_owned())
        }
        _ => Ok(json),
    }
}

/// A text as it can be shown.
pub(super) fn text(row: &rusqlite::Row<'_>, column: usize) -> String {
    let bytes = row.get_ref(column).ok().and_then(|value| value.as_bytes().ok());
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// SQLite's integers are signed; an instant in milliseconds fits until the year 292 million.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
