//! What people are told of an outage: nothing of a short one, and of a long one its begin and its end.

use std::time::Duration;

use byline::State;
use tokio::time::Instant;

/// What lasts less than this heals by itself and is nobody's business.
const SHORT: Duration = Duration::from_secs(2);

/// An outage, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// Since when the copy stands still, as it says, and until when that is nobody's business.
    stale: Option<(String, Instant)>,
    told: bool,
}

impl Outage {
    /// Takes a state of the copy; gives what is to be told at once.
    pub(crate) fn state(&mut self, state: &State, now: Instant) -> Option<String> {
        match state {
            State::Waiting(why) => return Some(format!("{state}: {why}")),
            State::Stale(since) if self.stale.is_none() => {
                self.stale = Some((since.rfc3339(), now + SHORT));
            }
            State::Live => {
                self.stale = None;
                return std::mem::take(&mut self.told).then(|| "live again".to_owned());
            }
            _ => {}
        }
        None
    }

    /// When the outage is long enough to be told; never when there is none, or it was.
    pub(crate) fn due(&self) -> Option<Instant> {
        let (_, until) = self.stale.as_ref()?;
        (!self.told).then_some(*until)
    }

    /// What there is to tell of an outage that lasts.
    pub(crate) fn tell(&mut self) -> Option<String> {
        self.told = true;
        let (since, _) = self.stale.as_ref()?;
        Some(format!(
            "stale since {since}: its Reporter is out of reach; trying to reconnect"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use byline::Time;

    #[test]
    fn a_short_outage_is_not_told_and_a_long_one_once() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let stale = State::Stale(Time::from_unix_ms(0));
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(outage.state(&stale, at(0)), None);
        assert_eq!(outage.due(), Some(at(2000)));
        assert_eq!(outage.state(&State::Live, at(1999)), None);
        assert_eq!(outage.due(), None);

        for (ms, state) in [(5000, &stale), (5500, &State::CatchingUp), (6000, &stale)] {
            assert_eq!(outage.state(state, at(ms)), None);
            assert_eq!(outage.due(), Some(at(7000)), "it lasts since 5000");
        }
        let told = outage.tell().unwrap();
        assert!(
            told.starts_with("stale since 1970-01-01T00:00:00"),
            "{told}"
        );
        assert_eq!(outage.state(&stale, at(8000)), None);
        assert_eq!(outage.due(), None, "it was told");
        assert!(outage.state(&State::Live, at(9000)).is_some());
        assert_eq!(outage.state(&State::Live, at(9001)), None);
    }
}
