//! Core's time: the wall clock read once, monotonic time since.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use byline_core::time::Time;
use tokio::time::Instant;

/// Turns the machine's clocks into core's [`Time`], which never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    unix_ms: u64,
}

impl Clock {
    /// Reads the wall clock, for the only time.
    pub(crate) fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: Instant::now(),
            unix_ms: since_1970.map_or(0, whole_ms),
        }
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_unix_ms(self.unix_ms).plus_ms(whole_ms(self.started.elapsed()))
    }

    /// The instant at which [`Clock::now`] first says `time`.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        let ms = time.ms_since(Time::from_unix_ms(self.unix_ms));
        self.started + Duration::from_millis(ms)
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
