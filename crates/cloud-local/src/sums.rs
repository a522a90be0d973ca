//! Checksums of what is kept, so that a damaged row is seen as such.

use sha2::{Digest, Sha256};

/// SHA-256 of the parts, each with its length before it, as hexadecimal digits.
pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The checksum of a row of the table of resources.
pub(crate) fn of_row(kind: &str, id: &str, json: &[u8]) -> String {
    digest(&[kind.as_bytes(), id.as_bytes(), json])
}
