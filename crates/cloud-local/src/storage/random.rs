//! Random names.

use super::error::StorageError;
use super::ext4;
use std::io;
use std::path::PathBuf;

fn random_bytes<const N: usize>() -> Result<[u8; N], StorageError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| StorageError::Io {
        doing: "reading",
        path: PathBuf::from("/dev/urandom"),
        cause: io::Error::other(e.to_string()),
    })?;
    Ok(bytes)
}

/// So many random hexadecimal digits, at most 16.
pub(super) fn random_hex(digits: usize) -> Result<String, StorageError> {
    let text = format!("{:016x}", u64::from_le_bytes(random_bytes::<8>()?));
    Ok(text[..digits.min(text.len())].to_owned())
}

/// A random UUID (RFC 9562, version 4).
pub(super) fn random_uuid() -> Result<String, StorageError> {
    let mut bytes = random_bytes::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(ext4::uuid_text(&bytes))
}
