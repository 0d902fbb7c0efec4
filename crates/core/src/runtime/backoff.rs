//! How long to wait before trying again (protocol.md §7): 0.2 s doubled to 30 s, with full jitter.

use crate::entropy::Entropy;
use crate::error::Retry;
use crate::limits::{RETRY_FIRST_MS, RETRY_LAST_MS};

/// Longest wait that the other side may ask for, in seconds.
const RETRY_SECONDS_MAX: u32 = 3_600;

/// A back-off that starts small and is reset by success.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How many milliseconds to wait after one more failure; `retry` is what the other side said.
    pub(crate) fn next_ms(&mut self, retry: Retry, entropy: &mut Entropy) -> u64 {
        let bound = RETRY_FIRST_MS
            .saturating_mul(1 << self.failures.min(16))
            .min(RETRY_LAST_MS);
        self.failures += 1;
        let jittered = entropy.up_to(bound);
        match retry {
            Retry::Seconds(seconds) => u64::from(seconds.min(RETRY_SECONDS_MAX)) * 1000 + jittered,
            Retry::Now | Retry::Never => jittered,
        }
    }

    /// Things work again.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_thirty_seconds_and_starts_again() {
        let mut entropy = Entropy::new([1; 32]);
        let mut backoff = Backoff::default();
        for failures in 0..20 {
            let bound = (200_u64 << failures).min(30_000);
            assert!(backoff.next_ms(Retry::Now, &mut entropy) <= bound);
        }
        let longest = (0..64)
            .map(|_| backoff.next_ms(Retry::Now, &mut entropy))
            .max()
            .unwrap();
        assert!(longest > 20_000, "it has grown");
        backoff.reset();
        assert!(backoff.next_ms(Retry::Now, &mut entropy) <= 200);
        assert!(backoff.next_ms(Retry::Seconds(3), &mut entropy) >= 3000);
    }
}
