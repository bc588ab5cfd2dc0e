//! What CI said, and what follows from it.

use std::collections::BTreeSet;

use deploy_orchestrator::ci::{Ci, Commit, Keep, Said};
use events::{
    JobName, RepoName,
    message::{BuildResult, Built, Verdict},
};
use jiff::SignedDuration;

use crate::support::{at, commit};

fn shop() -> RepoName {
    "shop".parse().expect("a repository")
}

fn build(word: &str, job: &str, number: u64) -> Built {
    Built {
        repository: shop(),
        name: None,
        commit: commit(word),
        project: None,
        job: job.parse().expect("a job"),
        number,
        url: None,
    }
}

fn jobs(names: &[&str]) -> BTreeSet<JobName> {
    names
        .iter()
        .map(|name| name.parse().expect("a job"))
        .collect()
}

const GOOD: Said = Said::Succeeded;
const BAD: Said = Said::Failed(BuildResult::Unstable);
const BEGAN: Said = Said::Started;

/// What was said of builds of which jobs, the jobs that count, the verdict.
type Case<'a> = (&'a [(&'a str, u64, Said)], &'a [&'a str], Verdict);

#[test]
fn a_commit_is_good_if_the_newest_result_of_every_job_that_counts_is_a_success() {
    let table: [Case<'_>; 17] = [
        (&[], &[], Verdict::Unknown),
        (&[("a", 1, GOOD)], &[], Verdict::Good),
        (&[("a", 1, BAD)], &[], Verdict::Bad),
        (&[("a", 1, BEGAN)], &[], Verdict::Building),
        (&[("a", 1, BEGAN), ("a", 1, GOOD)], &[], Verdict::Good),
        // A second build counts, whichever way it goes.
        (&[("a", 1, BAD), ("a", 2, GOOD)], &[], Verdict::Good),
        (&[("a", 1, GOOD), ("a", 2, BAD)], &[], Verdict::Bad),
        // While it runs, the result before still holds.
        (&[("a", 1, GOOD), ("a", 2, BEGAN)], &[], Verdict::Good),
        // Told late: the build with the higher number counts.
        (&[("a", 2, GOOD), ("a", 1, BAD)], &[], Verdict::Good),
        // Two tell of one build, one of them late.
        (&[("a", 1, GOOD), ("a", 1, BEGAN)], &[], Verdict::Good),
        // Several jobs.
        (&[("a", 1, GOOD), ("b", 1, BAD)], &[], Verdict::Bad),
        (&[("a", 1, GOOD), ("b", 1, BEGAN)], &[], Verdict::Building),
        (&[("a", 1, GOOD), ("b", 1, GOOD)], &[], Verdict::Good),
        // Only some count.
        (&[("a", 1, GOOD), ("b", 1, BAD)], &["a"], Verdict::Good),
        (&[("a", 1, GOOD)], &["a", "b"], Verdict::Building),
        (&[("c", 1, GOOD)], &["a"], Verdict::Unknown),
        (&[("a", 1, BAD)], &["a", "b"], Verdict::Bad),
    ];
    for (said, counted, expected) in table {
        let mut ci = Ci::default();
        for (time, (job, number, what)) in (1..).zip(said) {
            ci.heard(
                &shop(),
                &build("v1", job, *number),
                *what,
                at(time),
                &jobs(&[]),
            );
        }
        let verdict = ci.verdict(&shop(), &commit("v1"), &jobs(counted));
        assert_eq!(verdict, expected, "{said:?}, {counted:?}");
    }
}

#[test]
fn of_two_results_of_one_build_the_later_word_counts_in_whatever_order_they_come() {
    for turned in [false, true] {
        let mut told = [(BAD, 1), (GOOD, 2)];
        if turned {
            told.reverse();
        }
        let mut ci = Ci::default();
        for (said, time) in told {
            ci.heard(&shop(), &build("v1", "a", 1), said, at(time), &jobs(&[]));
        }
        let verdict = ci.verdict(&shop(), &commit("v1"), &jobs(&[]));
        assert_eq!(verdict, Verdict::Good, "turned: {turned}");
    }
}

#[test]
fn a_verdict_is_of_one_commit_of_one_repository() {
    let mut ci = Ci::default();
    ci.heard(&shop(), &build("v1", "a", 1), GOOD, at(1), &jobs(&[]));
    let other: RepoName = "desk".parse().expect("a repository");
    assert_eq!(
        ci.verdict(&shop(), &commit("v2"), &jobs(&[])),
        Verdict::Unknown
    );
    assert_eq!(
        ci.verdict(&other, &commit("v1"), &jobs(&[])),
        Verdict::Unknown
    );
}

#[test]
fn what_comes_twice_changes_nothing() {
    let mut ci = Ci::default();
    assert!(ci.heard(&shop(), &build("v1", "a", 1), GOOD, at(1), &jobs(&[])));
    assert!(!ci.heard(&shop(), &build("v1", "a", 1), GOOD, at(1), &jobs(&[])));
}

#[test]
fn what_is_old_or_too_much_is_forgotten_the_oldest_first() {
    let mut ci = Ci::default();
    for (word, time) in [("v1", 1), ("v2", 50), ("v3", 90), ("v4", 99)] {
        ci.heard(&shop(), &build(word, "a", 1), GOOD, at(time), &jobs(&[]));
    }
    let keep = Keep {
        commits: 2,
        time: SignedDuration::from_secs(60),
    };
    let mut gone = ci.forget(at(100), keep);
    gone.sort();
    let mut expected = [(shop(), commit("v1")), (shop(), commit("v2"))];
    expected.sort();
    assert_eq!(gone, expected);
    assert_eq!(ci.forget(at(100), keep), []);
    assert_eq!(
        ci.verdict(&shop(), &commit("v4"), &jobs(&[])),
        Verdict::Good
    );
}

#[test]
fn of_more_jobs_than_are_kept_nobody_says_that_they_are_good() {
    let named = jobs(&["zz"]);
    let mut ci = Ci::default();
    for n in 0..50 {
        ci.heard(
            &shop(),
            &build("v1", &format!("job{n}"), 1),
            GOOD,
            at(1),
            &named,
        );
    }
    let verdict = |ci: &Ci, of: &[&str]| ci.verdict(&shop(), &commit("v1"), &jobs(of));
    assert_eq!(verdict(&ci, &[]), Verdict::Good, "50 are kept");
    for (said, different) in [(BAD, true), (GOOD, false)] {
        let more = build("v1", "one-more", 1);
        assert_eq!(ci.heard(&shop(), &more, said, at(2), &named), different);
        assert_eq!(verdict(&ci, &[]), Verdict::Unknown, "{said:?}");
    }
    let kept = ci.commit(&shop(), &commit("v1")).expect("it is kept");
    let why = deploy_orchestrator::texts::ci::not_good(&commit("v1"), Some(kept), &jobs(&[]));
    assert!(why.contains("more than 50 jobs"), "{why}");
    let stored = serde_json::to_value(kept).expect("JSON");
    let loaded: Commit = serde_json::from_value(stored).expect("a commit");
    assert_eq!(loaded, *kept, "that outlasts the process");
    // Those that the settings name are kept, however many others there are.
    assert_eq!(verdict(&ci, &["zz"]), Verdict::Unknown);
    assert!(ci.heard(&shop(), &build("v1", "zz", 1), BAD, at(3), &named));
    assert_eq!(verdict(&ci, &["zz"]), Verdict::Bad);
    assert_eq!(verdict(&ci, &[]), Verdict::Bad);
    assert!(ci.heard(&shop(), &build("v1", "zz", 2), GOOD, at(4), &named));
    assert_eq!(verdict(&ci, &["zz"]), Verdict::Good);
}

#[test]
fn jobs_of_a_commit_and_repositories_that_nobody_names_are_bounded() {
    let mut ci = Ci::default();
    for n in 0..1000 {
        ci.heard(
            &shop(),
            &build("v1", &format!("job{n}"), 1),
            GOOD,
            at(1),
            &jobs(&[]),
        );
    }
    let kept = ci.commit(&shop(), &commit("v1")).expect("it is kept");
    assert_eq!(kept.jobs.len(), 50);
    let named = BTreeSet::new();
    let mut taken = 0;
    for n in 0..1000 {
        let other: RepoName = format!("r{n}").parse().expect("a repository");
        if ci.has_room_for(&other, &named) {
            ci.heard(&other, &build("v1", "a", 1), GOOD, at(1), &jobs(&[]));
            taken += 1;
        }
    }
    assert_eq!(taken, 99, "with shop, 100");
    let named = "named".parse().expect("a repository");
    assert!(ci.has_room_for(&named, &BTreeSet::from([&named])));
}
