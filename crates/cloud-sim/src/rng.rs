//! The simulation's only randomness: SplitMix64 (Steele, Lea, Flood, 2014), small and the same on
//! every machine.

/// A seeded generator.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64 { state: seed }
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number of `least..=most`; `least` if they are the wrong way round. The slight bias of the
    /// remainder is of no matter to a simulation.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        match most.checked_sub(least) {
            None | Some(0) => least,
            Some(u64::MAX) => self.draw(),
            Some(width) => least + self.draw() % (width + 1),
        }
    }

    /// True so many times in a million.
    pub fn chance(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.draw() % 1_000_000 < u64::from(per_million)
    }
}
