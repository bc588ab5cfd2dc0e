//! What is said and noted of requests that nobody is known to have signed.

use github_stomp::strangers::{Line, NOTED_A_MINUTE, PAUSE, Strangers};
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn line(source: &str, count: u64, why: &str) -> Line {
    Line {
        source: source.to_owned(),
        count,
        why: why.to_owned(),
    }
}

#[test]
fn the_first_of_a_source_is_told_at_once_and_then_a_line_a_minute_with_their_number() {
    let pause = PAUSE.as_secs();
    let mut all = Strangers::default();
    let mut refused = |source: &str, why: &str, second: i64| all.refused(source, why, at(second));
    assert_eq!(refused("hub", "none", 0), Some(line("hub", 1, "none")));
    assert_eq!(refused("lab", "none", 1), Some(line("lab", 1, "none")));
    for second in 1..pause {
        assert_eq!(refused("hub", "none", second), None, "{second}");
    }
    assert_eq!(
        refused("hub", "wrong", pause),
        Some(line("hub", 60, "wrong"))
    );
    assert_eq!(refused("hub", "wrong", pause + 1), None);
    // A clock that was set back does not silence it.
    assert_eq!(refused("hub", "none", -pause), Some(line("hub", 2, "none")));
}

#[test]
fn what_came_after_a_line_is_told_in_the_end_though_nothing_more_comes() {
    let pause = PAUSE.as_secs();
    let mut all = Strangers::default();
    for second in 0..10 {
        all.refused("hub", "none", at(second));
    }
    all.refused("lab", "none", at(0));
    assert_eq!(all.due(at(pause - 1)), []);
    assert_eq!(all.due(at(pause)), [line("hub", 9, "none")]);
    assert_eq!(all.due(at(2 * pause)), []);
    all.refused("lab", "wrong", at(2 * pause));
    all.refused("lab", "none", at(2 * pause + 1));
    assert_eq!(all.rest(), [line("lab", 1, "none")]);
}

#[test]
fn so_many_are_noted_a_minute() {
    let mut all = Strangers::default();
    let mut noted = |second: i64| (0..200).filter(|_| all.may_note(at(second))).count();
    assert_eq!(noted(0), NOTED_A_MINUTE as usize);
    assert_eq!(noted(59), 0);
    assert_eq!(noted(60), NOTED_A_MINUTE as usize);
}
