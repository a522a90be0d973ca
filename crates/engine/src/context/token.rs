//! Tokens: derived, never drawn, so that another process after a crash says the same words.

use holdfast_model::{Installation, NodeId, Row, Token};

/// EC2's longest ClientToken, in ASCII characters.
pub const MAX_TOKEN: usize = 64;

/// The token of one call.
#[must_use]
pub fn token(
    installation: &Installation,
    node: &NodeId,
    generation: u64,
    replacement: u64,
    row: Row,
    name: &str,
    attempt: u32,
) -> Token {
    let whole =
        format!("{installation}/{node}/{generation}/{replacement}/{}/{name}/{attempt}", row.name());
    let short = node.as_str().trim_start_matches("smi-");
    let short = short.get(..8).unwrap_or(short);
    Token(format!("hf-{short}-{replacement}-{:032x}", fnv128(whole.as_bytes())))
}

/// FNV-1a with 128 bits: short, stable for ever, and not a matter of security.
fn fnv128(bytes: &[u8]) -> u128 {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;
    bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(PRIME)
    })
}
