//! When a message is of no use any more.

use std::time::Duration;

use jiff::Timestamp;
use stomp::{Expires, Message};

/// What lives longer than 30 days does not expire: RabbitMQ refuses more than 2^32 ms, and would end the connection over it.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A message that nobody wants any more from a moment on, however long it waits before it is sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) message: Message,
    /// `None` for never.
    pub(super) until: Option<Timestamp>,
}

/// Nobody wants it any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expired;

impl Outgoing {
    /// Writes into it what is left of its life, before each time that it is sent.
    pub(super) fn stamp(&mut self, now: Timestamp) -> Result<(), Expired> {
        self.message.expires = left(now, self.until)?;
        Ok(())
    }
}

/// The moment so long after another; `None` for never.
pub(crate) fn until(made: Timestamp, life: Option<Duration>) -> Option<Timestamp> {
    made.checked_add(life?).ok()
}

/// The expiry of a message that is sent now.
fn left(now: Timestamp, until: Option<Timestamp>) -> Result<Option<Expires>, Expired> {
    let Some(until) = until else { return Ok(None) };
    let left = Duration::try_from(until.duration_since(now)).map_err(|_| Expired)?;
    match (left.as_millis(), u64::try_from(until.as_millisecond())) {
        (0, _) => Err(Expired),
        (after_ms, Ok(at_ms)) if left <= LONGEST => Ok(Some(Expires {
            at_ms,
            after_ms: u64::try_from(after_ms).expect("30 days are few milliseconds"),
        })),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_life_is_counted_to_its_end_and_more_than_30_days_is_for_ever() {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let ms = Duration::from_millis;
        let left = |life| left(now, life).map(|it| it.map(|it| (it.at_ms, it.after_ms)));
        let at = |life| until(now, Some(life));
        let table = [
            (None, Ok(None)),
            (at(Duration::MAX), Ok(None)),
            (at(LONGEST + ms(1)), Ok(None)),
            (at(LONGEST), Ok(Some((1_702_592_000_000, 2_592_000_000)))),
            (at(ms(60_000)), Ok(Some((1_700_000_060_000, 60_000)))),
            (at(ms(1)), Ok(Some((1_700_000_000_001, 1)))),
            (at(Duration::from_micros(999)), Err(Expired)),
            (Some(now), Err(Expired)),
            (Some(now - ms(1)), Err(Expired)),
            (Some(Timestamp::MIN), Err(Expired)),
        ];
        for (until, expected) in table {
            assert_eq!(left(until), expected, "{until:?}");
        }
        assert_eq!(until(now, None), None);
    }
}
