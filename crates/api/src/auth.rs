//! Who may speak to the server: whoever holds its token.
//!
//! The token is made at the first start and written once to a file that only its owner can read;
//! the server itself remembers only its hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_store::{Store, StoreError};
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::hint::black_box;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The token's file in the data directory.
pub const TOKEN_FILE: &str = "token";
/// How many random bytes a token has.
const TOKEN_BYTES: usize = 32;
/// The longest `Authorization` header that is looked at, in bytes.
const MAX_HEADER: usize = 1_024;
/// The store's setting that holds the hash.
const SETTING: &str = "api-token-sha256";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("the token file {path} cannot be written: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a token: {0}")]
    NoRandomness(String),
    /// What is remembered is not a hash.
    #[error(
        "the store's setting {SETTING} is not a SHA-256 hash; make a new token with --new-token"
    )]
    Damaged,
}

/// Checks tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    hash: [u8; 32],
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth")
    }
}

impl Auth {
    /// The installation's token: at the first start it is made and written to `token` in the
    /// data directory.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn open(store: &dyn Store, data_dir: &Path) -> Result<Auth, AuthError> {
        match store.setting(SETTING)? {
            None => Auth::renew(store, data_dir),
            Some(hex) => Ok(Auth { hash: unhex(&hex).ok_or(AuthError::Damaged)? }),
        }
    }

    /// Makes a new token, writes it to its file, and forgets the one before.
    ///
    /// # Errors
    /// [`AuthError`]; then the token before is still good.
    pub fn renew(store: &dyn Store, data_dir: &Path) -> Result<Auth, AuthError> {
        let mut bytes = [0_u8; TOKEN_BYTES];
        getrandom::fill(&mut bytes).map_err(|e| AuthError::NoRandomness(e.to_string()))?;
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let path = data_dir.join(TOKEN_FILE);
        write_private(&path, &token).map_err(|cause| AuthError::File { path, cause })?;
        let auth = Auth::of_token(&token);
        let hex: String = auth.hash.iter().map(|b| format!("{b:02x}")).collect();
        store.set_setting(SETTING, &hex)?;
        Ok(auth)
    }

    /// Checks for this token.
    #[must_use]
    pub fn of_token(token: &str) -> Auth {
        Auth { hash: Sha256::digest(token.as_bytes()).into() }
    }

    /// Whether an `Authorization` header's value holds the token.
    #[must_use]
    pub fn admits(&self, header: &[u8]) -> bool {
        let Some((scheme, token)) = header.split_at_checked(7) else { return false };
        if header.len() > MAX_HEADER || !scheme.eq_ignore_ascii_case(b"bearer ") {
            return false;
        }
        let given: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        // In constant time: no byte is looked at or skipped because of another.
        let differ =
            given.iter().zip(&self.hash).fold(0_u8, |sum, (a, b)| black_box(sum | (a ^ b)));
        differ == 0
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0_u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(hash)
}

/// Writes aside and renames: the file is never half written, and never readable by others.
fn write_private(path: &Path, token: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(token.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, path)
}
