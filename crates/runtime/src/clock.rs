//! The clock that core's machines are driven by.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use byline_core::time::Time;

/// The wall clock as it was once, and monotonic time since: it never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    unix_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let unix_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        Self {
            started: Instant::now(),
            unix_ms,
        }
    }

    pub(crate) fn now(&self) -> Time {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Time::from_unix_ms(self.unix_ms).plus_ms(ms)
    }

    /// The instant at which [`Clock::now`] will be `at`.
    pub(crate) fn instant(&self, at: Time) -> Instant {
        let ms = at.ms_since(Time::from_unix_ms(self.unix_ms));
        self.started + Duration::from_millis(ms)
    }
}
