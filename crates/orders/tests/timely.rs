//! What depends on when an order comes and on what came before it.

use events::message::Phase;
use jiff::{SignedDuration, ToSpan};
use orders::{Grant, Marks, Refusal};

use crate::given::{
    admit, admit_at, grant, host, keyring, now, ordered, policy, rollback_grant, time, to,
};

/// The order is valid from 11:59:30 to 12:10:00, its grant from 11:59:00 to 13:00:00, the skew is 30 s.
#[test]
fn an_order_is_taken_within_its_time_and_the_allowed_difference_of_clocks() {
    let ordered = ordered(&grant(), |_| {});
    for (at, taken) in [
        ("2026-11-21T11:58:59Z", false),
        ("2026-11-21T11:59:00Z", true),
        ("2026-11-21T12:10:30Z", true),
        ("2026-11-21T12:10:31Z", false),
    ] {
        let admitted = admit_at(&ordered, Marks::default(), time(at));
        assert_eq!(admitted.is_ok(), taken, "{at}: {admitted:?}");
    }
}

#[test]
fn a_wrong_clock_is_named_with_both_times_and_the_difference() {
    let ordered = ordered(&grant(), |_| {});
    let early = admit_at(&ordered, Marks::default(), time("2026-11-21T11:49:30Z"));
    assert_eq!(
        early.expect_err("too early").to_string(),
        "clock skew: the order was made at 2026-11-21T11:59:30Z by the clock of orchestrator, and here it is \
         2026-11-21T11:49:30Z: 600 s apart, clock_skew_s allows 30 s; put the clocks right"
    );
    let late = admit_at(&ordered, Marks::default(), time("2026-11-21T12:11:00Z"));
    assert_eq!(
        late.expect_err("too late").to_string(),
        "the order expired at 2026-11-21T12:10:00Z, and here it is 2026-11-21T12:11:00Z: \
         60 s too late, 30 s of clock skew are allowed; ask for it again, or compare the clocks"
    );
}

#[test]
fn the_end_of_the_grant_stops_what_makes_live_and_not_what_takes_back() {
    let end = grant().expires;
    let later = end.checked_add(1.hour()).expect("a time");
    let late = |grant: &Grant, phase: Phase| {
        let ordered = ordered(grant, |order| {
            order.phase = phase;
            if matches!(phase, Phase::Rollback | Phase::Abort) {
                to(phase)(order);
            }
            order.issued = later;
            order.expires = later.checked_add(5.minutes()).expect("a time");
        });
        admit_at(&ordered, Marks::default(), later)
    };
    for phase in [Phase::Prepare, Phase::Activate] {
        let refusal = late(&grant(), phase);
        assert!(
            matches!(refusal, Err(Refusal::Expired { what: "grant", .. })),
            "{phase}: {refusal:?}"
        );
    }
    late(&grant(), Phase::Rollback).expect("a host can be put back");
    late(&grant(), Phase::Abort).expect("a deploy can be aborted");
    let refusal = late(&rollback_grant(), Phase::Rollback);
    assert!(
        matches!(refusal, Err(Refusal::Expired { .. })),
        "{refusal:?}"
    );
}

#[test]
fn a_grant_is_not_used_before_its_time() {
    let early = Grant {
        not_before: time("2026-11-21T12:30:00Z"),
        ..grant()
    };
    let refusal = admit(&ordered(&early, |_| {}));
    assert!(
        matches!(
            refusal,
            Err(Refusal::NotYetValid {
                what: "grant",
                ahead: 1800,
                ..
            })
        ),
        "{refusal:?}"
    );
}

/// The order has sequence 7 and epoch 3.
#[test]
fn what_was_seen_is_not_taken_again() {
    let ordered = ordered(&grant(), |_| {});
    for (sequence, epoch, expected) in [
        (0, 0, "taken"),
        (6, 3, "taken"),
        (7, 3, "repeated"),
        (8, 3, "repeated"),
        (6, 4, "stale"),
        (7, 4, "stale"),
    ] {
        let found = match admit_at(&ordered, Marks { sequence, epoch }, now()) {
            Ok(_) => "taken",
            Err(Refusal::Repeated { .. }) => "repeated",
            Err(Refusal::StaleEpoch { .. }) => "stale",
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "sequence {sequence}, epoch {epoch}");
    }
}

/// The skew is 30 s, and a minute beside it is for counting faster than the clock.
#[test]
fn nobody_raises_a_mark_far_above_the_time() {
    let (second, millisecond) = (
        now().as_second().unsigned_abs(),
        now().as_millisecond().unsigned_abs(),
    );
    for (sequence, epoch, beyond) in [
        (millisecond, second, None),
        (millisecond + 90_000, second + 90, None),
        (millisecond, second + 91, Some("epoch")),
        (millisecond + 90_001, second, Some("sequence")),
        (u64::MAX, 3, Some("sequence")),
        (7, u64::MAX, Some("epoch")),
    ] {
        let ordered = ordered(&grant(), |order| {
            order.sequence = sequence;
            order.epoch = epoch;
        });
        let found = match admit_at(&ordered, Marks::default(), now()) {
            Ok(_) => None,
            Err(Refusal::BeyondTime { what, .. }) => Some(what),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(found, beyond, "sequence {sequence}, epoch {epoch}");
    }
}

#[test]
fn once_taken_an_order_is_not_taken_again() {
    let ordered = ordered(&grant(), |_| {});
    let admitted = admit(&ordered).expect("admitted");
    let marks = Marks {
        sequence: 2,
        epoch: 9,
    }
    .raised_by(&admitted.order);
    assert_eq!(
        marks,
        Marks {
            sequence: 7,
            epoch: 9
        }
    );
    let marks = Marks::default().raised_by(&admitted.order);
    let again = admit_at(&ordered, marks, now());
    assert!(matches!(again, Err(Refusal::Repeated { .. })), "{again:?}");
}

#[test]
fn a_known_order_is_still_recognised_when_it_comes_late() {
    let ordered = ordered(&grant(), |_| {});
    let later = time("2026-11-22T12:00:00Z");
    let known = orders::authentic(&ordered, &host("web1"), &keyring(), &policy(), later);
    let known = known.expect("its signatures are still good");
    let timely = known.timely(Marks::default(), later, SignedDuration::ZERO);
    assert!(matches!(timely, Err(Refusal::Expired { .. })), "{timely:?}");
}
