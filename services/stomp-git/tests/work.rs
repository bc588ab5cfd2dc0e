//! How marks fold, and how failures wait.

use std::time::Duration;

use events::RepoName;
use stomp_git::work::{Done, FIRST_WAIT, Job, LONGEST_WAIT, Pace, Reason, Told, Work};

fn name(text: &str) -> RepoName {
    text.parse().unwrap()
}

/// Without splay, and with sweeps of 300 s.
fn pace(parallel: usize) -> Pace {
    Pace {
        parallel,
        sweep: at(300),
        splay: Duration::ZERO,
        back: at(10),
    }
}

fn work(names: &[&str], parallel: usize) -> Work {
    let names = names.iter().copied().map(name).collect();
    Work::new(names, pace(parallel), || 0.5)
}

const START: Duration = Duration::ZERO;
/// When the slow timer comes first.
const SWEEP: Duration = Duration::from_secs(300);
/// The longest wait, so that expected times are exact.
const WHOLE: f64 = 1.0;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn good(job: &Job) -> Done {
    Done {
        repository: job.repository.clone(),
        good: true,
        told: Some(Told::default()),
    }
}

fn bad(job: &Job) -> Done {
    Done {
        good: false,
        told: None,
        ..good(job)
    }
}

/// The name and reason of the next look.
fn next(work: &mut Work, now: Duration) -> Option<(String, Reason)> {
    let job = work.next(now)?;
    Some((job.repository.to_string(), job.reason))
}

#[test]
fn everything_is_looked_at_at_the_start_a_few_at_once() {
    let mut work = work(&["a", "b", "c"], 2);
    let first = work.next(START).unwrap();
    assert_eq!(
        (first.repository.as_str(), first.reason),
        ("a", Reason::Sweep)
    );
    assert!(work.next(START).is_some());
    assert_eq!(work.next(START), None, "no room");
    assert_eq!(work.due(), Some(SWEEP));
    work.ended(good(&first), at(1), WHOLE);
    assert_eq!(
        next(&mut work, at(1)),
        Some(("c".to_owned(), Reason::Sweep))
    );
}

#[test]
fn a_burst_of_pushes_folds_into_one_look() {
    let mut work = work(&["shop"], 2);
    let first = work.next(START).unwrap();
    work.ended(good(&first), at(1), WHOLE);
    assert_eq!(work.next(at(1)), None);
    for _ in 0..100 {
        work.hint(&name("shop"), at(2), 0.0);
    }
    let look = work.next(at(2)).unwrap();
    assert_eq!(look.reason, Reason::Hint);
    work.ended(good(&look), at(3), WHOLE);
    assert_eq!((work.next(at(3)), work.due()), (None, Some(SWEEP)));
}

#[test]
fn pushes_during_a_look_bring_one_more_after_it() {
    let mut work = work(&["shop"], 2);
    let first = work.next(START).unwrap();
    work.hint(&name("shop"), at(1), 0.0);
    work.hint(&name("shop"), at(2), 0.0);
    assert_eq!(
        (work.next(at(2)), work.due()),
        (None, Some(SWEEP)),
        "never two at once"
    );
    work.ended(good(&first), at(3), WHOLE);
    let second = work.next(at(3)).unwrap();
    assert_eq!(second.reason, Reason::Hint);
    work.ended(good(&second), at(4), WHOLE);
    assert_eq!(work.next(at(4)), None);
}

#[test]
fn a_failed_look_comes_again_later_each_time_and_counts() {
    let never = Pace {
        sweep: at(1_000_000),
        ..pace(1)
    };
    let mut work = Work::new(vec![name("shop")], never, || 0.5);
    let mut now = START;
    let mut waits = Vec::new();
    for failed in 0..9 {
        let job = work.next(now).unwrap();
        assert_eq!(job.failed, failed);
        work.ended(bad(&job), now, WHOLE);
        let due = work.due().unwrap();
        assert_eq!(work.next(due - Duration::from_millis(1)), None);
        waits.push((due - now).as_secs());
        now = due;
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert_eq!((FIRST_WAIT.as_secs(), LONGEST_WAIT.as_secs()), (5, 300));
    assert_eq!(work.failing().collect::<Vec<_>>(), [&name("shop")]);
    let job = work.next(now).unwrap();
    work.ended(good(&job), now, WHOLE);
    assert_eq!(work.failing().count(), 0);
    work.hint(&name("shop"), now, 0.0);
    assert_eq!(work.next(now).unwrap().failed, 0, "the streak is over");
}

#[test]
fn a_wait_is_at_least_half_of_the_whole() {
    let mut work = work(&["shop"], 1);
    let job = work.next(START).unwrap();
    work.ended(bad(&job), START, 0.0);
    assert_eq!(work.due(), Some(FIRST_WAIT / 2));
}

#[test]
fn a_push_ends_the_wait_after_a_failure_and_the_slow_timer_does_not() {
    let mut work = work(&["shop"], 1);
    for _ in 0..10 {
        let job = work.next(START).unwrap();
        work.hint(&name("shop"), START, 0.0);
        work.ended(bad(&job), START, WHOLE);
    }
    let job = work.next(START).unwrap();
    work.ended(bad(&job), at(250), WHOLE);
    work.tick(SWEEP, || 0.5);
    assert_eq!((work.next(SWEEP), work.due()), (None, Some(at(550))));
    work.hint(&name("shop"), at(301), 0.0);
    assert_eq!(work.next(at(301)).unwrap().failed, 11);
}

#[test]
fn soon_after_the_bus_is_back_everything_is_looked_at_whatever_it_waits_for() {
    for under_way in [false, true] {
        let mut work = work(&["good", "shop"], 2);
        let looks = [work.next(START).unwrap(), work.next(START).unwrap()];
        work.ended(good(&looks[0]), START, WHOLE);
        let mut job = looks[1].clone();
        for _ in 0..10 {
            work.hint(&name("shop"), START, 0.0);
            work.ended(bad(&job), START, WHOLE);
            job = work.next(START).unwrap();
        }
        if under_way {
            work.back(at(1), || 0.5);
            work.ended(bad(&job), at(2), WHOLE);
        } else {
            work.ended(bad(&job), START, WHOLE);
            work.back(at(1), || 0.5);
        }
        work.tick(at(5), || 0.5);
        assert_eq!((work.next(at(5)), work.due()), (None, Some(at(6))));
        work.tick(at(6), || 0.5);
        let mut looks = [next(&mut work, at(6)), next(&mut work, at(6))];
        looks.sort();
        let sweep = |name: &str| Some((name.to_owned(), Reason::Sweep));
        assert_eq!(looks, [sweep("good"), sweep("shop")], "{under_way}");
    }
}

#[test]
fn a_push_during_a_look_that_fails_ends_its_wait_too() {
    let mut work = work(&["shop"], 1);
    let job = work.next(START).unwrap();
    work.hint(&name("shop"), START, 0.0);
    work.ended(bad(&job), at(1), WHOLE);
    let job = work.next(at(1)).unwrap();
    assert_eq!(job.failed, 1);
    work.ended(bad(&job), at(1), WHOLE);
    assert_eq!(work.due(), Some(at(11)), "once per push");
}

#[test]
fn a_push_does_not_make_a_sweep_quiet() {
    let mut work = work(&["shop"], 1);
    let job = work.next(START).unwrap();
    work.ended(good(&job), START, WHOLE);
    work.back(at(1), || 0.0);
    work.tick(at(1), || 0.5);
    work.hint(&name("shop"), at(1), 0.0);
    assert_eq!(
        next(&mut work, at(1)),
        Some(("shop".to_owned(), Reason::Sweep))
    );
}

#[test]
fn the_one_that_waits_longest_goes_first() {
    let mut work = work(&["a", "b"], 1);
    let a = work.next(START).unwrap();
    work.ended(good(&a), at(1), WHOLE);
    work.hint(&name("a"), at(1), 0.0);
    let b = work.next(at(2)).unwrap();
    assert_eq!(b.repository, name("b"), "a was just looked at");
}

#[test]
fn what_was_said_is_known_at_the_next_look() {
    let mut work = work(&["shop"], 1);
    let job = work.next(START).unwrap();
    assert_eq!(job.told, Told::default());
    let told = Told {
        unsaid: true,
        ..Told::default()
    };
    let done = Done {
        told: Some(told.clone()),
        ..good(&job)
    };
    work.ended(done, at(1), WHOLE);
    work.hint(&name("shop"), at(2), 0.0);
    let job = work.next(at(2)).unwrap();
    assert_eq!(job.told, told);
    work.ended(bad(&job), at(3), WHOLE);
    assert_eq!(
        work.next(at(60)).unwrap().told,
        told,
        "a failure forgets nothing"
    );
}

#[test]
fn a_push_to_something_that_is_not_here_changes_nothing() {
    let mut work = work(&[], 1);
    work.hint(&name("shop"), START, 0.0);
    assert_eq!((work.next(START), work.due()), (None, None));
}

#[test]
fn a_fleet_is_spread_at_the_start_after_pushes_and_after_the_bus_was_away() {
    let spread = Pace {
        splay: at(20),
        ..pace(1)
    };
    let mut work = Work::new(vec![name("shop")], spread, || 0.5);
    assert_eq!((work.next(at(9)), work.due()), (None, Some(at(10))));
    let job = work.next(at(10)).unwrap();
    work.ended(good(&job), at(11), WHOLE);
    work.hint(&name("shop"), at(20), 0.25);
    work.hint(&name("shop"), at(21), 1.0);
    assert_eq!(work.due(), Some(at(25)), "the first push counts");
    let job = work.next(at(25)).unwrap();
    work.ended(good(&job), at(26), WHOLE);
    work.back(at(30), || 0.75);
    assert_eq!(
        work.due(),
        Some(at(45)),
        "within the longer of 10 s and the splay"
    );
}

#[test]
fn each_mirror_has_its_own_time_on_the_slow_timer() {
    let mut chances = [0.0, 0.0, 0.0, 1.0].into_iter();
    let names = vec![name("a"), name("b")];
    let mut work = Work::new(names, pace(2), || chances.next().unwrap());
    for _ in 0..2 {
        let job = work.next(START).unwrap();
        work.ended(good(&job), START, WHOLE);
    }
    assert_eq!(work.due(), Some(at(225)), "three quarters");
    work.tick(at(225), || 0.5);
    assert_eq!(
        next(&mut work, at(225)),
        Some(("a".to_owned(), Reason::Sweep))
    );
    assert_eq!(work.next(at(225)), None);
    work.tick(at(375), || 0.5);
    assert_eq!(
        next(&mut work, at(375)),
        Some(("b".to_owned(), Reason::Sweep))
    );
}
