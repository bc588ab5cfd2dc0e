//! When a message is of no use any more.

use std::time::Duration;

use jiff::Timestamp;
use stomp::Expires;

/// What lives longer than 30 days does not expire: RabbitMQ refuses more than 2^32 ms, and would end the connection over it.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// The expiry of a message that is published now and lives so long, at least 1 ms; `None` for never.
pub(super) fn after(now: Timestamp, life: Duration) -> Option<Expires> {
    if life > LONGEST {
        return None;
    }
    let after_ms = u64::try_from(life.as_millis()).ok()?.max(1);
    let now_ms = u64::try_from(now.as_millisecond()).ok()?;
    Some(Expires {
        at_ms: now_ms.checked_add(after_ms)?,
        after_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_by_the_clock_and_a_life_is_from_a_millisecond_to_30_days() {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let after = |life| after(now, life).map(|e| (e.at_ms, e.after_ms));
        let table = [
            (Duration::ZERO, Some((1_700_000_000_001, 1))),
            (Duration::from_secs(60), Some((1_700_000_060_000, 60_000))),
            (LONGEST, Some((1_702_592_000_000, 2_592_000_000))),
            (LONGEST + Duration::from_millis(1), None),
            (Duration::MAX, None),
        ];
        for (life, expected) in table {
            assert_eq!(after(life), expected, "{life:?}");
        }
    }
}
