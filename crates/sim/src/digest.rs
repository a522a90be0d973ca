//! A history's fingerprint: two runs with the same one have done the same, bit for bit.

use std::fmt::Write;

/// FNV-1a over eight bytes at a time: small, and the same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Default for Digest {
    fn default() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// The fingerprint.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }

    /// Takes in a number.
    pub fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(PRIME).rotate_left(23);
    }

    /// Takes in bytes, and their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut eight = [0; 8];
            eight.copy_from_slice(chunk);
            self.number(u64::from_le_bytes(eight));
        }
        for byte in chunks.remainder() {
            self.number(u64::from(*byte));
        }
        self.number(bytes.len() as u64);
    }

    /// Takes in what something looks like to a developer.
    pub fn debug(&mut self, what: &impl std::fmt::Debug) {
        // Writing into a digest cannot fail.
        let _ = write!(self, "{what:?}");
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
