//! A build from the wish to its end, without Jenkins, bus, clock or disk.

use std::{collections::BTreeMap, time::Duration};

use events::message::BuildResult;
use jenkins::{Build, Found, Item, Outcome, Trouble};
use jiff::{SignedDuration, Timestamp};
use stomp_jenkins::{
    follow::{Ask, End, Followed, Next, Said, Stage, Step, Tell},
    plan::Wanted,
    settings::Limits,
};

const COMMIT: &str = "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";
const OTHER: &str = "2f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";

const LIMITS: Limits = Limits {
    trigger: Duration::from_secs(60),
    queue: Duration::from_secs(600),
    build: Duration::from_secs(6000),
    again: 1,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_795_262_301 + seconds)
}

fn followed() -> Followed {
    let wanted = Wanted {
        id: "abc".to_owned(),
        repository: "shop".parse().unwrap(),
        name: "refs/heads/main".parse().unwrap(),
        commit: COMMIT.parse().unwrap(),
        project: None,
        job: "backend/shop".parse().unwrap(),
        parameters: BTreeMap::new(),
        unstable_is_good: false,
    };
    Followed::new(wanted, at(0))
}

fn in_stage(stage: Stage) -> Followed {
    Followed {
        stage,
        ..followed()
    }
}

fn build(commits: &[&str], took: Option<&str>, outcome: Option<Outcome>) -> Said {
    let parameter = |commit: &str| ("DEPLOYKIT_COMMIT".to_owned(), commit.to_owned());
    Said::Build(Build {
        number: 7,
        outcome,
        url: None,
        queue_item: Some(3),
        scheduled_ms: 0,
        parameters: took.map(parameter).into_iter().collect(),
        commits: commits.iter().map(|it| it.parse().unwrap()).collect(),
    })
}

/// The words of what is told, and whether it is an alarm.
fn told(step: &Step) -> (Vec<&'static str>, bool) {
    let word = |tell: &Tell| match tell {
        Tell::Started(_) => "started",
        Tell::Succeeded(_) => "succeeded",
        Tell::Failed(_) => "failed",
    };
    let alarm = step.line.as_ref().is_some_and(|(_, alarm)| *alarm);
    (step.tell.iter().map(word).collect(), alarm)
}

#[test]
fn the_good_way() {
    let mut it = followed();
    assert_eq!(it.ask(), Some(Ask::Trigger));
    it = it.triggering();
    assert_eq!(
        it.ask(),
        Some(Ask::Find(None)),
        "after a crash here it is looked for"
    );
    let step = it.hear(Said::Item(3), at(1), &LIMITS);
    assert_eq!((it.ask(), step.next), (Some(Ask::Item(3)), Next::Soon));
    let why = "Waiting for next available executor".to_owned();
    let step = it.hear(
        Said::Queue(Item::Waiting { why, stuck: false }),
        at(2),
        &LIMITS,
    );
    assert_eq!((step.next, step.line), (Next::Soon, None));
    let step = it.hear(Said::Queue(Item::Started(7)), at(3), &LIMITS);
    assert_eq!((it.ask(), step.next), (Some(Ask::Build(7)), Next::Now));
    let step = it.hear(build(&[], None, None), at(4), &LIMITS);
    assert_eq!(
        told(&step),
        (vec![], false),
        "what it builds is not known yet"
    );
    let step = it.hear(build(&[COMMIT], None, None), at(5), &LIMITS);
    assert_eq!(told(&step), (vec!["started"], false));
    let step = it.hear(build(&[COMMIT], None, None), at(6), &LIMITS);
    assert_eq!(told(&step), (vec![], false), "told once");
    let step = it.hear(
        build(&[COMMIT], None, Some(Outcome::Success)),
        at(7),
        &LIMITS,
    );
    assert_eq!(told(&step), (vec!["succeeded"], false));
    assert_eq!((it.ask(), step.next), (None, Next::Never));
}

#[test]
fn each_outcome_has_its_message_and_only_verdicts_end_the_matter() {
    let table = [
        (Outcome::Success, false, End::Good, true),
        (Outcome::Unstable, true, End::Good, true),
        (
            Outcome::Unstable,
            false,
            End::Bad(BuildResult::Unstable),
            true,
        ),
        (Outcome::Failure, true, End::Bad(BuildResult::Failure), true),
        (
            Outcome::NotBuilt,
            false,
            End::Bad(BuildResult::NotBuilt),
            false,
        ),
        (
            Outcome::Aborted,
            false,
            End::Bad(BuildResult::Aborted),
            false,
        ),
    ];
    for (outcome, unstable_is_good, how, verdict) in table {
        let mut it = in_stage(Stage::Building { number: 7 });
        it.wanted.unstable_is_good = unstable_is_good;
        let step = it.hear(build(&[COMMIT], None, Some(outcome)), at(1), &LIMITS);
        let word = if how == End::Good {
            "succeeded"
        } else {
            "failed"
        };
        assert_eq!(told(&step), (vec!["started", word], false), "{outcome:?}");
        assert_eq!(how.is_verdict(), verdict, "{outcome:?}");
        assert_eq!(it.stage, Stage::Ended { how });
    }
}

#[test]
fn a_verdict_is_only_about_what_jenkins_says_it_built() {
    let ended = |commits: &[&str], took: Option<&str>| {
        let mut it = in_stage(Stage::Building { number: 7 });
        let step = it.hear(build(commits, took, Some(Outcome::Success)), at(1), &LIMITS);
        (told(&step), it.stage)
    };
    let good = (vec!["started", "succeeded"], false);
    assert_eq!(ended(&[OTHER, COMMIT], None).0, good, "a library beside it");
    assert_eq!(
        ended(&[], Some(COMMIT)).0,
        good,
        "the job took the parameter"
    );
    let (told, stage) = ended(&[OTHER], Some(COMMIT));
    assert_eq!(told, (vec![], true), "told one thing, checked out another");
    assert_eq!(
        stage,
        Stage::Ended {
            how: End::Other(OTHER.parse().unwrap())
        }
    );
    let (told, stage) = ended(&[], None);
    assert_eq!(told, (vec![], true));
    assert!(
        matches!(
            stage,
            Stage::Ended {
                how: End::GivenUp(_)
            }
        ),
        "{stage:?}"
    );
}

#[test]
fn a_trigger_that_may_have_arrived_is_looked_for_and_one_that_has_not_is_sent_again() {
    let table = [
        (Trouble::Unreachable("x".to_owned()), Ask::Trigger),
        (Trouble::Login, Ask::Trigger),
        (Trouble::Missing, Ask::Trigger),
        (Trouble::Broken("x".to_owned()), Ask::Find(None)),
        (
            Trouble::NotReady {
                status: 502,
                after: None,
            },
            Ask::Find(None),
        ),
        (Trouble::NotQueued(302), Ask::Find(None)),
    ];
    for (trouble, next) in table {
        let mut it = followed().triggering();
        it.hear(Said::NotTriggered(trouble.clone()), at(1), &LIMITS);
        assert_eq!(it.ask(), Some(next), "{trouble:?}");
    }
    let mut it = followed().triggering();
    it.hear(
        Said::Trouble(Trouble::Unreachable("x".to_owned())),
        at(1),
        &LIMITS,
    );
    assert_eq!(
        it.ask(),
        Some(Ask::Find(None)),
        "the search failed, the question is open"
    );
    it.hear(Said::Found(None), at(2), &LIMITS);
    assert_eq!(it.ask(), Some(Ask::Trigger));
    let mut it = followed().triggering();
    it.hear(Said::Found(Some(Found::Build(7))), at(2), &LIMITS);
    assert_eq!(it.ask(), Some(Ask::Build(7)));
}

#[test]
fn a_trigger_that_never_arrives_is_told_once_and_is_no_news() {
    let mut it = followed();
    for round in 0..5 {
        let stage = it.stage.clone();
        it = it.triggering();
        let step = it.hear(Said::NotTriggered(Trouble::NotQueued(302)), at(1), &LIMITS);
        assert_eq!(told(&step).1, round == 0, "round {round}");
        let step = it.hear(Said::Found(None), at(2), &LIMITS);
        assert_eq!((told(&step).1, it.ask()), (false, Some(Ask::Trigger)));
        assert!(!it.stage.is_news_after(&stage));
    }
    it = it.triggering();
    let stage = it.stage.clone();
    it.hear(Said::Item(3), at(3), &LIMITS);
    assert!(it.stage.is_news_after(&stage));
    assert!(!it.alarmed, "it is well again");
}

#[test]
fn each_round_of_a_commit_is_found_by_a_mark_of_its_own() {
    let first = followed();
    let second = Followed::new(first.wanted.clone(), at(1));
    assert_ne!(first.mark(), second.mark());
    assert_eq!(first.wanted.parameters["DEPLOYKIT_ID"], first.mark());
    assert!(first.mark().starts_with("abc-"));
}

#[test]
fn what_vanishes_is_looked_for_then_triggered_again_so_often_and_then_given_up() {
    for stage in [Stage::Queued { item: 3 }, Stage::Building { number: 7 }] {
        let item = if stage == (Stage::Queued { item: 3 }) {
            Some(3)
        } else {
            None
        };
        let mut it = in_stage(stage.clone());
        it.hear(Said::Trouble(Trouble::Missing), at(1), &LIMITS);
        assert_eq!(it.ask(), Some(Ask::Find(item)));
        let mut found = it.clone();
        found.hear(Said::Found(Some(Found::Build(8))), at(2), &LIMITS);
        assert_eq!(found.ask(), Some(Ask::Build(8)));
        it.hear(Said::Found(None), at(2), &LIMITS);
        assert_eq!(it.ask(), Some(Ask::Trigger), "once more");
        it.stage = stage;
        it.hear(Said::Trouble(Trouble::Missing), at(3), &LIMITS);
        let step = it.hear(Said::Found(None), at(4), &LIMITS);
        assert_eq!((told(&step), it.ask()), ((vec![], true), None));
    }
}

#[test]
fn what_vanishes_late_is_looked_for_as_long_as_what_vanishes_early() {
    let passing = || {
        Said::Trouble(Trouble::NotReady {
            status: 503,
            after: None,
        })
    };
    // Longer than a build may wait in the queue, shorter than it may run.
    let mut it = in_stage(Stage::Building { number: 7 });
    it.hear(Said::Trouble(Trouble::Missing), at(5000), &LIMITS);
    it.hear(passing(), at(5600), &LIMITS);
    assert_eq!(it.ask(), Some(Ask::Find(None)));
    let step = it.hear(passing(), at(5601), &LIMITS);
    assert!(step.line.unwrap().0.contains("queue_limit_s"));
    let mut it = in_stage(Stage::Queued { item: 3 });
    it.hear(Said::Trouble(Trouble::Missing), at(599), &LIMITS);
    it.hear(passing(), at(1199), &LIMITS);
    assert_eq!(it.ask(), Some(Ask::Find(Some(3))));
}

#[test]
fn what_jenkins_names_and_does_not_have_is_asked_for_ever_more_seldom_and_given_up() {
    let build = || Found::Build(7);
    let table = [
        (Stage::Building { number: 7 }, build as fn() -> Found),
        (Stage::Queued { item: 3 }, build),
        (Stage::Queued { item: 3 }, || Found::Item(3)),
    ];
    for (stage, found) in table {
        let mut it = in_stage(stage.clone());
        let (mut now, mut asked, mut last) = (0, 0, None);
        while let Some(ask) = it.ask() {
            let said = match ask {
                Ask::Find(_) => Said::Found(Some(found())),
                _ => Said::Trouble(Trouble::Missing),
            };
            let step = it.hear(said, at(now), &LIMITS);
            now += match step.next {
                Next::Now | Next::Never => 0,
                Next::Soon => 1,
                Next::Later(least) => i64::try_from(least.as_secs()).unwrap().max(1),
            };
            asked += 1;
            assert!(asked < 60, "{stage:?}: hot at {now} s");
            last = step.line;
        }
        let (text, alarm) = last.unwrap();
        assert!(
            alarm && text.contains("(queue_limit_s)"),
            "{stage:?}: {text}"
        );
        assert!(
            (600..700).contains(&now),
            "{stage:?}: given up after {now} s"
        );
    }
}

#[test]
fn what_jenkins_has_again_begins_anew() {
    let mut it = in_stage(Stage::Building { number: 7 });
    it.hear(Said::Trouble(Trouble::Missing), at(1), &LIMITS);
    it.hear(Said::Found(Some(Found::Build(7))), at(500), &LIMITS);
    it.hear(build(&[COMMIT], None, None), at(599), &LIMITS);
    it.hear(Said::Trouble(Trouble::Missing), at(700), &LIMITS);
    let step = it.hear(Said::Found(Some(Found::Build(7))), at(700), &LIMITS);
    assert_eq!(step.next, Next::Later(Duration::ZERO));
    assert_eq!(it.ask(), Some(Ask::Build(7)));
}

#[test]
fn troubles_that_pass_are_quiet_those_for_a_person_are_told_once_final_ones_end_it() {
    let mut it = in_stage(Stage::Queued { item: 3 });
    let passing = Trouble::NotReady {
        status: 503,
        after: Some(Duration::from_secs(9)),
    };
    let step = it.hear(Said::Trouble(passing), at(1), &LIMITS);
    assert_eq!(
        (step.line, step.next),
        (None, Next::Later(Duration::from_secs(9)))
    );
    let alarms = |it: &mut Followed, trouble: Trouble| {
        told(&it.hear(Said::Trouble(trouble), at(2), &LIMITS)).1
    };
    assert!(alarms(&mut it, Trouble::Login));
    assert!(!alarms(&mut it, Trouble::Login), "told once");
    it.hear(
        Said::Queue(Item::Waiting {
            why: String::new(),
            stuck: false,
        }),
        at(3),
        &LIMITS,
    );
    assert!(alarms(&mut it, Trouble::Login), "it was well in between");
    assert!(alarms(&mut it, Trouble::Disabled));
    assert_eq!(it.ask(), None);
}

#[test]
fn every_stage_has_its_limit() {
    let broken = || Said::Trouble(Trouble::Broken("x".to_owned()));
    let waiting = || {
        Said::Queue(Item::Waiting {
            why: "no executor".to_owned(),
            stuck: false,
        })
    };
    let table = [
        (Stage::Triggered, broken(), 60, "trigger_limit_s"),
        (Stage::Queued { item: 3 }, waiting(), 600, "queue_limit_s"),
        (Stage::Queued { item: 3 }, broken(), 600, "queue_limit_s"),
        (Stage::Lost { item: None }, broken(), 600, "queue_limit_s"),
        (
            Stage::Building { number: 7 },
            broken(),
            6000,
            "build_limit_s",
        ),
        (
            Stage::Building { number: 7 },
            build(&[COMMIT], None, None),
            6000,
            "build_limit_s",
        ),
    ];
    for (stage, said, limit, key) in table {
        let mut it = in_stage(stage.clone());
        it.hear(said.clone(), at(limit), &LIMITS);
        assert!(it.ask().is_some(), "{stage:?}: not yet");
        let step = it.hear(said.clone(), at(limit + 1), &LIMITS);
        let (text, alarm) = step.line.unwrap();
        assert!(alarm && text.contains(key), "{stage:?}: {text}");
        assert_eq!(it.ask(), None);
        let mut back = in_stage(stage);
        back.hear(said, at(-1_000_000), &LIMITS);
        assert!(
            back.ask().is_some(),
            "a clock that was set back makes no time pass"
        );
    }
}

#[test]
fn a_person_who_cancels_is_believed_and_a_stuck_item_is_told_once() {
    let mut it = in_stage(Stage::Queued { item: 3 });
    let stuck = || {
        Said::Queue(Item::Waiting {
            why: "no node".to_owned(),
            stuck: true,
        })
    };
    assert!(told(&it.hear(stuck(), at(1), &LIMITS)).1);
    assert!(!told(&it.hear(stuck(), at(2), &LIMITS)).1);
    let step = it.hear(Said::Queue(Item::Cancelled), at(3), &LIMITS);
    assert_eq!((told(&step), it.ask()), ((vec![], true), None));
    assert!(
        !End::Cancelled.is_verdict(),
        "announced again, it is built again"
    );
}

#[test]
fn a_file_of_this_version_is_read_again() {
    for stage in [
        Stage::Wanted,
        Stage::Triggered,
        Stage::Queued { item: 3 },
        Stage::Lost { item: None },
        Stage::Building { number: 7 },
        Stage::Ended {
            how: End::Bad(BuildResult::Unstable),
        },
        Stage::Ended {
            how: End::GivenUp("x".to_owned()),
        },
    ] {
        let it = in_stage(stage);
        let text = serde_json::to_string(&it).unwrap();
        assert_eq!(
            serde_json::from_str::<Followed>(&text).unwrap(),
            it,
            "{text}"
        );
    }
}
