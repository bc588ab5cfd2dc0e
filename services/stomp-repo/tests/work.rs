//! When which source is looked at.

use std::{collections::BTreeMap, time::Duration};

use events::AptSource;
use stomp_repo::{
    plan::{AptName, Want},
    work::{Done, Ending, Job, MOST_WANTS, Pace, Reason, Work},
};

const PACE: Pace = Pace {
    sweep: Duration::from_secs(3600),
    splay: Duration::from_secs(30),
    retry: Duration::from_secs(10),
    lag_tries: 8,
};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn acme() -> AptSource {
    "acme.sources".parse().unwrap()
}

fn name(text: &str) -> AptName {
    AptName {
        name: text.parse().unwrap(),
        architecture: None,
    }
}

fn wants(packages: &[(&str, &str)]) -> BTreeMap<AptName, Want> {
    let want = |(package, version): &(&str, &str)| {
        let want = Want {
            version: version.parse().unwrap(),
            compared: version.parse().unwrap(),
            upcoming: false,
            repository: "acme".parse().unwrap(),
            tries: 0,
        };
        (name(package), want)
    };
    packages.iter().map(want).collect()
}

fn done(job: Job, ending: Ending) -> Done {
    Done { job, ending }
}

/// One source whose first look is over, at 100 s.
fn settled() -> Work {
    let mut work = Work::new([acme()], PACE);
    work.sweep(s(0), || 0.0);
    let job = work.next(s(0)).unwrap();
    work.ended(done(job, Ending::Looked), s(1), 1.0);
    assert_eq!(work.due(), None);
    work
}

/// What a job asks for, as `package version`.
fn asked(job: &Job) -> Vec<String> {
    let wants = job.wants.iter();
    wants
        .map(|(name, want)| format!("{name} {}", want.version))
        .collect()
}

#[test]
fn at_the_start_each_source_is_looked_at_within_the_splay() {
    let mut work = Work::new([acme(), "b.list".parse().unwrap()], PACE);
    let mut chances = [0.5, 0.1].into_iter();
    work.sweep(s(0), || chances.next().unwrap());
    assert_eq!(work.next(s(2)), None);
    let first = work.next(s(3)).unwrap();
    assert_eq!(
        (first.source.as_str(), first.reason),
        ("b.list", Reason::Sweep)
    );
    assert_eq!(work.next(s(20)), None, "one at a time: apt has one lock");
    assert_eq!(work.due(), None);
    work.ended(done(first, Ending::Looked), s(21), 0.0);
    assert_eq!(work.next(s(21)).unwrap().source, acme());
}

#[test]
fn many_hints_within_the_splay_are_one_look_for_the_highest_versions() {
    let mut work = settled();
    work.hint(
        &acme(),
        Reason::Hint,
        wants(&[("shop", "1.9")]),
        s(100),
        1.0,
    );
    assert_eq!(work.due(), Some(s(130)));
    work.hint(
        &acme(),
        Reason::Hint,
        wants(&[("shop", "1.10"), ("api", "2")]),
        s(101),
        0.5,
    );
    work.hint(
        &acme(),
        Reason::Hint,
        wants(&[("shop", "1.10~rc1")]),
        s(102),
        1.0,
    );
    assert_eq!(work.due(), Some(s(116)), "the earliest of their times");
    let job = work.next(s(116)).unwrap();
    assert_eq!(
        (job.reason, asked(&job)),
        (
            Reason::Hint,
            vec!["api 2".to_owned(), "shop 1.10".to_owned()]
        )
    );
    assert_eq!(work.due(), None);
}

#[test]
fn a_hint_during_a_look_brings_one_more() {
    let mut work = settled();
    work.hint(&acme(), Reason::Hint, wants(&[("shop", "1")]), s(100), 0.0);
    let mut job = work.next(s(100)).unwrap();
    work.hint(&acme(), Reason::Hint, wants(&[("shop", "2")]), s(101), 0.0);
    job.wants.clear();
    work.ended(done(job, Ending::Looked), s(105), 1.0);
    assert_eq!(asked(&work.next(s(105)).unwrap()), ["shop 2"]);
}

#[test]
fn a_mirror_that_lags_is_asked_again_later_each_time() {
    let mut work = settled();
    work.hint(&acme(), Reason::Hint, wants(&[("shop", "1")]), s(100), 0.0);
    let mut now = s(100);
    let mut waits = Vec::new();
    for tries in 1..=7 {
        let mut job = work.next(now).unwrap();
        job.wants.get_mut(&name("shop")).unwrap().tries = tries;
        work.ended(done(job, Ending::Looked), now, 1.0);
        let due = work.due().unwrap();
        waits.push((due - now).as_secs());
        now = due;
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
    let mut job = work.next(now).unwrap();
    job.wants.clear();
    work.ended(done(job, Ending::Looked), now, 1.0);
    assert_eq!(work.due(), None, "given up, or there");
}

#[test]
fn a_failure_keeps_what_was_wanted_and_refreshes_in_any_case_next_time() {
    let mut work = settled();
    work.hint(&acme(), Reason::Hint, wants(&[("shop", "1")]), s(100), 0.0);
    let job = work.next(s(100)).unwrap();
    work.ended(done(job, Ending::Failed), s(110), 1.0);
    assert_eq!(work.failing().count(), 1);
    assert_eq!(work.due(), Some(s(120)));
    let job = work.next(s(120)).unwrap();
    assert_eq!(
        (job.reason, job.failed, asked(&job)),
        (Reason::Sweep, 1, vec!["shop 1".to_owned()])
    );
    work.ended(done(job, Ending::Failed), s(121), 0.0);
    assert_eq!(
        work.due(),
        Some(s(131)),
        "twice as long, and half of that by chance"
    );
    work.hint(&acme(), Reason::Hint, wants(&[("shop", "2")]), s(122), 0.0);
    let mut job = work.next(s(122)).unwrap();
    assert_eq!(
        (job.failed, asked(&job)),
        (2, vec!["shop 2".to_owned()]),
        "a hint ends the wait"
    );
    job.wants.clear();
    work.ended(done(job, Ending::Looked), s(123), 0.0);
    assert_eq!((work.failing().count(), work.due()), (0, None));
}

#[test]
fn another_apt_is_waited_for_and_is_no_failure() {
    let mut work = settled();
    work.hint(&acme(), Reason::Hint, wants(&[("shop", "1")]), s(100), 0.0);
    let mut now = s(100);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let job = work.next(now).unwrap();
        assert_eq!(job.reason, Reason::Hint);
        work.ended(done(job, Ending::Busy), now, 1.0);
        let due = work.due().unwrap();
        waits.push((due - now).as_secs());
        now = due;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(work.failing().count(), 0);
}

#[test]
fn what_is_wanted_is_bounded_and_then_the_source_is_refreshed_in_any_case() {
    let mut work = settled();
    let names: Vec<String> = (0..2 * MOST_WANTS).map(|n| format!("p{n:04}")).collect();
    let packages: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    work.hint(&acme(), Reason::Hint, wants(&packages), s(100), 0.0);
    assert_eq!(work.awaited(), MOST_WANTS);
    let job = work.next(s(100)).unwrap();
    assert_eq!((job.reason, job.wants.len()), (Reason::Sweep, MOST_WANTS));
}

#[test]
fn sweeps_come_at_other_times_on_each_host() {
    let work = settled();
    assert_eq!(work.sweep_after(s(100), 0.0), s(2800));
    assert_eq!(work.sweep_after(s(100), 1.0), s(4600));
    assert_eq!(work.sweep_when_back(s(100), 0.5), s(115));
}

#[test]
fn a_source_that_is_not_watched_is_not_marked() {
    let mut work = settled();
    work.hint(
        &"other.list".parse().unwrap(),
        Reason::Hint,
        wants(&[("shop", "1")]),
        s(100),
        0.0,
    );
    assert_eq!(work.due(), None);
}
