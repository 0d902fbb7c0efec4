//! Random bytes as core sees them: drawn from a seed handed in by whoever drives a machine.

use sha2::{Digest, Sha256};

/// An endless, unpredictable and repeatable source: SHA-256 of a secret seed and a counter.
///
/// Whoever does not know the seed cannot tell what comes next; the same seed gives the same bytes,
/// which is what a simulation needs.
#[derive(Clone)]
pub struct Entropy {
    seed: [u8; 32],
    drawn: u64,
}

impl Entropy {
    /// A source drawing from `seed`, which must come from the operating system outside of tests.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    /// The next 16 bytes: a nonce, a challenge, a token.
    pub fn nonce(&mut self) -> [u8; 16] {
        self.drawn += 1;
        let hash = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.drawn.to_le_bytes());
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&hash.finalize()[..16]);
        nonce
    }

    /// A number from 0 to `bound`, both included: full jitter for a back-off.
    pub fn up_to(&mut self, bound: u64) -> u64 {
        let nonce = self.nonce();
        let mut low = [0; 8];
        low.copy_from_slice(&nonce[..8]);
        let drawn = u64::from_le_bytes(low);
        bound.checked_add(1).map_or(drawn, |range| drawn % range)
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entropy")
            .field("drawn", &self.drawn)
            .finish_non_exhaustive()
    }
}
