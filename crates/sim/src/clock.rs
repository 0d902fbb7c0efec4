//! The clocks of machines: each has its own idea of the time. None goes back while its machine runs.

use byline_core::time::Time;

/// What every clock of a world would show at its beginning, were it right.
const START_MS: u64 = 1_800_000_000_000;
const MILLION: i128 = 1_000_000;

/// One machine's clock: ahead by some time, and a little fast or slow.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    ahead_ms: i64,
    drift_ppm: i64,
}

impl Clock {
    pub(crate) const fn new(ahead_ms: i64, drift_ppm: i64) -> Self {
        Self {
            ahead_ms,
            drift_ppm,
        }
    }

    /// What the clock shows `elapsed_ms` after the world began.
    pub(crate) fn shows(&self, elapsed_ms: u64) -> Time {
        let drift = i128::from(elapsed_ms) * i128::from(self.drift_ppm) / MILLION;
        let shown = i128::from(START_MS + elapsed_ms) + i128::from(self.ahead_ms) + drift;
        Time::from_unix_ms(u64::try_from(shown).unwrap_or_default())
    }

    /// When the clock will show `time`, not before `now`.
    pub(crate) fn reaches(&self, time: Time, now: u64) -> u64 {
        let wait = time.ms_since(self.shows(now));
        if wait == 0 {
            return now;
        }
        let scaled = i128::from(wait) * MILLION / (MILLION + i128::from(self.drift_ppm));
        let mut at = now + u64::try_from(scaled).unwrap_or(u64::MAX / 2);
        while self.shows(at) < time {
            at += 1;
        }
        at
    }

    /// Shows another time at once: a later one, or, of a machine that starts, an earlier one.
    pub(crate) const fn jump(&mut self, ms: i64) {
        self.ahead_ms += ms;
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn a_slow_clock_and_a_fast_one_reach_what_they_will_show() {
        for drift_ppm in [-300, 0, 300] {
            let clock = Clock::new(12_345, drift_ppm);
            for wait_ms in [0, 1, 999, 30_000, 86_400_000] {
                let time = clock.shows(777).plus_ms(wait_ms);
                let at = clock.reaches(time, 777);
                assert!(clock.shows(at) >= time, "not too early");
                assert!(at == 777 || clock.shows(at - 2) < time, "nor late");
            }
        }
    }
}
