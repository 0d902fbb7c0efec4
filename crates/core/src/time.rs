//! Time as core sees it: a number handed in by whoever drives a machine.

/// Unix time in milliseconds, never going back.
///
/// The driver reads the wall clock once and adds monotonic time to it, so one number serves both
/// for time-outs and for `lastModified`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// The time `unix_ms` milliseconds after 1970.
    #[must_use]
    pub const fn from_unix_ms(unix_ms: u64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// The time `ms` milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`, 0 when it is not earlier.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// RFC 3339, in UTC, to the millisecond: `2026-11-21T10:00:00.123Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let ms = i64::try_from(self.0).unwrap_or(i64::MAX);
        jiff::Timestamp::from_millisecond(ms).map_or_else(
            |_| String::from("9999-12-31T23:59:59.999Z"),
            |at| format!("{at:.3}"),
        )
    }

    /// Reads what [`Time::rfc3339`] writes; `None` when it is no time after 1970.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(at.as_millisecond()).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn is_written_as_rfc_3339() {
        assert_eq!(Time::from_unix_ms(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Time::from_unix_ms(1_795_255_200_123).rfc3339(),
            "2026-11-21T10:00:00.123Z"
        );
        let read = Time::parse_rfc3339("2026-11-21T10:00:00.123Z");
        assert_eq!(read, Some(Time::from_unix_ms(1_795_255_200_123)));
        assert_eq!(Time::parse_rfc3339("yesterday"), None);
        assert_eq!(
            Time::from_unix_ms(u64::MAX).rfc3339(),
            "9999-12-31T23:59:59.999Z"
        );
    }
}
