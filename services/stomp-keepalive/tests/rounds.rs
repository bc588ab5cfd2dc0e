//! What beats mean, without a bus.

use std::time::Duration;

use events::message::Beat;
use stomp_keepalive::rounds::{Pace, Rounds};
use tokio::time::Instant;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Rounds of `me` with a limit of 100 ms, and the moment they began.
fn rounds() -> (Rounds, Instant) {
    (Rounds::new("me".to_owned(), ms(100)), Instant::now())
}

#[test]
fn a_beat_carries_the_round_trip_of_the_one_before() {
    let (mut rounds, zero) = rounds();
    let first = rounds.next(zero);
    assert_eq!((first.number, first.last_round_trip_ms), (1, None));
    assert_eq!(rounds.hear(&first, zero + ms(7)), None, "well is no change");
    assert_eq!(rounds.pace(), Pace::Well(ms(7)));
    let second = rounds.next(zero + ms(1000));
    assert_eq!((second.number, second.last_round_trip_ms), (2, Some(7)));
}

#[test]
fn a_change_for_worse_and_for_better_is_told_once() {
    let (mut rounds, zero) = rounds();
    let mut told = Vec::new();
    for (index, took) in [5, 101, 300, 100, 6].into_iter().enumerate() {
        let sent = zero + ms(1000 * index as u64);
        let beat = rounds.next(sent);
        told.extend(rounds.hear(&beat, sent + ms(took)));
    }
    assert_eq!(told, [Pace::Slow(ms(101)), Pace::Well(ms(100))]);
}

#[test]
fn a_beat_that_does_not_come_back_is_missed_once_it_is_over_the_limit() {
    let (mut rounds, zero) = rounds();
    rounds.next(zero);
    assert_eq!(rounds.look(zero + ms(100)), None);
    assert_eq!(rounds.look(zero + ms(101)), Some(Pace::Missing(ms(101))));
    assert_eq!(rounds.look(zero + ms(500)), None, "told once");
    assert_eq!(
        rounds.pace().to_string(),
        "slow: no beat is back for 500 ms"
    );
    // A later beat that comes back well ends it; the one before it is lost, and not waited for.
    let beat = rounds.next(zero + ms(1000));
    assert_eq!(rounds.hear(&beat, zero + ms(1001)), Some(Pace::Well(ms(1))));
    assert_eq!(rounds.look(zero + ms(9000)), None);
    assert_eq!(rounds.lost(), 1);
}

#[test]
fn a_beat_is_lost_after_a_minute_which_is_told_once_more_and_nothing_piles_up() {
    let (mut rounds, zero) = rounds();
    let mut told = Vec::new();
    for second in 0..100_000_u64 {
        let now = zero + ms(1000 * second);
        told.extend(rounds.look(now));
        rounds.next(now);
    }
    assert_eq!(told, [Pace::Missing(ms(1000)), Pace::Lost(ms(61_000))]);
    assert!(rounds.outstanding() <= 62, "{}", rounds.outstanding());
    assert_eq!(rounds.lost() + rounds.outstanding() as u64, 100_000);
    let now = zero + ms(100_000_000);
    let beat = rounds.next(now);
    assert_eq!(rounds.hear(&beat, now + ms(5)), Some(Pace::Well(ms(5))));
    assert_eq!((rounds.outstanding(), rounds.lost()), (0, 100_000));
}

#[test]
fn with_a_long_limit_a_beat_is_slow_before_it_is_lost() {
    let (limit, zero) = (ms(600_000), Instant::now());
    let mut rounds = Rounds::new("me".to_owned(), limit);
    let first = rounds.next(zero);
    rounds.look(zero + ms(61_000));
    assert_eq!(rounds.lost(), 0);
    assert_eq!(
        rounds.hear(&first, zero + ms(90_000)),
        None,
        "in time is well"
    );
    assert_eq!(rounds.pace(), Pace::Well(ms(90_000)));
    let zero = zero + ms(100_000);
    rounds.next(zero);
    let late = zero + limit + ms(1);
    assert_eq!(rounds.look(late), Some(Pace::Missing(limit + ms(1))));
    assert_eq!(rounds.look(zero + limit * 2), None);
    let lost = zero + limit * 2 + ms(1);
    assert_eq!(rounds.look(lost), Some(Pace::Lost(limit * 2 + ms(1))));
    assert_eq!(rounds.lost(), 1);
}

#[test]
fn beats_of_others_and_doubles_are_ignored() {
    let (mut rounds, zero) = rounds();
    let beat = rounds.next(zero);
    let other = Beat {
        from: "other".to_owned(),
        ..beat.clone()
    };
    rounds.hear(&other, zero + ms(900));
    assert_eq!(rounds.pace(), Pace::Unknown);
    rounds.hear(&beat, zero + ms(3));
    rounds.hear(&beat, zero + ms(900));
    assert_eq!(rounds.pace(), Pace::Well(ms(3)));
}
