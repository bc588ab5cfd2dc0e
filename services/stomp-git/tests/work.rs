//! How marks fold, and how failures wait.

use std::time::Duration;

use events::RepoName;
use stomp_git::work::{Done, FIRST_WAIT, Job, LONGEST_WAIT, Reason, Told, Work};

fn name(text: &str) -> RepoName {
    text.parse().unwrap()
}

fn work(names: &[&str], parallel: usize) -> Work {
    Work::new(names.iter().copied().map(name).collect(), parallel)
}

const START: Duration = Duration::ZERO;
/// The longest wait, so that expected times are exact.
const WHOLE: f64 = 1.0;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn good(job: &Job) -> Done {
    Done {
        repository: job.repository.clone(),
        told: Some(Told::default()),
    }
}

fn bad(job: &Job) -> Done {
    Done {
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
    assert_eq!(work.due(), None);
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
        work.hint(&name("shop"), at(2));
    }
    let look = work.next(at(2)).unwrap();
    assert_eq!(look.reason, Reason::Hint);
    work.ended(good(&look), at(3), WHOLE);
    assert_eq!((work.next(at(3)), work.due()), (None, None));
}

#[test]
fn pushes_during_a_look_bring_one_more_after_it() {
    let mut work = work(&["shop"], 2);
    let first = work.next(START).unwrap();
    work.hint(&name("shop"), at(1));
    work.hint(&name("shop"), at(2));
    assert_eq!(
        (work.next(at(2)), work.due()),
        (None, None),
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
    let mut work = work(&["shop"], 1);
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
    work.hint(&name("shop"), now);
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
fn a_push_ends_the_wait_after_a_failure_and_a_sweep_does_not() {
    let mut work = work(&["shop"], 1);
    let job = work.next(START).unwrap();
    work.ended(bad(&job), START, WHOLE);
    work.sweep(at(1));
    assert_eq!((work.next(at(1)), work.due()), (None, Some(at(5))));
    work.hint(&name("shop"), at(2));
    assert_eq!(work.next(at(2)).unwrap().failed, 1);
}

#[test]
fn a_push_during_a_look_that_fails_ends_its_wait_too() {
    let mut work = work(&["shop"], 1);
    let job = work.next(START).unwrap();
    work.hint(&name("shop"), START);
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
    work.sweep(at(1));
    work.hint(&name("shop"), at(1));
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
    work.hint(&name("a"), at(1));
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
    work.hint(&name("shop"), at(2));
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
    work.hint(&name("shop"), START);
    assert_eq!((work.next(START), work.due()), (None, None));
}
